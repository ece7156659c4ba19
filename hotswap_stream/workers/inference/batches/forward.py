"""Forward passes over the groups of a batch. Blocking; runs where the GIL can be given away."""

import time
from collections.abc import Sequence

import numpy as np

from hotswap_stream.workers.inference.batches.batches import Group
from hotswap_stream.workers.inference.batches.referee import Referee
from hotswap_stream.workers.inference.requests.tensors import Array

FAILURE_CHARACTERS_MAX = 2_000
_CAUSED_BY_INPUTS = (IndexError, KeyError, ValueError, TypeError, ArithmeticError)
_CAUSED_BY_INPUTS_NAMES = frozenset({"RuntimeError", "InvalidArgument"})
"""torch's, of shapes and of indices on some devices (not its subclasses: out of memory, not implemented), and ONNX
Runtime's."""
_NOT_FINITE = "the model answered NaN or infinity, which its manifest does not allow"


def run_forward(groups: Sequence[Group], referee: Referee | None = None) -> float:
    """Fill in outputs or failures of each group, never raise. Returns the milliseconds it took.

    Without a `referee` every failure is the version's.
    """
    started = time.perf_counter()
    for group in groups:
        group.started_ms = time.time() * 1000
        begin = time.perf_counter()
        _forward(group)
        # Here, because the model tells each thread of the thread's own passes.
        group.executor = group.lease.model.executor
        group.compute_ms = (time.perf_counter() - begin) * 1000
        if group.failures and referee is not None:
            referee.judge(group)
    return (time.perf_counter() - started) * 1000


def _forward(group: Group) -> None:
    try:
        outputs = _infer(group, group.inputs, group.row_count)
    except Exception as error:  # noqa: BLE001  # the module's code is not ours; its failure becomes an error answer
        if len(group.requests) == 1:
            _failed(group, 0, error)
        else:
            _one_by_one(group)
        return
    group.outputs = outputs
    _find_not_finite(group, outputs)


def _infer(group: Group, inputs: dict[str, Array], rows: int) -> dict[str, Array]:
    given = len(next(iter(inputs.values())))
    outputs = dict(group.lease.model.infer(inputs))
    for name, array in outputs.items():
        if array.shape[0] != given:
            raise ValueError(f"output {name!r} has {array.shape[0]} rows for {given} rows of input")
    return outputs if given == rows else {name: array[:rows] for name, array in outputs.items()}


def _one_by_one(group: Group) -> None:
    """The pass failed: each request is tried alone, so that one cannot fail the others."""
    parts: list[dict[str, Array] | None] = []
    start = 0
    for position, rows in enumerate(group.rows):
        inputs = {name: array[start : start + rows] for name, array in group.inputs.items()}
        start += rows
        try:
            parts.append(_infer(group, inputs, rows))
        except Exception as error:  # noqa: BLE001  # as above
            _failed(group, position, error)
            parts.append(None)
    good = next((part for part in parts if part is not None), None)
    if good is None:
        return
    outputs = {}
    for name, like in good.items():
        filled = [
            np.zeros((rows, *like.shape[1:]), like.dtype) if part is None else part[name]
            for part, rows in zip(parts, group.rows, strict=True)
        ]
        try:
            outputs[name] = np.concatenate(filled)
        except ValueError as error:
            group.failures = dict.fromkeys(range(len(parts)), _text(error))
            return
    group.outputs = outputs
    _find_not_finite(group, outputs)


def _failed(group: Group, position: int, error: Exception) -> None:
    group.failures[position] = _text(error)
    if isinstance(error, _CAUSED_BY_INPUTS) or type(error).__name__ in _CAUSED_BY_INPUTS_NAMES:
        group.suspects.add(position)


def _find_not_finite(group: Group, outputs: dict[str, Array]) -> None:
    """Inputs are finite, but their products need not be."""
    if group.lease.model.manifest.allow_non_finite:
        return
    for array in outputs.values():
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        start = 0
        for position, rows in enumerate(group.rows):
            if position not in group.failures and not np.isfinite(array[start : start + rows]).all():
                group.failures[position] = _NOT_FINITE
                group.suspects.add(position)
            start += rows


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:FAILURE_CHARACTERS_MAX]
