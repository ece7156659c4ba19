"""From a batch of requests and a version to the answers' bytes. Blocking; runs in the model's compute thread."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from aiokafka import ConsumerRecord
from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_events.inference import (
    JSON_CONTENT_TYPE,
    MSGPACK_CONTENT_TYPE,
    AnswerFacts,
    ErrorCode,
    InferError,
    InferResponse,
)
from hotswap_stream.application.version_slots import Serving
from hotswap_stream.workers.inference.requests import Request, Unreadable
from hotswap_stream.workers.inference.tensors import Array, WrongInputError, read_inputs, write_outputs

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()
_CONTENT_TYPES = {False: JSON_CONTENT_TYPE.encode(), True: MSGPACK_CONTENT_TYPE.encode()}

ERROR_CHARACTERS_MAX = 2_000


class Answer(Struct, frozen=True, gc=False):
    """An answer ready to send to the partition of its request's number."""

    record: "ConsumerRecord[Any, Any]"
    value: bytes
    headers: list[tuple[str, bytes]]
    dead_letter_cause: str | None = None
    """Set on error answers: a copy of the request goes to the dead letters with this cause."""


class _Ready(Struct, gc=False):
    """A request whose inputs were read, and after the forward pass its outputs or its failure."""

    index: int
    request: Request
    inputs: dict[str, Array]
    rows: int
    outputs: dict[str, Array] | None = None
    failure: str | None = None


class Answerer(Struct, frozen=True):
    """Answers batches of one model on behalf of one worker."""

    model_name: str
    worker: str

    def answer(
        self, entries: Sequence[Request | Unreadable], serving: Serving | None, why_none: str | None = None
    ) -> list[Answer]:
        """One answer an entry, in order. Without a version every request gets a `no-active-version` error."""
        started_ms = time.time() * 1000
        answers: dict[int, Answer] = {}
        ready: list[_Ready] = []
        for index, entry in enumerate(entries):
            if isinstance(entry, Unreadable):
                answers[index] = self._error(entry.record, serving, entry.code, entry.reason, entry.request_id)
            elif serving is None:
                reason = why_none or f"model {self.model_name!r} has no active version; promote one"
                answers[index] = self._error(
                    entry.record, None, "no-active-version", reason, entry.body.id, raw=entry.raw
                )
            else:
                try:
                    inputs = read_inputs(serving.model.manifest, entry.body.inputs)
                    _check_outputs(entry, serving)
                except WrongInputError as error:
                    answers[index] = self._error(
                        entry.record, serving, "wrong-input", str(error), entry.body.id, raw=entry.raw
                    )
                else:
                    ready.append(_Ready(index, entry, inputs, next(iter(inputs.values())).shape[0]))
        if serving is not None:
            for group in _groups(ready):
                start = time.perf_counter()
                _infer(group, serving)
                compute_ms = (time.perf_counter() - start) * 1000
                rows = sum(item.rows for item in group)
                for item in group:
                    item_facts = self._facts(item.request.record, serving, rows, started_ms, compute_ms)
                    answers[item.index] = self._answer(item, serving, item_facts)
        return [answers[index] for index in range(len(entries))]

    def _facts(
        self,
        record: "ConsumerRecord[Any, Any]",
        serving: Serving | None,
        batch_size: int | None = None,
        started_ms: float | None = None,
        compute_ms: float | None = None,
    ) -> AnswerFacts:
        return AnswerFacts(
            request_partition=record.partition,
            request_offset=record.offset,
            worker=self.worker,
            artifact_digest=None if serving is None else serving.artifact_digest,
            registry_offset=None if serving is None else serving.registry_offset,
            batch_size=batch_size,
            queue_ms=None if started_ms is None else round(max(0.0, started_ms - record.timestamp), 3),
            compute_ms=None if compute_ms is None else round(compute_ms, 3),
        )

    def _answer(self, item: _Ready, serving: Serving, facts: AnswerFacts) -> Answer:
        request = item.request
        if item.outputs is None:
            return self._error(
                request.record,
                serving,
                "model-failure",
                item.failure or "",
                request.body.id,
                raw=request.raw,
                facts=facts,
            )
        wanted = {output.name for output in request.body.outputs}
        outputs = {name: array for name, array in item.outputs.items() if not wanted or name in wanted}
        response = InferResponse(
            model_name=self.model_name,
            model_version=serving.model_version,
            outputs=write_outputs(outputs, raw=request.raw),
            parameters=facts,
            id=request.body.id,
        )
        value = (_msgpack if request.raw else _json).encode(response)
        return Answer(request.record, value, _headers(request.record.offset, raw=request.raw, status=b"ok"))

    def _error(
        self,
        record: "ConsumerRecord[Any, Any]",
        serving: Serving | None,
        code: ErrorCode,
        reason: str,
        request_id: str | None,
        *,
        raw: bool = False,
        facts: AnswerFacts | None = None,
    ) -> Answer:
        error = InferError(
            model_name=self.model_name,
            model_version=None if serving is None else serving.model_version,
            error=reason[:ERROR_CHARACTERS_MAX],
            error_code=code,
            parameters=facts or self._facts(record, serving),
            id=request_id,
        )
        value = (_msgpack if raw else _json).encode(error)
        return Answer(
            record, value, _headers(record.offset, raw=raw, status=b"error"), f"{code}: {reason}"[:ERROR_CHARACTERS_MAX]
        )


def _headers(request_offset: int, *, raw: bool, status: bytes) -> list[tuple[str, bytes]]:
    return [
        (header_names.CONTENT_TYPE, _CONTENT_TYPES[raw]),
        (header_names.REQUEST_OFFSET, b"%d" % request_offset),
        (header_names.STATUS, status),
    ]


def _check_outputs(request: Request, serving: Serving) -> None:
    known = [spec.name for spec in serving.model.manifest.outputs]
    for output in request.body.outputs:
        if output.name not in known:
            raise WrongInputError(f"output {output.name!r} is asked for; the model has {known}")


def _groups(ready: list[_Ready]) -> list[list[_Ready]]:
    """Requests that fit into one forward pass: their inputs agree in all but the first dimension."""
    groups: dict[tuple[tuple[int, ...], ...], list[_Ready]] = {}
    for item in ready:
        groups.setdefault(tuple(array.shape[1:] for array in item.inputs.values()), []).append(item)
    return list(groups.values())


def _infer(group: list[_Ready], serving: Serving) -> None:
    """Fill in outputs. If the batch fails, each request is tried alone, so that one cannot fail the others."""
    manifest = serving.model.manifest
    try:
        if len(group) == 1:
            inputs = group[0].inputs
        else:
            inputs = {spec.name: np.concatenate([item.inputs[spec.name] for item in group]) for spec in manifest.inputs}
        outputs = serving.model.infer(inputs)
    except Exception as error:  # noqa: BLE001  # the module's code is not ours; its failure becomes an error answer
        if len(group) == 1:
            group[0].failure = f"{type(error).__name__}: {error}"
        else:
            for item in group:
                _infer([item], serving)
        return
    start = 0
    for item in group:
        rows = {name: array[start : start + item.rows] for name, array in outputs.items()}
        start += item.rows
        if not manifest.allow_non_finite and not all(
            np.isfinite(array).all() for array in rows.values() if array.dtype.kind == "f"
        ):
            item.failure = "the model answered NaN or infinity, which its manifest does not allow"
        else:
            item.outputs = rows
