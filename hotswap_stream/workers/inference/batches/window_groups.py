"""Requests to a version that takes windows, made into groups: the window of each as it was right after it."""

from collections.abc import Sequence

import numpy as np

from hotswap_events.inference.messages import WindowFacts
from hotswap_events.inference.windows import WindowRule
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.application.windows.rule import rule_of, same_series
from hotswap_stream.workers.inference.batches.batches import Batch, Group, NotReady, RefusedRequest
from hotswap_stream.workers.inference.batches.grouping import unknown_output
from hotswap_stream.workers.inference.requests.requests import Request
from hotswap_stream.workers.inference.requests.tensors import Array, WrongInputError, read_tensor
from hotswap_stream.workers.inference.windows.steps import NotTaken, Taken

Windowed = tuple[int, Request, dict[str, Array], WindowFacts]


def group_windows(
    lease: Lease, requests: Sequence[tuple[int, Request]], batch: Batch, *, probes: bool = False, pinned: bool = False
) -> list[Group]:
    """Group requests to a version that takes windows, one row each.

    Those that do not fit go to the batch's `refused`, those of a short series to `not_ready`.

    Args:
        lease: The version.
        requests: Requests and their places in the batch.
        batch: The batch, with what each entry brought for a window.
        probes: The requests try a version whose circuit is half-open.
        pinned: The requests name the version.
    """
    manifest = lease.model.manifest
    rule = rule_of(manifest)
    if rule is None:
        raise ValueError(f"{manifest.architecture!r} takes no window")
    by_shape: dict[tuple[tuple[int, ...], ...], list[Windowed]] = {}
    for index, request in requests:
        why = unknown_output(request, manifest)
        if why is not None:
            batch.refused[index] = why
            continue
        taken = _taken(batch, index, rule)
        if isinstance(taken, RefusedRequest):
            batch.refused[index] = taken
            continue
        facts = WindowFacts(steps=len(taken.steps), needed=rule.steps, ready=len(taken.steps) >= rule.steps)
        if not facts.ready:
            batch.not_ready[index] = NotReady(lease, facts, pinned)
            continue
        try:
            inputs = _other_inputs(lease, request, rule)
        except WrongInputError as error:
            batch.refused[index] = RefusedRequest("wrong-input", str(error))
            continue
        inputs[rule.input] = taken.steps[-rule.steps :][np.newaxis]
        shapes = tuple(array.shape for array in inputs.values())
        by_shape.setdefault(shapes, []).append((index, request, inputs, facts))
    return [_group(lease, items, probes=probes, pinned=pinned) for items in by_shape.values()]


def _taken(batch: Batch, index: int, rule: WindowRule) -> Taken | RefusedRequest:
    taken = None if batch.taken is None else batch.taken[index]
    if taken is None:
        return RefusedRequest("version-unavailable", "no windows are kept for this version yet; ask again in a moment")
    if isinstance(taken, NotTaken):
        return RefusedRequest("wrong-input", taken.reason)
    if not same_series(taken.rule, rule):
        kept = taken.rule
        return RefusedRequest(
            "wrong-input",
            f"the version takes steps {rule.input!r} of {rule.features} {rule.datatype}; kept are, for the version in "
            f"production, {kept.input!r} of {kept.features} {kept.datatype}",
        )
    return taken


def _other_inputs(lease: Lease, request: Request, rule: WindowRule) -> dict[str, Array]:
    manifest = lease.model.manifest
    wanted = [spec.name for spec in manifest.inputs]
    tensors = {tensor.name: tensor for tensor in request.body.inputs}
    if sorted(tensors) != sorted(wanted) or len(request.body.inputs) != len(wanted):
        given = [tensor.name for tensor in request.body.inputs]
        raise WrongInputError(f"inputs are {given}; the model takes {sorted(wanted)}, each once")
    others = [spec for spec in manifest.inputs if spec.name != rule.input]
    return {spec.name: read_tensor(spec, tensors[spec.name], manifest.allow_non_finite, rows_max=1) for spec in others}


def _group(lease: Lease, items: Sequence[Windowed], *, probes: bool, pinned: bool) -> Group:
    names = [spec.name for spec in lease.model.manifest.inputs]
    return Group(
        lease,
        [request for _, request, _, _ in items],
        [index for index, _, _, _ in items],
        [1] * len(items),
        {name: np.concatenate([inputs[name] for _, _, inputs, _ in items]) for name in names},
        probes,
        pinned,
        [facts for _, _, _, facts in items],
    )
