"""What is asked of the process that makes a graph of a model from elsewhere, and what it says."""

from typing import Literal

from msgspec import Struct

from hotswap_stream.application.artifacts.trial import ModelOptions

How = Literal["onnx", "xgboost", "lightgbm", "skops", "pt2"]
"""A graph as it is; a booster in XGBoost's own JSON or UBJSON; one in LightGBM's own text; an estimator as skops writes
it; an exported torch program."""
RESULT_FILE = "graph"
"""How the graph is named where it is put; what stands beside it is `beside-0`, `beside-1`, …"""


class ConversionLimits(Struct, frozen=True, kw_only=True):
    """What the process may take."""

    seconds_max: int = 300
    cpu_seconds_max: int = 300
    memory_bytes_max: int = 12 * 1024**3
    """Address space, beside eight times the file's size."""
    file_bytes_max: int = 2 * 1024**3
    """Size of one file that it writes."""


class ExampleFile(Struct, frozen=True, kw_only=True):
    """Example rows that came with the model."""

    path: str
    table: bool
    """Whether it names its columns, as a table in JSON by pandas' `split` does."""


class ConversionOrder(Struct, frozen=True, kw_only=True):
    """Paths are the owner's."""

    how: How
    file: str
    into: str
    """An empty folder for what is made."""
    model_class: str | None = None
    example: ExampleFile | None = None
    input_schema: str | None = None
    """MLflow's, as JSON."""
    trusted: bool = False
    """Whether what can run code while it is opened may be opened."""
    limits: ConversionLimits = ConversionLimits()


class Converted(Struct, frozen=True, kw_only=True, tag="converted"):
    """A graph is there."""

    beside: tuple[str, ...] = ()
    """Names that the graph has for the files beside it, in their order."""
    options: ModelOptions = ModelOptions()
    metrics: dict[str, float] = {}
    facts: dict[str, str] = {}
    environment: dict[str, str] = {}
    warnings: tuple[str, ...] = ()


class ConversionRefused(Struct, frozen=True, kw_only=True, tag="refused"):
    """No graph was made of it."""

    reason: str


ConversionLine = Converted | ConversionRefused
