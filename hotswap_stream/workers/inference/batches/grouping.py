"""Requests to one version, made into groups that share a forward pass."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from msgspec import Struct

from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.workers.inference.batches.batches import Group, RefusedRequest
from hotswap_stream.workers.inference.requests.number_lists import all_exact, pack_numbers
from hotswap_stream.workers.inference.requests.requests import Request
from hotswap_stream.workers.inference.requests.tensors import (
    NUMPY_DTYPES,
    ROWS_MAX,
    Array,
    WrongInputError,
    read_inputs,
)


def group_requests(
    lease: Lease,
    requests: Sequence[tuple[int, Request]],
    refused: dict[int, RefusedRequest],
    *,
    probes: bool = False,
    pinned: bool = False,
) -> list[Group]:
    """Group requests that one version answers, so that few forward passes are needed.

    Args:
        lease: The version.
        requests: Requests and their places in the batch.
        refused: Gets the requests whose tensors do not fit the version, by their places in the batch.
        probes: The requests try a version whose circuit is half-open.
        pinned: The requests name the version.
    """
    manifest = lease.model.manifest
    readable: list[tuple[int, Request]] = []
    for item in requests:
        # Most ask for no output by name.
        why = unknown_output(item[1], manifest) if item[1].body.outputs else None
        if why is None:
            readable.append(item)
        else:
            refused[item[0]] = why
    groups: list[Group] = []
    uniform = _uniform(lease, readable)
    if uniform is not None:
        if len(uniform.chosen) == len(readable):
            readable = []
        else:
            fast = {index for index, _ in uniform.chosen}
            readable = [item for item in readable if item[0] not in fast]
        uniform = _keep_finite(manifest, uniform, refused)
        if uniform.chosen:
            of_requests = [request for _, request in uniform.chosen]
            indexes = [index for index, _ in uniform.chosen]
            inputs = {manifest.inputs[0].name: uniform.array}
            groups.append(Group(lease, of_requests, indexes, uniform.rows, inputs, probes, pinned))
    by_shape: dict[tuple[tuple[int, ...], ...], list[tuple[int, Request, dict[str, Array]]]] = {}
    for index, request in readable:
        try:
            inputs = read_inputs(manifest, request.body.inputs)
        except WrongInputError as error:
            refused[index] = RefusedRequest("wrong-input", str(error))
            continue
        if not manifest.has_rows:
            groups.append(Group(lease, [request], [index], [1], inputs, probes, pinned))
            continue
        by_shape.setdefault(tuple(array.shape[1:] for array in inputs.values()), []).append((index, request, inputs))
    for items in by_shape.values():
        names = [spec.name for spec in manifest.inputs]
        groups.append(
            Group(
                lease,
                [request for _, request, _ in items],
                [index for index, _, _ in items],
                [inputs[names[0]].shape[0] for _, _, inputs in items],
                {name: np.concatenate([inputs[name] for _, _, inputs in items]) for name in names},
                probes,
                pinned,
            )
        )
    return groups


def unknown_output(request: Request, manifest: ArtifactManifest) -> RefusedRequest | None:
    """Return why the request is refused, when it asks for an output that the model does not have."""
    for output in request.body.outputs:
        known = [spec.name for spec in manifest.outputs]
        if output.name not in known:
            return RefusedRequest("wrong-input", f"output {output.name!r} is asked for; the model has {known}")
    return None


class _Uniform(Struct, frozen=True, gc=False):
    """Requests whose tensors need no look of their own, and their rows in one array."""

    chosen: list[tuple[int, Request]]
    rows: list[int]
    array: Array
    """As many rows as the padded pass has; those after the requests' are zero."""


def _uniform(lease: Lease, requests: Sequence[tuple[int, Request]]) -> _Uniform | None:
    """Do the common case without Python work per tensor: one input, as bytes or a flat list of the size of its rows.

    Returns:
        The requests of that kind; None if there are none.
    """
    manifest = lease.model.manifest
    if len(manifest.inputs) != 1 or not manifest.has_rows:
        return None
    spec = manifest.inputs[0]
    inner = list(spec.shape[1:])
    if spec.datatype == "BYTES" or spec.shape[0] not in (-1, 1) or -1 in inner:
        return None
    dtype = NUMPY_DTYPES[spec.datatype]
    elements = 1
    for size in inner:
        elements *= size
    row_bytes = elements * dtype.itemsize
    rows_max = ROWS_MAX if spec.shape[0] == -1 else 1
    packed = False
    chosen: list[tuple[int, Request]] = []
    rows: list[int] = []
    chunks: list[bytes] = []
    name, datatype, one = spec.name, spec.datatype, [1, *inner]
    for item in requests:
        tensors = item[1].body.inputs
        tensor = tensors[0]
        data = tensor.data
        if len(tensors) != 1 or tensor.name != name or tensor.datatype != datatype:
            continue
        count = 1
        if tensor.shape != one:
            count, *rest = tensor.shape or (0,)
            if not 1 <= count <= rows_max or rest != inner:
                continue
        if type(data) is list:
            chunk = pack_numbers(datatype, data, count * elements)
            if chunk is None:
                continue
            packed = True
        else:
            chunk = cast(bytes, data)
            if len(chunk) != count * row_bytes:
                continue
        chosen.append(item)
        rows.append(count)
        chunks.append(chunk)
    if not chosen:
        return None
    filled = sum(rows)
    padded = max(filled, lease.model.padded_rows(filled))
    chunks.append(bytes((padded - filled) * row_bytes))
    # One copy, into memory that may be written to: what torch wants
    array: Array = np.frombuffer(bytearray().join(chunks), dtype=dtype).reshape(padded, *inner)
    if packed and not all_exact(array):
        # Seldom: then none of the lists goes this way.
        return _uniform(lease, [item for item in requests if type(item[1].body.inputs[0].data) is bytes])
    return _Uniform(chosen, rows, array)


def _keep_finite(manifest: ArtifactManifest, found: _Uniform, refused: dict[int, RefusedRequest]) -> _Uniform:
    """Keep the requests whose rows are finite, if the manifest wants that; the others go to `refused`."""
    array = found.array
    if manifest.allow_non_finite or array.dtype.kind != "f":
        return found
    finite = np.isfinite(array)
    if finite.all():
        return found
    spec: TensorSpec = manifest.inputs[0]
    filled = sum(found.rows)
    of_rows = np.all(finite.reshape(len(array), -1), axis=1)[:filled]
    starts = np.cumsum([0, *found.rows[:-1]])
    good: list[bool] = np.logical_and.reduceat(of_rows, starts).tolist()
    for (index, _), fine in zip(found.chosen, good, strict=True):
        if not fine:
            refused[index] = RefusedRequest(
                "wrong-input",
                f"input {spec.name!r} holds NaN or infinity, which the model's manifest does not allow",
            )
    return _Uniform(
        [item for item, fine in zip(found.chosen, good, strict=True) if fine],
        [rows for rows, fine in zip(found.rows, good, strict=True) if fine],
        array[:filled][np.repeat(good, found.rows)],
    )
