"""One way to compute a version."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hotswap_stream.errors import HotswapError

Array = npt.NDArray[Any]


EXPORTED_GRAPH = "exported-graph"
"""The executor of an architecture's graph, where its code is not installed."""


class ExecutorUnavailableError(HotswapError):
    """This executor cannot run this model here; the message says why."""


class Executor(Protocol):
    """One way to compute one version's forward pass. One call at a time."""

    @property
    def name(self) -> str:
        """Name of the executor in answers and logs."""
        ...

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Compute outputs from inputs, both in the manifest's order; there are as many rows out as in."""
        ...


def zeros_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return zeros; of texts, empty ones."""
    return np.full(shape, "", dtype) if dtype.kind == "O" else np.zeros(shape, dtype)
