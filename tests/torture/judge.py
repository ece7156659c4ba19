"""Judges the answers of one partition after the other, in the order of the topic, with the registry's own fold.

Every record of a request has exactly one answer that is not void, in order, with the bits that the version it names
would compute, and that version could be chosen at the registry offset it names. A request that its producer wrote twice
is answered as the product promises: refused as `duplicate-id`, or, by a worker that took the partition over in between
and knows nothing of the first, answered once more. Nothing is kept but some numbers per request.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from hotswap_events.inference.answers import AnswerRule, TagCheck
from hotswap_events.inference.messages import InferError, InferResponse
from tests.torture.exact_model import ExactModel
from tests.torture.findings import Findings, Place
from tests.torture.request_kinds import BAD, GOOD, HOSTILE, MODEL, NAMELESS, request_id
from tests.torture.request_table import RequestTable
from tests.torture.version_history import VersionHistory
from tests.torture.void_answers import VoidTally

_json_ok, _msgpack_ok = msgspec.json.Decoder(InferResponse), msgspec.msgpack.Decoder(InferResponse)
_json_error, _msgpack_error = msgspec.json.Decoder(InferError), msgspec.msgpack.Decoder(InferError)


class AnswerRecord(Struct, frozen=True, gc=False):
    """A record of the response topic."""

    offset: int
    timestamp_ms: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class PartitionJudge:
    """Takes the answers of one partition in the order of the topic; `finish` looks for what is missing."""

    def __init__(self, requests: RequestTable, history: VersionHistory, findings: Findings, tags: TagCheck) -> None:
        self.valid_count = 0
        self.ok_count = 0
        self.timestamps_ms: npt.NDArray[np.int64] = np.zeros(requests.count, dtype=np.int64)
        """Times of the valid answers, by request offset; 0 where there is none."""
        self.other_errors: set[int] = set()
        """Requests that got an error though theirs is not a bad kind, hostile ones and repeated ones: each must have a
        copy in the dead letters."""
        self.repeats_refused = 0
        """Requests written twice of which the second got `duplicate-id`."""
        self.voids = VoidTally(requests.partition)
        self._requests = requests
        self._partition = requests.partition
        self._history = history
        self._findings = findings
        self._rule = AnswerRule(requests.partition, tags)
        self._answered = -1
        self._registry_offset = -1
        self._models: dict[str, ExactModel] = {}

    def take(self, record: AnswerRecord) -> None:
        """One more answer."""
        expected = self._answered + 1
        void_before = self._rule.void
        headers = self._rule.take(record.headers)
        if headers is None:
            if self._rule.void > void_before:
                self.voids.take(record.timestamp_ms, record.value, record.headers, self.timestamps_ms)
            return
        offset = headers.request_offset
        where = f"request {self._partition}/{offset}"
        if offset >= self._requests.count:
            self._findings.add("answers-nothing", f"{where} does not exist, but answer {record.offset} names it")
            return
        if offset != expected:
            self._find("passed-over", expected, f"partition {self._partition}: {expected}…{offset - 1}")
        self._answered = offset
        self.valid_count += 1
        self.timestamps_ms[offset] = record.timestamp_ms
        value = record.value or b""
        raw = headers.raw
        try:
            if headers.ok:
                self._take_ok(where, offset, raw, (_msgpack_ok if raw else _json_ok).decode(value))
            else:
                self._take_error(where, offset, (_msgpack_error if raw else _json_error).decode(value))
        except msgspec.DecodeError as error:
            self._find("unreadable", offset, f"{where}: {error}")

    @property
    def void_count(self) -> int:
        """Answers whose request was passed before."""
        return self._rule.void

    @property
    def foreign_count(self) -> int:
        """Records that no worker wrote: they count for nothing, and against nobody."""
        return self._rule.untagged + self._rule.no_answers

    def finish(self) -> None:
        """All answers were taken."""
        if self._answered + 1 < self._requests.count:
            first, last = self._answered + 1, self._requests.count - 1
            self._find("unanswered", first, f"partition {self._partition}: {first}…{last}")

    def _find(self, problem: str, offset: int, text: str) -> None:
        self._findings.add(problem, text, Place(self._partition, offset))

    def _take_ok(self, where: str, offset: int, raw: bool, answer: InferResponse) -> None:
        kind = self._requests.kind(offset)
        self.ok_count += 1
        if kind == HOSTILE:  # not everything that was meant to do harm is wrong
            self._check_origin(where, offset, answer)
            return
        if kind not in GOOD:
            self._find("bad-request-served", offset, f"{where} of kind {kind!r}")
            return
        if raw != (kind == "msgpack"):
            self._find("wrong-format", offset, f"{where} of kind {kind!r}")
        if answer.id != request_id(self._partition, self._requests.number(offset)):
            self._find("wrong-id", offset, f"{where}: {answer.id!r}")
        self._check_origin(where, offset, answer)
        self._check_bits(where, offset, answer)

    def _take_error(self, where: str, offset: int, answer: InferError) -> None:
        kind = self._requests.kind(offset)
        if kind not in BAD:
            self.other_errors.add(offset)
        if kind != HOSTILE and answer.error_code != BAD.get(kind):
            if answer.error_code == "duplicate-id" and kind not in NAMELESS and self._requests.is_repeat(offset):
                self.repeats_refused += 1
            else:
                text = f"{where} of kind {kind!r}: {answer.error_code}: {answer.error[:200]}"
                self._find("unexpected-error", offset, text)
        if answer.parameters.registry_offset is None:
            if answer.model_version is not None:
                self._find("not-active", offset, f"{where}: {answer.model_version}, chosen by no registry event")
            self._check_place(where, offset, answer)
        else:
            self._check_origin(where, offset, answer)

    def _check_place(self, where: str, offset: int, answer: InferResponse | InferError) -> None:
        facts = answer.parameters
        named = (answer.model_name, facts.request_partition, facts.request_offset)
        if named != (MODEL, self._partition, offset):
            self._find("wrong-place", offset, f"{where}: the body says {named}")

    def _check_origin(self, where: str, offset: int, answer: InferResponse | InferError) -> None:
        """The version may be chosen at the registry offset, and nothing after it was chosen here before."""
        self._check_place(where, offset, answer)
        by, version, digest = answer.parameters.registry_offset, answer.model_version, answer.parameters.artifact_digest
        worker = answer.parameters.worker
        if by is None or version is None:
            self._find("not-active", offset, f"{where}: {version} as chosen at {by} by {worker}")
            return
        allowed = self._history.allowed_at(by)
        if version not in allowed:
            self._find("not-active", offset, f"{where}: {version} by {worker} at {by}, where {sorted(allowed)} may be")
            return
        if digest != self._history.digest(version):
            self._find("wrong-digest", offset, f"{where}: {digest} is not that of {version}")
        if by < self._registry_offset:
            self._find("registry-goes-back", offset, f"{where}: {by} by {worker} after {self._registry_offset}")
        self._registry_offset = max(self._registry_offset, by)

    def _check_bits(self, where: str, offset: int, answer: InferResponse) -> None:
        first_row, rows = self._requests.input(offset)
        model = self._model(answer.model_version)
        if model is None or len(answer.outputs) != 1:
            self._find("wrong-bits", offset, f"{where}: {len(answer.outputs)} outputs of {answer.model_version!r}")
            return
        output = answer.outputs[0]
        wanted: Any = (
            model.answer_bytes(first_row, rows) if type(output.data) is bytes else model.answer(first_row, rows)
        )
        if (output.name, output.datatype, output.shape) != ("y", "FP32", [rows, 2]) or output.data != wanted:
            self._find("wrong-bits", offset, f"{where}: {output!r} by {answer.model_version}, which computes {wanted}")

    def _model(self, model_version: str) -> ExactModel | None:
        model = self._models.get(model_version)
        value = self._history.value(model_version)
        if model is None and value is not None:
            model = self._models[model_version] = ExactModel(value)
        return model
