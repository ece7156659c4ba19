"""From batches that went through a model to the bytes of their answers."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hotswap_events import headers as header_names
from hotswap_events.answers import ModelTags
from hotswap_events.inference import (
    JSON_CONTENT_TYPE,
    MSGPACK_CONTENT_TYPE,
    AnswerFacts,
    ErrorCode,
    InferError,
    InferResponse,
    InferTensor,
    WindowFacts,
)
from hotswap_stream.application.artifacts.manifest import TensorSpec
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.workers.inference.answers.template import AnswerTemplate
from hotswap_stream.workers.inference.batches.batches import Batch, Group, NotReady
from hotswap_stream.workers.inference.requests.headers import ReplyTo, RequestHeaders
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
from hotswap_stream.workers.inference.requests.tensors import DATATYPES, NUMPY_DTYPES, Array
from hotswap_stream.workers.inference.windows.steps import Taken

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()
_CONTENT_TYPES = {
    raw: (header_names.CONTENT_TYPE, content_type.encode())
    for raw, content_type in ((False, JSON_CONTENT_TYPE), (True, MSGPACK_CONTENT_TYPE))
}
_REQUEST_OFFSET, _ANSWER_TAG = header_names.REQUEST_OFFSET, header_names.ANSWER_TAG
_OK = (header_names.STATUS, b"ok")
_ERROR = (header_names.STATUS, b"error")

Headers = list[tuple[str, str | bytes | None]]

ERROR_CHARACTERS_MAX = 2_000
ALIKE_MIN = 8
"""So many requests are worth the writing of a template."""


class Answer(Struct, frozen=True, gc=False):
    """An answer ready to send to the partition of its request's number."""

    record: RequestRecord
    value: bytes
    headers: Headers
    dead_letter_cause: str | None = None
    """Set on error answers: a copy of the request goes to the dead letters with this cause."""
    reply_to: ReplyTo | None = None


class AnswerWriter(Struct, frozen=True):
    """Writes the answers of one model on behalf of one worker."""

    model_name: str
    worker: str
    tags: ModelTags

    def write(self, batch: Batch) -> list[Answer]:
        """One answer an entry, in order."""
        answers: list[Answer | None] = [None] * len(batch.entries)
        for group in batch.groups:
            self._write_group(group, answers)
        for index, answer in enumerate(answers):
            if answer is None:
                waiting = batch.not_ready.get(index)
                answers[index] = (
                    self._refusal(batch, index) if waiting is None else self._no_outputs(batch, index, waiting)
                )
        return answers  # type: ignore[return-value]  # each None was filled in

    def _write_group(self, group: Group, answers: list[Answer | None]) -> None:
        lease, batch_size = group.lease, group.row_count
        model_name, model_version, worker = self.model_name, lease.model_version, self.worker
        digest, registry_offset = lease.artifact_digest, lease.registry_offset
        compute_ms = round(group.compute_ms, 3)
        padded, executor = lease.model.padded_rows(batch_size), group.executor
        started_ms = group.started_ms
        windows = group.windows
        slices = None if group.outputs is None else _OutputSlices(group, lease)
        if slices is not None and windows is None and not group.failures and self._write_alike(group, slices, answers):
            return
        start = 0
        for position, request in enumerate(group.requests):
            record = request.record
            rows = group.rows[position]
            facts = AnswerFacts(
                request_partition=record.partition,
                request_offset=record.offset,
                worker=worker,
                artifact_digest=digest,
                registry_offset=registry_offset,
                batch_size=batch_size,
                padded_batch_size=padded,
                executor=executor,
                fallback_for=lease.fallback_for,
                pinned=group.pinned,
                queue_ms=max(0, round(started_ms - record.timestamp_ms)),
                compute_ms=compute_ms,
                window=None if windows is None else windows[position],
            )
            index = group.indexes[position]
            if slices is None or position in group.failures:
                reason = group.failures.get(position, "no output")
                if position in group.by_input:
                    answers[index] = self._error(
                        request, lease, "wrong-input", f"the model refuses this input: {reason}", facts
                    )
                else:
                    answers[index] = self._error(request, lease, "model-failure", reason, facts)
            else:
                response = InferResponse(
                    model_name=model_name,
                    model_version=model_version,
                    outputs=slices.of(start, rows, request),
                    parameters=facts,
                    id=request.body.id,
                )
                value = (_msgpack if request.raw else _json).encode(response)
                answers[index] = Answer(
                    record,
                    value,
                    self._headers(record, request.raw, _OK, request.headers),
                    None,
                    None if request.headers is None else request.headers.reply_to,
                )
            start += rows

    def _write_alike(self, group: Group, slices: "_OutputSlices", answers: list[Answer | None]) -> bool:
        """Write the answers from a template, if the group is large and its requests are alike; else say so."""
        requests, batch_size = group.requests, group.row_count
        output = slices.only
        if output is None or len(requests) < ALIKE_MIN or batch_size != len(requests):
            return False
        if not all(request.raw and request.headers is None and not request.body.outputs for request in requests):
            return False
        lease, model = group.lease, group.lease.model
        name, datatype, inner, row_bytes, content, _ = output
        facts = AnswerFacts(
            request_partition=0,
            request_offset=0,
            worker=self.worker,
            artifact_digest=lease.artifact_digest,
            registry_offset=lease.registry_offset,
            batch_size=batch_size,
            padded_batch_size=model.padded_rows(batch_size),
            executor=group.executor,
            fallback_for=lease.fallback_for,
            pinned=group.pinned,
            compute_ms=round(group.compute_ms, 3),
        )
        tensor = InferTensor(name=name, shape=[1, *inner], datatype=datatype, data=b"")  # type: ignore[arg-type]
        try:
            fill = AnswerTemplate(self.model_name, lease.model_version, tensor, row_bytes, facts).fill
        except ValueError:
            return False
        content_type, started_ms, tag = _CONTENT_TYPES[True], group.started_ms, self.tags.tag
        start = 0
        for index, request in zip(group.indexes, requests, strict=True):
            record = request.record
            partition, offset = record.partition, record.offset
            queue_ms = max(0, round(started_ms - record.timestamp_ms))
            value = fill(content[start : start + row_bytes], partition, offset, queue_ms, request.body.id)
            start += row_bytes
            headers: Headers = [
                content_type,
                (_REQUEST_OFFSET, b"%d" % offset),
                _OK,
                (_ANSWER_TAG, tag(partition, offset)),
            ]
            answers[index] = Answer(record, value, headers, None, None)
        return True

    def _refusal(self, batch: Batch, index: int) -> Answer:
        entry = batch.entries[index]
        if isinstance(entry, Unreadable):
            return self._error(entry, None, entry.code, entry.reason)
        refused = batch.refused[index]
        return self._error(entry, None, refused.code, refused.reason, self._facts_of_refused(batch, index))

    def _facts_of_refused(self, batch: Batch, index: int) -> AnswerFacts | None:
        taken = None if batch.taken is None else batch.taken[index]
        if not isinstance(taken, Taken) or taken.duplicate_of is not None:
            return None
        steps, needed = len(taken.steps), taken.rule.steps
        record = batch.entries[index].record
        return AnswerFacts(
            request_partition=record.partition,
            request_offset=record.offset,
            worker=self.worker,
            window=WindowFacts(steps=steps, needed=needed, ready=steps >= needed),
        )

    def _no_outputs(self, batch: Batch, index: int, waiting: NotReady) -> Answer:
        """The steps were taken in; there are too few of them yet."""
        entry, lease = batch.entries[index], waiting.lease
        if isinstance(entry, Unreadable):
            raise TypeError("a request that cannot be read has no window")
        record = entry.record
        response = InferResponse(
            model_name=self.model_name,
            model_version=lease.model_version,
            outputs=[],
            parameters=AnswerFacts(
                request_partition=record.partition,
                request_offset=record.offset,
                worker=self.worker,
                artifact_digest=lease.artifact_digest,
                registry_offset=lease.registry_offset,
                fallback_for=lease.fallback_for,
                pinned=waiting.pinned,
                window=waiting.window,
            ),
            id=entry.body.id,
        )
        return Answer(
            record,
            (_msgpack if entry.raw else _json).encode(response),
            self._headers(record, entry.raw, _OK, entry.headers),
            None,
            None if entry.headers is None else entry.headers.reply_to,
        )

    def too_large(self, answer: Answer, bytes_max: int) -> Answer:
        """The error in place of an answer that the topic does not take."""
        raw = (header_names.CONTENT_TYPE, MSGPACK_CONTENT_TYPE.encode()) in answer.headers
        reason = f"the answer has {len(answer.value)} bytes; at most {bytes_max} are allowed: ask with fewer rows"
        error = InferError(
            model_name=self.model_name,
            error=reason,
            error_code="too-large",
            parameters=_bare_facts(answer.record, self.worker),
        )
        headers = [header for header in answer.headers if header[0] != header_names.STATUS]
        return Answer(
            answer.record,
            (_msgpack if raw else _json).encode(error),
            [*headers, _ERROR],
            f"too-large: {reason}",
            answer.reply_to,
        )

    def refused(self, answer: Answer, why: str) -> Answer:
        """The error in place of an answer that Kafka does not take: it repeats nothing of the request."""
        entry = Unreadable(replace(answer.record, key=None), "too-large", f"Kafka does not take the answer: {why}")
        return self._error(entry, None, entry.code, entry.reason)

    def _error(
        self,
        entry: Request | Unreadable,
        lease: Lease | None,
        code: ErrorCode,
        reason: str,
        facts: AnswerFacts | None = None,
    ) -> Answer:
        raw, request_id = (False, entry.request_id) if isinstance(entry, Unreadable) else (entry.raw, entry.body.id)
        record = entry.record
        error = InferError(
            model_name=self.model_name,
            model_version=None if lease is None else lease.model_version,
            error=reason[:ERROR_CHARACTERS_MAX],
            error_code=code,
            parameters=facts or _bare_facts(record, self.worker),
            id=request_id,
        )
        return Answer(
            record,
            (_msgpack if raw else _json).encode(error),
            self._headers(record, raw, _ERROR, entry.headers),
            f"{code}: {reason}"[:ERROR_CHARACTERS_MAX],
            None if entry.headers is None else entry.headers.reply_to,
        )

    def _headers(
        self, record: RequestRecord, raw: bool, status: tuple[str, bytes], asked: RequestHeaders | None
    ) -> Headers:
        headers: Headers = [
            _CONTENT_TYPES[raw],
            (_REQUEST_OFFSET, b"%d" % record.offset),
            status,
            (_ANSWER_TAG, self.tags.tag(record.partition, record.offset)),
        ]
        if asked is not None:
            if asked.traceparent is not None:
                headers.append((header_names.TRACEPARENT, asked.traceparent))
            if asked.correlation_id is not None:
                headers.append((header_names.SPRING_CORRELATION_ID, asked.correlation_id))
        return headers


class _OutputSlices:
    """Rows of a group's outputs as OIP tensors; what can be done once for all requests is done once."""

    def __init__(self, group: Group, lease: Lease) -> None:
        outputs = group.outputs or {}
        specs: dict[str, TensorSpec] = {spec.name: spec for spec in lease.model.manifest.outputs}
        self._outputs: list[tuple[str, str, list[int], int, bytes, Array]] = []
        for name in specs:
            array = outputs[name]
            datatype = DATATYPES[array.dtype.newbyteorder("=").name]
            little = array.astype(NUMPY_DTYPES[datatype], order="C", copy=False)
            inner = list(array.shape[1:])
            row_bytes = little.itemsize
            for size in inner:
                row_bytes *= size
            self._outputs.append((name, datatype, inner, row_bytes, little.tobytes(), array))
        self._lists: dict[str, list[Any]] = {}

    @property
    def only(self) -> tuple[str, str, list[int], int, bytes, Array] | None:
        """Name, datatype, shape of a row, bytes of a row, all bytes, the array: of the output, if there is but one."""
        return self._outputs[0] if len(self._outputs) == 1 else None

    def of(self, start: int, rows: int, request: Request) -> list[InferTensor]:
        wanted = request.body.outputs
        names = {output.name for output in wanted} if wanted else None
        tensors = []
        for name, datatype, inner, row_bytes, content, array in self._outputs:
            if names is not None and name not in names:
                continue
            if request.raw:
                data: Any = content[start * row_bytes : (start + rows) * row_bytes]
            else:
                if name not in self._lists:
                    self._lists[name] = array.reshape(array.shape[0], -1).tolist()
                found = self._lists[name][start : start + rows]
                data = found[0] if rows == 1 else [value for row in found for value in row]
            tensors.append(InferTensor(name=name, shape=[rows, *inner], datatype=datatype, data=data))  # type: ignore[arg-type]
        return tensors


def _bare_facts(record: RequestRecord, worker: str) -> AnswerFacts:
    return AnswerFacts(request_partition=record.partition, request_offset=record.offset, worker=worker)


def dead_letters(answers: Sequence[Answer]) -> list[Answer]:
    """Answers whose request is copied to the dead letters."""
    return [answer for answer in answers if answer.dead_letter_cause is not None]
