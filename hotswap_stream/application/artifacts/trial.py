"""A trial: a model that comes from outside is opened and run in a process of its own, before anything relies on it."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from hotswap_events.registry.events import ArtifactTrial
from hotswap_events.registry.version_options import F32
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, Batching, Shape
from hotswap_stream.errors import HotswapError

WARNINGS_MAX = 32


class TrialFailedError(HotswapError):
    """The model cannot be served; the message says why."""


class ModelOptions(Struct, frozen=True, kw_only=True):
    """What a graph cannot say, by whoever hands it in."""

    labels: tuple[str, ...] = ()
    """Names of the classes that the columns of the first output stand for."""
    warm_up: dict[str, Shape] = {}
    """Input → a usual shape; needed where sizes are free and few fit."""
    batching: Batching | None = None
    """None: found out."""
    allow_non_finite: bool = False
    """Whether NaN and infinity may go in and come out."""


def parse_shapes(texts: Iterable[str]) -> dict[str, Shape]:
    """Return input → shape of texts INPUT=SHAPE, the shape as 1x3x224x224, or empty for a scalar.

    Raises:
        ValueError: One reads otherwise, or an input is named twice.
    """
    shapes: dict[str, Shape] = {}
    for text in texts:
        name, equals, sizes = text.rpartition("=")
        parts = sizes.split("x") if sizes else []
        if not equals or not name or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
            raise ValueError(f"{text[:200]!r} is not INPUT=SHAPE, such as pixels=1x3x224x224")
        if name in shapes:
            raise ValueError(f"input {name[:100]!r} is named twice")
        shapes[name] = tuple(int(part) for part in parts)
    return shapes


class TrialLimits(Struct, frozen=True, kw_only=True):
    """What the process of a trial may take."""

    seconds_max: int = 120
    cpu_seconds_max: int = 120
    memory_bytes_max: int = 8 * 1024**3
    """Address space, beside four times the files' size."""


DEFAULT_TRIAL_LIMITS = TrialLimits()


class TrialOrder(Struct, frozen=True, kw_only=True):
    """What to try: files by their names in the bundle, or an artifact that was made of some. Paths are the owner's."""

    files: dict[str, str] = {}
    artifact: str | None = None
    exported: str | None = None
    """With `artifact`: the graph of its architecture, without weights, that is to serve it."""
    options: ModelOptions = ModelOptions()
    limits: TrialLimits = DEFAULT_TRIAL_LIMITS
    threads: int = 1
    executor: str = "onnxruntime"
    """What it is to be run with; what goes in and out is found by ONNX Runtime in any case."""
    precision: str = F32


class TrialFacts(Struct, frozen=True, kw_only=True):
    """What the trial measured, on the machine where it was made."""

    executor: str
    load_ms: float
    """From the bytes to a session."""
    resident_bytes: int
    """By how much the process grew for it."""
    first_ms: float
    """The first inference, of one row, or of one request."""
    warm_ms: float
    """The median of some more."""
    opsets: dict[str, int] = {}
    producer: str = ""

    @property
    def measured(self) -> ArtifactTrial:
        """What the registration's event says of it."""
        return ArtifactTrial(
            executor=self.executor,
            load_ms=self.load_ms,
            resident_bytes=self.resident_bytes,
            first_ms=self.first_ms,
            warm_ms=self.warm_ms,
        )


class TrialPassed(Struct, frozen=True, kw_only=True, tag="passed"):
    """It can be served."""

    manifest: ArtifactManifest
    facts: TrialFacts
    warnings: Annotated[tuple[str, ...], Meta(max_length=WARNINGS_MAX)] = ()


class TrialRefused(Struct, frozen=True, kw_only=True, tag="refused"):
    """It cannot be served."""

    reason: str


TrialLine = TrialPassed | TrialRefused
