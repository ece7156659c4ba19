"""Forward passes over the groups of a batch. Blocking; runs where the GIL can be given away."""

import time

import numpy as np
from msgspec import Struct

from hotswap_stream.workers.inference.batches.batches import Batch, Group
from hotswap_stream.workers.inference.batches.computed import ComputedBatch, ComputedGroup
from hotswap_stream.workers.inference.batches.referee import Referee
from hotswap_stream.workers.inference.requests.tensors import Array

FAILURE_CHARACTERS_MAX = 2_000
ONE_BY_ONE_SECONDS_MAX = 10.0
"""After a pass that failed, its requests are tried alone for this long at most: where each of many hangs, the worker
must get on before it is taken for stuck."""
_CAUSED_BY_INPUTS = (IndexError, KeyError, ValueError, TypeError, ArithmeticError)
_CAUSED_BY_INPUTS_NAMES = frozenset({"RuntimeError", "InvalidArgument"})
"""torch's, of shapes and of indices on some devices (not its subclasses: out of memory, not implemented), and ONNX
Runtime's."""
_TOO_MANY_FAIL = "requests that came with this one failed, and trying them alone took too long to come to this one"
_NOT_FINITE = "the model answered NaN or infinity, which its manifest does not allow"


class PassOutcome(Struct, gc=False):
    """What a forward pass brought: outputs of all requests of a group, or failures by their positions in it."""

    outputs: dict[str, Array] | None = None
    failures: dict[int, str] = {}
    suspects: set[int] = set()
    """The failures of a kind that a wrong input causes."""

    def fail(self, position: int, error: Exception) -> None:
        """Note what went wrong with one request."""
        self.failures[position] = _text(error)
        if isinstance(error, _CAUSED_BY_INPUTS) or type(error).__name__ in _CAUSED_BY_INPUTS_NAMES:
            self.suspects.add(position)


def run_forward(batch: Batch, referee: Referee | None = None) -> ComputedBatch:
    """Compute the groups of a batch. Whatever goes wrong becomes a failure of a request.

    Args:
        batch: The batch; its leases must be held until this is over.
        referee: Judges what fails; without it every failure is the version's.
    """
    started = time.perf_counter()
    groups = [_computed(group, referee) for group in batch.groups]
    return ComputedBatch(batch, groups, (time.perf_counter() - started) * 1000)


def _computed(group: Group, referee: Referee | None) -> ComputedGroup:
    started_ms = time.time() * 1000
    begin = time.perf_counter()
    outcome = _forward(group)
    # Here, because the model tells each thread of the thread's own passes.
    executor = group.lease.model.executor
    compute_ms = (time.perf_counter() - begin) * 1000
    by_input: frozenset[int] = frozenset()
    if outcome.failures and referee is not None:
        by_input = referee.judge(group, outcome.failures.keys(), outcome.suspects)
    return ComputedGroup(group, outcome.outputs, outcome.failures, by_input, started_ms, compute_ms, executor)


def _forward(group: Group) -> PassOutcome:
    try:
        outcome = PassOutcome(_infer(group, group.inputs, group.row_count))
    except Exception as error:  # noqa: BLE001  # the module's code is not ours; its failure becomes an error answer
        if len(group.requests) > 1:
            return _one_by_one(group)
        outcome = PassOutcome()
        outcome.fail(0, error)
        return outcome
    _find_not_finite(group, outcome)
    return outcome


def _infer(group: Group, inputs: dict[str, Array], rows: int) -> dict[str, Array]:
    if not group.lease.model.manifest.has_rows:
        return dict(group.lease.model.infer(inputs))
    given = len(next(iter(inputs.values())))
    outputs = dict(group.lease.model.infer(inputs))
    for name, array in outputs.items():
        if array.shape[0] != given:
            raise ValueError(f"output {name!r} has {array.shape[0]} rows for {given} rows of input")
    return outputs if given == rows else {name: array[:rows] for name, array in outputs.items()}


def _one_by_one(group: Group) -> PassOutcome:
    """Try each request alone after the pass failed, so that one cannot fail the others."""
    outcome = PassOutcome()
    parts: list[dict[str, Array] | None] = []
    start = 0
    deadline_s = time.monotonic() + ONE_BY_ONE_SECONDS_MAX
    for position, rows in enumerate(group.rows):
        inputs = {name: array[start : start + rows] for name, array in group.inputs.items()}
        start += rows
        if time.monotonic() > deadline_s:
            outcome.failures[position] = _TOO_MANY_FAIL
            parts.append(None)
            continue
        try:
            parts.append(_infer(group, inputs, rows))
        except Exception as error:  # noqa: BLE001  # as above
            outcome.fail(position, error)
            parts.append(None)
    good = next((part for part in parts if part is not None), None)
    if good is None:
        return outcome
    outputs = {}
    for name, like in good.items():
        filled = [
            np.zeros((rows, *like.shape[1:]), like.dtype) if part is None else part[name]
            for part, rows in zip(parts, group.rows, strict=True)
        ]
        try:
            outputs[name] = np.concatenate(filled)
        except ValueError as error:
            outcome.failures = dict.fromkeys(range(len(parts)), _text(error))
            return outcome
    outcome.outputs = outputs
    _find_not_finite(group, outcome)
    return outcome


def _find_not_finite(group: Group, outcome: PassOutcome) -> None:
    """Fail the requests with outputs that are not finite: inputs are, but their products need not be."""
    manifest = group.lease.model.manifest
    if manifest.allow_non_finite or outcome.outputs is None:
        return
    for array in outcome.outputs.values():
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        if not manifest.has_rows:
            outcome.failures[0] = _NOT_FINITE
            outcome.suspects.add(0)
            return
        start = 0
        for position, rows in enumerate(group.rows):
            if position not in outcome.failures and not np.isfinite(array[start : start + rows]).all():
                outcome.failures[position] = _NOT_FINITE
                outcome.suspects.add(position)
            start += rows


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:FAILURE_CHARACTERS_MAX]
