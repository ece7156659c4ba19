"""What a converter hands over: ways to make a graph of a model, and what the model itself answers."""

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from hotswap_stream.adapters.models.executor import Array

GRAPH_NAME = "model.onnx"
ROWS_MAX = 10_000
"""Rows of an example that are looked at."""


class Built(Struct, frozen=True, kw_only=True):
    """A graph on the disk. What it needs beside it stands in the same folder."""

    file: Path
    beside: dict[str, Path] = {}
    inputs: dict[str, Array] | None = None
    """The example as the graph takes it; None: there is none."""
    wanted: Mapping[str, Array] | None = None
    """What the model answers to the example, by the graph's outputs; None: the file is the model."""
    warnings: tuple[str, ...] = ()
    """Where the graph does otherwise than the model on purpose."""


class Attempt(Struct, frozen=True, kw_only=True):
    """One way to convert. It is taken if the graph then answers as the model does."""

    words: str
    """Which way, for messages."""
    build: Callable[[Path], Built]
    """Makes the graph in a folder of its own; raises whatever the converter raises."""


class Conversion(Struct, frozen=True, kw_only=True):
    """All that is known of a model before it is converted."""

    framework: str
    framework_version: str
    converter: str | None = None
    """None: nothing is converted."""
    converter_version: str = ""
    attempts: tuple[Attempt, ...]
    """Ways to convert, the preferred one first."""
    labels: tuple[str, ...] = ()
    classifies: bool = False
    """Whether the highest score, or an output of labels, is the answer."""
    ask: Callable[[], object] | None = None
    """Asks the model itself with the example; raises whatever it raises where the example does not fit."""
    hint: str = ""
    """What helps if no way holds."""
    warnings: tuple[str, ...] = ()
    examples_allow_non_finite: bool = False
    """Whether the example has NaN or infinity in it."""
