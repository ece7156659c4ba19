"""From a graph to its manifest: what the graph declares, held against what it does."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from hotswap_stream.adapters.models.checking import NUMPY_OF, rows_mix, sample_array
from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.adapters.onnx.graph import GraphSignature, GraphTensor, UnsupportedGraphError
from hotswap_stream.adapters.onnx.session import OnnxGraphExecutor
from hotswap_stream.application.artifacts.manifest import WARM_UP_ELEMENTS_MAX, ArtifactManifest, TensorSpec
from hotswap_stream.application.artifacts.trial import ModelOptions

FREE_SIZES = (8, 1, 16, 32, 64, 128, 224, 256, 512)
"""What free sizes are tried with, one after the other, where nobody says a usual shape."""
KEYS_ALONE_MAX = 8
"""Free sizes up to which each is also tried by itself, with 1 for the others."""
ROWS = 3
MIXED_ROWS = 8
SEEDS = (0, 1)

_DATATYPE_OF = {np.dtype(name): datatype for datatype, name in NUMPY_OF.items()}

Shapes = dict[str, tuple[int, ...]]


class Derived(Struct, frozen=True):
    """A manifest that holds, and what about the graph is worth saying."""

    manifest: ArtifactManifest
    warnings: tuple[str, ...]


def derive_manifest(session: Any, signature: GraphSignature, options: ModelOptions) -> Derived:
    """Return the manifest of a graph, found out by running it.

    Args:
        session: ONNX Runtime's.
        signature: What the graph declares.
        options: What it cannot say.

    Raises:
        UnsupportedGraphError: It does not run, or not as declared.
    """
    _check_options(signature, options)
    return _Deriving(session, signature, options).derived()


class _Run(Struct, frozen=True):
    shapes: Shapes
    outputs: list[Array]


class _Deriving:
    def __init__(self, session: Any, signature: GraphSignature, options: ModelOptions) -> None:
        self._session = session
        self._signature = signature
        self._options = options
        self._names = [tensor.name for tensor in signature.outputs]
        self._warnings: list[str] = []

    def derived(self) -> Derived:
        if self._may_have_rows():
            found = self._with_rows()
            if found is not None:
                return Derived(found, tuple(self._warnings))
            if self._options.batching == "rows":
                raise UnsupportedGraphError(
                    "the graph does not compute rows apart from each other: the first dimension of an output is not "
                    "that of the inputs, or rows change each other; batching 'request' would do"
                )
            self._warnings.append(
                "rows of a batch change each other, or outputs do not have the inputs' rows: requests are computed one "
                "by one"
            )
        elif self._options.batching == "rows":
            raise UnsupportedGraphError(
                "batching 'rows' needs a free first dimension of one name in all inputs; the graph has "
                + ", ".join(f"{tensor.name} {_shown(tensor.dimensions)}" for tensor in self._signature.inputs)
            )
        elif self._options.batching is None:
            self._warnings.append("the first dimension is no batch of any size: requests are computed one by one")
        return Derived(self._one_by_one(), tuple(self._warnings))

    def _may_have_rows(self) -> bool:
        if self._options.batching == "request":
            return False
        firsts = {(tensor.dimensions or (1,))[0] for tensor in self._signature.inputs}
        return len(firsts) == 1 and all(isinstance(first, str) for first in firsts)

    def _with_rows(self) -> ArtifactManifest | None:
        run = self._first_that_runs(1)
        more = self._run(self._at_rows(run.shapes, ROWS), SEEDS[0])
        if isinstance(more, Exception):
            return None
        again = self._run(run.shapes, SEEDS[1])
        for one, three in zip(run.outputs, more, strict=True):
            if not one.ndim or one.ndim != three.ndim or (len(one), len(three)) != (1, ROWS):
                return None
        seen = [run.outputs, more, *([] if isinstance(again, Exception) else [again])]
        manifest = self._manifest(run.shapes, seen, first=-1)
        executor = _SessionExecutor(self._session, manifest)
        try:
            mixed = rows_mix(manifest, executor, MIXED_ROWS)
        except Exception:  # noqa: BLE001  # ONNX Runtime's classes have no base of their own
            return None
        return None if mixed else manifest

    def _one_by_one(self) -> ArtifactManifest:
        run = self._first_that_runs(1)
        again = self._run(run.shapes, SEEDS[1])
        seen = [run.outputs, *([] if isinstance(again, Exception) else [again])]
        return self._manifest(run.shapes, seen, first=None)

    def _manifest(self, shapes: Shapes, seen: Sequence[Sequence[Array]], *, first: int | None) -> ArtifactManifest:
        """`first` -1: the first dimension is the batch; None: there is none."""
        if not self._options.allow_non_finite and not all(_is_finite(array) for outputs in seen for array in outputs):
            raise UnsupportedGraphError(
                "the graph returns NaN or infinity for ordinary inputs; if that is an answer, allow it "
                "(allow_non_finite)"
            )
        inputs = tuple(
            TensorSpec(name=tensor.name, datatype=tensor.datatype, shape=_declared(tensor, shapes[tensor.name]))
            for tensor in self._signature.inputs
        )
        free = any(-1 in spec.shape[0 if first is None else 1 :] for spec in inputs)
        outputs = [
            self._output(tensor, [run[index] for run in seen], first=first, may_vary=free)
            for index, tensor in enumerate(self._signature.outputs)
        ]
        # What is judged (labels, agreement, drift) is the first output: class scores rather than the label alone.
        judged = next((spec for spec in outputs if _is_scores(spec, seen[0][self._names.index(spec.name)])), outputs[0])
        outputs = [judged, *(spec for spec in outputs if spec is not judged)]
        labels = self._options.labels
        if labels and judged.shape[-1:] not in ((len(labels),), (-1,)):
            raise UnsupportedGraphError(
                f"{len(labels)} labels for output {judged.name!r} of shape {list(judged.shape)}; one for each column "
                "is needed"
            )
        return ArtifactManifest(
            kind="onnx",
            inputs=inputs,
            outputs=tuple(outputs),
            warm_up=dict(shapes),
            allow_non_finite=self._options.allow_non_finite,
            batching="request" if first is None else "rows",
            labels=labels,
        )

    def _output(self, tensor: GraphTensor, seen: Sequence[Array], *, first: int | None, may_vary: bool) -> TensorSpec:
        found = seen[0]
        datatype = _DATATYPE_OF.get(found.dtype)
        if datatype is None:
            raise UnsupportedGraphError(f"output {tensor.name!r} is of type {found.dtype}, which cannot be answered")
        if datatype != tensor.datatype:
            self._warnings.append(
                f"output {tensor.name!r} is declared as {tensor.datatype} and comes as {datatype}: the latter counts"
            )
        start = 0 if first is None else 1
        shape = list(found.shape)
        for index in range(start, found.ndim):
            sizes = {array.shape[index] if index < array.ndim else -1 for array in seen}
            declared = tensor.dimensions[index] if tensor.dimensions and index < len(tensor.dimensions) else ""
            is_free = isinstance(declared, str) and may_vary
            shape[index] = -1 if is_free or len(sizes) > 1 or not found.shape[index] else found.shape[index]
        if first is not None:
            shape[0] = first
        declared_shape = tensor.dimensions
        if declared_shape is not None and not _agrees(declared_shape, [array.shape for array in seen]):
            self._warnings.append(
                f"output {tensor.name!r} is declared with shape {_shown(declared_shape)} and comes as {shape}: the "
                "latter counts"
            )
        return TensorSpec(name=tensor.name, datatype=datatype, shape=tuple(shape))

    def _first_that_runs(self, rows: int) -> _Run:
        tried: Exception | None = None
        for shapes in self._usual_shapes(rows):
            outputs = self._run(shapes, SEEDS[0])
            if not isinstance(outputs, Exception):
                return _Run(shapes, outputs)
            tried = tried or outputs
        raise UnsupportedGraphError(
            f"the graph does not run on made-up inputs of the shapes that it declares: {_first_line(tried)}; say usual "
            "shapes (warm_up), such as 'pixels=1x3x224x224'"
        )

    def _usual_shapes(self, rows: int) -> Iterator[Shapes]:
        tensors = self._signature.inputs
        unknown = [tensor for tensor in tensors if tensor.name not in self._options.warm_up]
        for tensor in unknown:
            if tensor.dimensions is None:
                raise UnsupportedGraphError(
                    f"the graph does not say how many dimensions input {tensor.name!r} has; say a usual shape (warm_up)"
                )
        for free in _free_sizes(unknown):
            shapes: Shapes = {}
            for tensor in tensors:
                usual = self._options.warm_up.get(tensor.name)
                shapes[tensor.name] = usual or tuple(
                    size if isinstance(size, int) else (rows if index == 0 else free[_key(tensor, index)])
                    for index, size in enumerate(tensor.dimensions or ())
                )
            if sum(math.prod(shape) for shape in shapes.values()) > WARM_UP_ELEMENTS_MAX:
                raise UnsupportedGraphError(
                    f"inputs of the shapes {shapes} have more than {WARM_UP_ELEMENTS_MAX} elements"
                )
            yield shapes

    @staticmethod
    def _at_rows(shapes: Shapes, rows: int) -> Shapes:
        return {name: (rows, *shape[1:]) for name, shape in shapes.items()}

    def _run(self, shapes: Shapes, seed: int) -> list[Array] | Exception:
        generator = np.random.default_rng(seed)
        inputs = {
            tensor.name: sample_array(generator, tensor.datatype, shapes[tensor.name], normal=bool(seed % 2))
            for tensor in self._signature.inputs
        }
        try:
            found = self._session.run(self._names, inputs)
        except Exception as error:  # noqa: BLE001  # ONNX Runtime's classes have no base of their own
            return error
        outputs: list[Array] = []
        for name, value in zip(self._names, found, strict=True):
            if not isinstance(value, np.ndarray):
                raise UnsupportedGraphError(f"output {name!r} comes as a {type(value).__name__}, not as a tensor")
            outputs.append(value)
        return outputs


def _key(tensor: GraphTensor, index: int) -> str:
    """Return what tells a free size from others: dimensions of one name have one size."""
    size = (tensor.dimensions or ())[index]
    return f"named {size}" if isinstance(size, str) and size else f"{index} of {tensor.name}"


def _free_sizes(tensors: Sequence[GraphTensor]) -> Iterator[dict[str, int]]:
    """Yield sizes to try for all free dimensions but the first ones: the same for all, then each by itself."""
    keys = [
        _key(tensor, index)
        for tensor in tensors
        for index, size in enumerate(tensor.dimensions or ())
        if index and isinstance(size, str)
    ]
    distinct = list(dict.fromkeys(keys))
    for size in FREE_SIZES if distinct else (1,):
        yield dict.fromkeys(distinct, size)
    if 1 < len(distinct) <= KEYS_ALONE_MAX:
        for key in distinct:
            for size in FREE_SIZES:
                yield {**dict.fromkeys(distinct, 1), key: size}


class _SessionExecutor(OnnxGraphExecutor):
    def __init__(self, session: Any, manifest: ArtifactManifest) -> None:
        self._session = session
        self._inputs = [spec.name for spec in manifest.inputs]
        self._outputs = [spec.name for spec in manifest.outputs]


def _check_options(signature: GraphSignature, options: ModelOptions) -> None:
    known: Mapping[str, GraphTensor] = {tensor.name: tensor for tensor in signature.inputs}
    for name, shape in options.warm_up.items():
        tensor = known.get(name)
        if tensor is None:
            raise UnsupportedGraphError(f"warm_up names input {name[:100]!r}; the graph takes {sorted(known)}")
        declared = tensor.dimensions
        if min(shape, default=1) < 1 or (
            declared is not None
            and (
                len(shape) != len(declared)
                or any(isinstance(size, int) and size != usual for size, usual in zip(declared, shape, strict=True))
            )
        ):
            raise UnsupportedGraphError(f"warm_up shape {list(shape)} does not fit input {name!r} {_shown(declared)}")


def _declared(tensor: GraphTensor, usual: tuple[int, ...]) -> tuple[int, ...]:
    if tensor.dimensions is None:
        return tuple(-1 for _ in usual)
    return tuple(size if isinstance(size, int) else -1 for size in tensor.dimensions)


def _agrees(declared: Sequence[int | str], shapes: Sequence[tuple[int, ...]]) -> bool:
    return all(
        len(declared) == len(shape)
        and all(isinstance(size, str) or size == found for size, found in zip(declared, shape, strict=True))
        for shape in shapes
    )


def _is_scores(spec: TensorSpec, found: Array) -> bool:
    return spec.datatype.startswith("FP") and found.ndim == 2 and found.shape[1] > 1


def _is_finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _shown(dimensions: Sequence[int | str] | None) -> str:
    if dimensions is None:
        return "of unknown dimensions"
    return "[" + ", ".join(str(size) if isinstance(size, int) else size or "free" for size in dimensions) + "]"


def _first_line(error: Exception | None) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:1_000]
