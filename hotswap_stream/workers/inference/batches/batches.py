"""A batch on its way through a worker: requests by the version that answers them, their inputs as one array each."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from msgspec import Struct

from hotswap_events.inference import ErrorCode, WindowFacts
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.workers.inference.requests.number_lists import all_exact, pack_numbers
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
from hotswap_stream.workers.inference.requests.tensors import NUMPY_DTYPES, Array, WrongInputError, read_inputs
from hotswap_stream.workers.inference.windows.steps import Taken


class RefusedRequest(Struct, frozen=True, gc=False):
    """Why a request cannot be given to a model."""

    code: ErrorCode
    reason: str


class Group(Struct, gc=False):
    """Requests of one forward pass: the same version, inputs that agree in all but the first dimension.

    `rows` are the rows of each request, `inputs` hold the rows of all in that order, and zeros behind them where the
    pass is padded. After the pass there are `outputs`
    in the same order, or `failures`: position in the group → what went wrong.
    """

    lease: Lease
    requests: list[Request]
    indexes: list[int]
    """Of each request in the batch."""
    rows: list[int]
    inputs: dict[str, Array]
    outputs: dict[str, Array] | None = None
    failures: dict[int, str] = {}
    suspects: set[int] = set()
    """Of the failures, those of a kind that a wrong input causes."""
    by_input: frozenset[int] = frozenset()
    """Of the failures, those that the input is to blame for: they say nothing against the version."""
    compute_ms: float = 0.0
    started_ms: float = 0.0
    """When the forward pass began, in milliseconds since 1970."""
    executor: str | None = None
    """What computed it."""
    probes: bool = False
    """Requests that try a version whose circuit is half-open."""
    pinned: bool = False
    """Requests that name the version."""
    windows: list[WindowFacts] | None = None
    """Of each request, where the version takes windows."""

    @property
    def version_failures(self) -> int:
        """How many requests the version is to blame for."""
        failed = len(self.requests) if self.outputs is None else len(self.failures)
        return failed - len(self.by_input)

    @property
    def row_count(self) -> int:
        """Rows of the forward pass."""
        return sum(self.rows)


class NotReady(Struct, frozen=True, gc=False):
    """A request whose series has too few steps for the version that should answer."""

    lease: Lease
    window: WindowFacts
    pinned: bool


class Batch(Struct, gc=False):
    """Requests and what was found wrong with some, in the order of their records."""

    entries: list[Request | Unreadable]
    groups: list[Group]
    refused: dict[int, RefusedRequest]
    """Index of an entry → why it was not given to a model."""
    leases: list[Lease]
    """Versions in use until the batch is answered."""
    taken: list[Taken | str | None] | None = None
    """Of each entry what it brought for a window, where windows are kept."""
    not_ready: dict[int, NotReady] = {}
    """Index of an entry → why it is answered without outputs."""


def group_requests(
    lease: Lease, requests: Sequence[tuple[int, Request]], refused: dict[int, RefusedRequest]
) -> list[Group]:
    """Groups of requests to one version; those whose tensors do not fit it go to `refused`."""
    manifest = lease.model.manifest
    readable = [item for item in requests if outputs_exist(item, manifest, refused)]
    uniform = _uniform(lease, readable)
    groups: list[Group] = []
    if uniform is not None:
        chosen, array = uniform
        _add_finite(groups, lease, chosen, array, refused)
        fast = {index for index, _ in chosen}
        readable = [item for item in readable if item[0] not in fast]
    by_shape: dict[tuple[tuple[int, ...], ...], list[tuple[int, Request, dict[str, Array]]]] = {}
    for index, request in readable:
        try:
            inputs = read_inputs(manifest, request.body.inputs)
        except WrongInputError as error:
            refused[index] = RefusedRequest("wrong-input", str(error))
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
            )
        )
    return groups


def outputs_exist(item: tuple[int, Request], manifest: ArtifactManifest, refused: dict[int, RefusedRequest]) -> bool:
    """Whether the outputs asked for are those of the model; if not, the request goes to `refused`."""
    index, request = item
    for output in request.body.outputs:
        known = [spec.name for spec in manifest.outputs]
        if output.name not in known:
            refused[index] = RefusedRequest(
                "wrong-input", f"output {output.name!r} is asked for; the model has {known}"
            )
            return False
    return True


def _uniform(lease: Lease, requests: Sequence[tuple[int, Request]]) -> tuple[list[tuple[int, Request]], Array] | None:
    """The common case without Python work per tensor: one input, one row, raw bytes or a flat list, all of the
    declared size.

    The array has the rows of the padded pass, those behind the requests' are zero.
    """
    manifest = lease.model.manifest
    if len(manifest.inputs) != 1:
        return None
    spec = manifest.inputs[0]
    inner = spec.shape[1:]
    if spec.shape[0] not in (-1, 1) or -1 in inner:
        return None
    dtype = NUMPY_DTYPES[spec.datatype]
    elements = 1
    for size in inner:
        elements *= size
    row_bytes = elements * dtype.itemsize
    packed = False
    chosen: list[tuple[int, Request]] = []
    chunks: list[bytes] = []
    name, datatype, shape = spec.name, spec.datatype, [1, *inner]
    for item in requests:
        tensors = item[1].body.inputs
        tensor = tensors[0]
        data = tensor.data
        if len(tensors) != 1 or tensor.shape != shape or tensor.name != name or tensor.datatype != datatype:
            continue
        if type(data) is list:
            chunk = pack_numbers(datatype, data, elements)
            if chunk is None:
                continue
            packed = True
        else:
            chunk = cast(bytes, data)
            if len(chunk) != row_bytes:
                continue
        chosen.append(item)
        chunks.append(chunk)
    if not chosen:
        return None
    rows = max(len(chunks), lease.model.padded_rows(len(chunks)))
    chunks.append(bytes((rows - len(chunks)) * row_bytes))
    # One copy, into memory that may be written to: what torch wants
    array: Array = np.frombuffer(bytearray().join(chunks), dtype=dtype).reshape(rows, *inner)
    if packed and not all_exact(array):
        # Seldom: then none of the lists goes this way.
        return _uniform(lease, [item for item in requests if type(item[1].body.inputs[0].data) is bytes])
    return chosen, array


def _add_finite(
    groups: list[Group],
    lease: Lease,
    chosen: list[tuple[int, Request]],
    array: Array,
    refused: dict[int, RefusedRequest],
) -> None:
    manifest = lease.model.manifest
    spec: TensorSpec = manifest.inputs[0]
    if not manifest.allow_non_finite and array.dtype.kind == "f":
        finite = np.isfinite(array)
        if not finite.all():
            good: Array = np.all(finite.reshape(len(array), -1), axis=1)[: len(chosen)]
            for (index, _), fine in zip(chosen, good, strict=True):
                if not fine:
                    refused[index] = RefusedRequest(
                        "wrong-input",
                        f"input {spec.name!r} holds NaN or infinity, which the model's manifest does not allow",
                    )
            chosen = [item for item, fine in zip(chosen, good, strict=True) if fine]
            array = array[: len(good)][good]
    if chosen:
        indexes = [index for index, _ in chosen]
        requests = [request for _, request in chosen]
        groups.append(Group(lease, requests, indexes, [1] * len(chosen), {spec.name: array}))
