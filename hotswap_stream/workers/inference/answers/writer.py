"""From batches that went through a model to the bytes of their answers."""

from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hotswap_events import headers as header_names
from hotswap_events.inference.answers import ModelTags
from hotswap_events.inference.messages import (
    JSON_CONTENT_TYPE,
    MSGPACK_CONTENT_TYPE,
    AnswerFacts,
    ErrorCode,
    InferError,
    InferResponse,
    InferTensor,
    WindowFacts,
)
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.workers.inference.answers.facts import PassFacts, answer_facts, pass_facts
from hotswap_stream.workers.inference.answers.json_template import JsonAnswerTemplate
from hotswap_stream.workers.inference.answers.output_slices import OutputSlices
from hotswap_stream.workers.inference.answers.template import AnswerTemplate
from hotswap_stream.workers.inference.batches.batches import Batch, NotReady
from hotswap_stream.workers.inference.batches.computed import ComputedBatch, ComputedGroup
from hotswap_stream.workers.inference.requests.headers import ReplyTo, RequestHeaders
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
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
"""From this many requests on, a template is worth its writing."""


class Answer(Struct, frozen=True, gc=False):
    """An answer ready to send to the partition of its request's number."""

    record: RequestRecord
    value: bytes
    headers: Headers
    dead_letter_cause: str | None = None
    """Set on error answers: a copy of the request goes to the dead letters with this cause."""
    reply_to: ReplyTo | None = None


class AnswerWriter(Struct, frozen=True):
    """Write the answers of one model on behalf of one worker."""

    model_name: str
    worker: str
    tags: ModelTags

    def write(self, batch: ComputedBatch) -> list[Answer]:
        """Write one answer per entry of the batch, in their order."""
        chosen = batch.chosen
        answers: list[Answer | None] = [None] * len(chosen.entries)
        for group in batch.groups:
            self._write_group(group, answers)
        for index, answer in enumerate(answers):
            if answer is None:
                waiting = chosen.not_ready.get(index)
                answers[index] = (
                    self._refusal(chosen, index) if waiting is None else self._no_outputs(chosen, index, waiting)
                )
        return answers  # type: ignore[return-value]  # each None was filled in

    def _write_group(self, group: ComputedGroup, answers: list[Answer | None]) -> None:
        chosen, failures, started_ms = group.chosen, group.failures, round(group.started_ms)
        lease, windows, pinned = chosen.lease, chosen.windows, chosen.pinned
        computed = pass_facts(group)
        slices = None if group.outputs is None else OutputSlices(lease.model.manifest, group.outputs)
        if (
            slices is not None
            and windows is None
            and not failures
            and self._write_alike(group, slices, computed, answers)
        ):
            return
        start = 0
        for position, request in enumerate(chosen.requests):
            record = request.record
            rows = chosen.rows[position]
            facts = answer_facts(
                self.worker,
                record.partition,
                record.offset,
                lease,
                computed=computed,
                queue_ms=max(0, started_ms - record.timestamp_ms),
                pinned=pinned,
                window=None if windows is None else windows[position],
            )
            index = chosen.indexes[position]
            if slices is None or position in failures:
                reason = failures.get(position, "no output")
                if position in group.by_input:
                    answers[index] = self._error(
                        request, lease, "wrong-input", f"the model refuses this input: {reason}", facts
                    )
                else:
                    answers[index] = self._error(request, lease, "model-failure", reason, facts)
            else:
                answers[index] = self._success(request, lease, slices.of(start, rows, request), facts)
            start += rows

    def _write_alike(
        self, group: ComputedGroup, slices: OutputSlices, computed: PassFacts, answers: list[Answer | None]
    ) -> bool:
        """Write the answers from a template, if the group is large and its requests are alike.

        Returns:
            Whether they were written.
        """
        chosen, outputs = group.chosen, slices.of_fixed_size
        requests, rows = chosen.requests, chosen.rows[0]
        if not outputs or len(requests) < ALIKE_MIN or any(other != rows for other in chosen.rows):
            return False
        raw = requests[0].raw
        if not all(request.raw is raw and request.headers is None and not request.body.outputs for request in requests):
            return False
        if not raw and rows != 1:
            return False
        lease = chosen.lease
        facts = answer_facts(self.worker, 0, 0, lease, computed=computed, pinned=chosen.pinned)
        tensors = [
            InferTensor(name=output.name, shape=[rows, *output.inner], datatype=output.datatype, data=b"")
            for output in outputs
        ]
        fill: Callable[[bytes, int, int, int, str | None], bytes]
        if raw:
            sizes = [rows * output.row_bytes for output in outputs]
            try:
                template = AnswerTemplate(self.model_name, lease.model_version, tensors, sizes, facts)
            except ValueError:
                return False
            joined, each = template.data_of([output.content for output in outputs], len(requests))
            fill, data = template.fill, [joined[start * each : (start + 1) * each] for start in range(len(requests))]
        else:
            as_json = JsonAnswerTemplate(self.model_name, lease.model_version, tensors, facts)
            fill, data = as_json.fill, as_json.data_of([output.array for output in outputs], len(requests))
        content_type, started_ms = _CONTENT_TYPES[raw], round(group.started_ms)
        records = [request.record for request in requests]
        tags = self.tags.tags(records)
        for index, request, record, content, tag in zip(chosen.indexes, requests, records, data, tags, strict=True):
            offset = record.offset
            queue_ms = max(0, started_ms - record.timestamp_ms)
            value = fill(content, record.partition, offset, queue_ms, request.body.id)
            headers: Headers = [content_type, (_REQUEST_OFFSET, b"%d" % offset), _OK, (_ANSWER_TAG, tag)]
            answers[index] = Answer(record, value, headers, None, None)
        return True

    def _refusal(self, batch: Batch, index: int) -> Answer:
        entry = batch.entries[index]
        if isinstance(entry, Unreadable):
            return self._error(entry, None, entry.code, entry.reason)
        refused = batch.refused[index]
        record, taken = entry.record, None if batch.taken is None else batch.taken[index]
        window = None
        if isinstance(taken, Taken) and taken.duplicate_of is None:
            steps, needed = len(taken.steps), taken.rule.steps
            window = WindowFacts(steps=steps, needed=needed, ready=steps >= needed)
        facts = answer_facts(self.worker, record.partition, record.offset, window=window)
        return self._error(entry, None, refused.code, refused.reason, facts)

    def _no_outputs(self, batch: Batch, index: int, waiting: NotReady) -> Answer:
        """Answer a request whose steps were taken in while there are too few of them yet."""
        entry, lease = batch.entries[index], waiting.lease
        if isinstance(entry, Unreadable):
            raise TypeError("a request that cannot be read has no window")
        record = entry.record
        facts = answer_facts(
            self.worker, record.partition, record.offset, lease, pinned=waiting.pinned, window=waiting.window
        )
        return self._success(entry, lease, [], facts)

    def _success(self, request: Request, lease: Lease, outputs: list[InferTensor], facts: AnswerFacts) -> Answer:
        record, headers = request.record, request.headers
        response = InferResponse(
            model_name=self.model_name,
            model_version=lease.model_version,
            outputs=outputs,
            parameters=facts,
            id=request.body.id,
        )
        return Answer(
            record,
            (_msgpack if request.raw else _json).encode(response),
            self._headers(record, request.raw, _OK, headers),
            None,
            None if headers is None else headers.reply_to,
        )

    def too_large(self, answer: Answer, bytes_max: int) -> Answer:
        """Return the error in place of an answer that is too large for its topic."""
        raw = (header_names.CONTENT_TYPE, MSGPACK_CONTENT_TYPE.encode()) in answer.headers
        reason = f"the answer has {len(answer.value)} bytes; at most {bytes_max} are allowed: ask with fewer rows"
        error = InferError(
            model_name=self.model_name,
            error=reason,
            error_code="too-large",
            parameters=answer_facts(self.worker, answer.record.partition, answer.record.offset),
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
        """Return the error in place of an answer that Kafka does not take: it repeats nothing of the request."""
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
            parameters=facts or answer_facts(self.worker, record.partition, record.offset),
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
