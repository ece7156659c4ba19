"""What an artifact says about itself: what computes it, what goes in and out, how to warm it up."""

import math
import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.inference.messages import DATATYPE_BYTES, Datatype
from hotswap_events.inference.signature import ModelSignature, TensorSignature
from hotswap_events.inference.windows import WINDOW_BYTES_MAX

Argument = str | int | float | bool | None
"""An architecture's argument is a JSON scalar, so that a manifest can never carry code or nested surprises."""

DIMENSIONS_MAX = 8
TENSORS_MAX = 64
ARGUMENTS_MAX = 64
ARGUMENT_CHARACTERS_MAX = 1_024
WARM_UP_ELEMENTS_MAX = 2**26
"""Over all inputs: a manifest must not make a worker allocate without bound."""
INTEGER_MAX = 2**53
"""Larger integers do not survive every JSON reader."""

WINDOW_STEPS_MAX = 4_096
"""Steps of one window, and of one request: so a whole window can be brought by one."""

LABELS_MAX = 10_000
LABEL_CHARACTERS_MAX = 256

Kind = Literal["architecture", "onnx", "runtime", "dataset", "exported", "files"]
"""`architecture`: weights for code that is registered under a name. `onnx`: a graph, which is all there is. `runtime`:
files for code that is registered under a name. `dataset`: labelled rows that versions are measured on; never a version
itself. `exported`: an architecture as a graph without weights, for workers where its code is not installed; no version
either. `files`: what a training run left beside its model; no version either."""
Batching = Literal["rows", "request"]
"""`rows`: the first dimension of each input and output is the batch, and requests share a pass. `request`: each request
is a pass of its own, over exactly its tensors."""

_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NAME_CHARACTERS_MAX = 128
_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_PACKAGE_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,99}|")

Shape = Annotated[tuple[int, ...], Meta(max_length=DIMENSIONS_MAX)]


class TensorSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input or output. `shape` holds a -1 where the size is free; it is empty for a scalar.

    The first dimension is the batch, unless the manifest says that requests are not batched.
    """

    name: str
    datatype: Datatype
    shape: Shape

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= _NAME_CHARACTERS_MAX or not self.name.isprintable():
            raise ValueError(
                f"tensor name {self.name[:100]!r} is not valid: 1 to {_NAME_CHARACTERS_MAX} printable characters"
            )
        if any(size != -1 and not 1 <= size <= INTEGER_MAX for size in self.shape):
            raise ValueError(
                f"shape {list(self.shape)} of tensor {self.name!r} is not valid: sizes from 1, or -1 for free"
            )

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Return whether a concrete shape is one this tensor may have."""
        return len(shape) == len(self.shape) and all(
            actual >= 0 if wanted == -1 else actual == wanted for wanted, actual in zip(self.shape, shape, strict=True)
        )


class WindowSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The input that workers fill from a series' latest steps.

    A request brings the newest ones, as [1 to 4,096, features] or [1, 1 to 4,096, features] under the input's name, and
    names its series by the routing key or the record's key.
    """

    input: str
    steps: Annotated[int, Meta(ge=1, le=WINDOW_STEPS_MAX)]
    """The module takes; until a series has as many, its requests are answered without outputs."""


class Package(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Python package: what brought the code that made an artifact, so that whoever lacks it is told its name."""

    name: str
    version: str = ""

    def __post_init__(self) -> None:
        if not _PACKAGE.fullmatch(self.name) or not _PACKAGE_VERSION.fullmatch(self.version):
            raise ValueError(f"{self.name[:100]!r} {self.version[:100]!r} is no name and version of a package")


class ArtifactManifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of an artifact that is not weights. ValueError (msgspec.ValidationError when decoded) if wrong."""

    architecture: str = ""
    """Name under which the architecture is registered; empty where the kind is another one."""
    arguments: dict[str, Argument] = {}
    """Keyword arguments of the architecture; or of a runtime, which gets them when it loads."""
    inputs: Annotated[tuple[TensorSpec, ...], Meta(min_length=1, max_length=TENSORS_MAX)]
    outputs: Annotated[tuple[TensorSpec, ...], Meta(min_length=1, max_length=TENSORS_MAX)]
    warm_up: dict[str, Shape]
    """Per input, the concrete shape of the inference that is run once before the module may serve."""
    allow_non_finite: bool = False
    """Whether NaN or infinity in an output is an answer rather than a failure."""
    format_version: Literal[1] = 1
    window: WindowSpec | None = None
    """Set: workers keep a window of steps per series for this input."""
    kind: Kind = "architecture"
    batching: Batching = "rows"
    labels: Annotated[tuple[str, ...], Meta(max_length=LABELS_MAX)] = ()
    """Names of the classes that the columns of the first output stand for."""
    runtime: str = ""
    """Name under which the runtime is registered; empty where the kind is another one."""
    package: Package | None = None
    """What brings the architecture or the runtime. Nothing is ever installed or imported by this name."""

    @property
    def has_rows(self) -> bool:
        """Whether the first dimension is the batch."""
        return self.batching == "rows"

    @property
    def signature(self) -> ModelSignature:
        """What users send and get. Of a window they send as many of the newest steps as they have."""
        window = None if self.window is None else self.window.input

        def shown(spec: TensorSpec) -> TensorSignature:
            shape = (-1, -1, *spec.shape[2:]) if spec.name == window else spec.shape
            return TensorSignature(name=spec.name, datatype=spec.datatype, shape=shape)

        return ModelSignature(
            inputs=tuple(map(shown, self.inputs)), outputs=tuple(map(shown, self.outputs)), batching=self.batching
        )

    @property
    def what(self) -> str:
        """What computes it, for messages and logs."""
        return self.architecture or self.runtime or self.kind

    def __post_init__(self) -> None:
        self._check_code()
        _check_arguments(self.arguments)
        for what, specs in (("inputs", self.inputs), ("outputs", self.outputs)):
            names = [spec.name for spec in specs]
            if len(set(names)) != len(names):
                raise ValueError(f"{what} name a tensor twice: {names}")
        wanted = {spec.name: spec for spec in self.inputs}
        if set(self.warm_up) != set(wanted):
            raise ValueError(f"warm_up names {sorted(self.warm_up)}, but the inputs are {sorted(wanted)}")
        for name, shape in self.warm_up.items():
            if min(shape, default=1) < 1 or not wanted[name].fits(shape):
                raise ValueError(
                    f"warm_up shape {list(shape)} does not fit input {name!r} of shape {list(wanted[name].shape)}"
                )
        if sum(math.prod(shape) for shape in self.warm_up.values()) > WARM_UP_ELEMENTS_MAX:
            raise ValueError(f"the warm_up shapes have more than {WARM_UP_ELEMENTS_MAX} elements")
        if any(len(label) > LABEL_CHARACTERS_MAX for label in self.labels):
            raise ValueError(f"a label has more than {LABEL_CHARACTERS_MAX} characters")
        if self.has_rows and any(not spec.shape for spec in (*self.inputs, *self.outputs)):
            raise ValueError("a tensor without dimensions has no rows: its manifest needs batching 'request'")
        if self.window is not None:
            if not self.has_rows:
                raise ValueError("a window needs batching 'rows'")
            _check_window(self.window, wanted)

    def _check_code(self) -> None:
        for kind, name in (("architecture", self.architecture), ("runtime", self.runtime)):
            if self.kind != kind:
                if name:
                    raise ValueError(f"an artifact of kind {self.kind!r} names no {kind}")
            elif not _ARCHITECTURE.fullmatch(name):
                raise ValueError(f"{kind} name {name[:100]!r} is not valid: lower-case letters, digits, '.', '_', '-'")
        if self.kind == "onnx" and (self.arguments or self.package is not None):
            raise ValueError("an artifact of kind 'onnx' takes no arguments and needs no package")


def _check_window(window: WindowSpec, inputs: dict[str, TensorSpec]) -> None:
    spec = inputs.get(window.input)
    if spec is None:
        raise ValueError(f"window names input {window.input[:100]!r}, but the inputs are {sorted(inputs)}")
    if len(spec.shape) != 3 or spec.shape[:2] != (-1, window.steps) or spec.shape[2] < 1:
        raise ValueError(
            f"input {spec.name!r} has shape {list(spec.shape)}; a window of {window.steps} steps takes "
            f"[-1, {window.steps}, features], with a fixed number of features"
        )
    if spec.datatype == "BYTES":
        raise ValueError(f"input {spec.name!r} takes texts; a window is made of numbers")
    size_bytes = window.steps * spec.shape[2] * DATATYPE_BYTES[spec.datatype]
    if size_bytes > WINDOW_BYTES_MAX:
        raise ValueError(
            f"a window of {window.steps} steps has {size_bytes} bytes; at most {WINDOW_BYTES_MAX} are allowed"
        )


def _check_arguments(arguments: dict[str, Argument]) -> None:
    if len(arguments) > ARGUMENTS_MAX:
        raise ValueError(f"{len(arguments)} arguments; at most {ARGUMENTS_MAX} are allowed")
    for name, value in arguments.items():
        if not name.isidentifier() or len(name) > 63:
            raise ValueError(f"argument name {name[:100]!r} is not valid: a Python identifier of at most 63 characters")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"argument {name!r} is {value}; a finite number is needed")
        if isinstance(value, int) and abs(value) > INTEGER_MAX:
            raise ValueError(f"argument {name!r} is {value}; at most 2**53 in size is allowed")
        if isinstance(value, str) and len(value) > ARGUMENT_CHARACTERS_MAX:
            raise ValueError(f"argument {name!r} has {len(value)} characters; at most {ARGUMENT_CHARACTERS_MAX}")
