"""How versions are executed: what the settings say, for the loader."""

from pathlib import Path
from typing import Literal

from msgspec import Struct

ExecutorSetting = Literal["auto", "eager", "channels-last", "onnxruntime", "compile", "openvino"]


class ExecutorConfig(Struct, frozen=True, kw_only=True):
    """How versions are executed. Without a `graph_folder` nothing is exported or compiled.

    Then eager and channels-last remain.
    """

    executor: ExecutorSetting = "auto"
    """A name other than `auto` is used if its outputs are right; else eager serves."""
    compile_allowed: bool = False
    """Whether `auto` may compile: half a minute of a second process per architecture, with a C++ compiler."""
    choice_ms_max: float = 1_000.0
    """Time for building, checking and timing executors within one load."""
    graph_ms_max: int = 300_000
    """Time for the process that exports or compiles an architecture."""
    graph_folder: Path | None = None
    batch_rows_max: int = 64
    """Rows of one forward pass at most; more rows are computed one pass after the other."""
    torch_threads: int = 1
    device: str = "cpu"
    """`cpu`, `cuda` or `cuda:N`. Not on the CPU there is eager and channels-last."""
