"""Loaded versions, for the worker's ports."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hotswap_stream.adapters.torch.executors.batch_sizes import pad_rows, size_table
from hotswap_stream.adapters.torch.executors.executor_choice import Rates
from hotswap_stream.adapters.torch.executors.executors import EagerExecutor, Executor
from hotswap_stream.adapters.torch.modules.resources import give_back
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.swap.loader import Arrays

Array = npt.NDArray[Any]


class TorchLoadedModel:
    """A version and what executes it. Any thread may call `infer`; calls wait for each other.

    `sizes` are the rows a forward pass may have, ascending; empty means that rows must not be added: each call is one
    pass over exactly its rows.
    """

    def __init__(
        self,
        manifest: ArtifactManifest,
        executor: Executor,
        sizes: tuple[int, ...] = (),
        *,
        rates: Mapping[str, Rates] | None = None,
        device: str = "cpu",
    ) -> None:
        self._manifest = manifest
        self._names = tuple(spec.name for spec in manifest.inputs)
        self._outputs = tuple(spec.name for spec in manifest.outputs)
        self._executor: Executor | None = executor
        self._name: str = executor.name
        self._offered: tuple[Executor, Mapping[str, Rates]] | None = None
        self._guard = threading.Lock()
        self._one_call = threading.Lock()
        self._latest = threading.local()
        self._table = size_table(sizes) if sizes else ()
        self._rates = rates or {}
        self._device = device

    @property
    def manifest(self) -> ArtifactManifest:
        """Return the inputs and outputs that it declares."""
        return self._manifest

    @property
    def executor(self) -> str:
        """Return the name of what computed this thread's latest `infer`; before one, of what would compute it."""
        name: str = getattr(self._latest, "name", self._name)
        return name

    @property
    def executor_rates(self) -> Mapping[str, Rates]:
        """Return executor → rows per second, as measured when it was chosen; empty if nothing was measured."""
        return self._rates

    def padded_rows(self, rows: int) -> int:
        """Return the rows of the forward pass that computes `rows`; of each pass, if one cannot hold them."""
        table = self._table
        if not table:
            return rows
        return table[rows] if rows < len(table) else table[-1]

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        """Compute arrays of shape [rows, …]; arrays of `padded_rows` rows are used without a copy."""
        arrays = [inputs[name] for name in self._names]
        rows = len(arrays[0])
        size = self.padded_rows(rows)
        with self._one_call:
            if self._offered is not None:
                self._take_offered()
            executor = self._open_executor()
            outputs = executor.run(arrays) if rows == size else _in_passes(executor, arrays, rows, size)
        self._latest.name = executor.name
        return dict(zip(self._outputs, outputs, strict=True))

    def infer_exactly(self, inputs: Arrays, *, padded_batch_size: int, first_row: int = 0) -> dict[str, Array]:
        """Compute the rows in passes of exactly this size, from row `first_row` of the pass on.

        Raises:
            ValueError: The pass cannot hold them there.
        """
        arrays = [inputs[name] for name in self._names]
        rows = len(arrays[0])
        if not 0 <= first_row < padded_batch_size or (first_row and first_row + rows > padded_batch_size):
            raise ValueError(f"{rows} rows from row {first_row} on do not fit into a pass of {padded_batch_size}")
        if first_row:
            before = [np.zeros((first_row, *array.shape[1:]), array.dtype) for array in arrays]
            arrays = [np.concatenate(pair) for pair in zip(before, arrays, strict=True)]
        with self._one_call:
            executor = self._open_executor()
            found = _in_passes(executor, arrays, first_row + rows, padded_batch_size)
        self._latest.name = executor.name
        return {name: array[first_row:] for name, array in zip(self._outputs, found, strict=True)}

    def offer(self, executor: Executor, rates: Mapping[str, Rates]) -> None:
        """Use this executor from the next `infer` on. It must have been checked. Any thread may offer."""
        with self._guard:
            if self._executor is not None:
                self._offered = (executor, rates)

    def eager(self) -> EagerExecutor | None:
        """Return what serves as plain torch with weights of its own, so that it may run beside `infer`.

        None when what serves no longer has a module, or when closed.
        """
        executor = self._executor
        return executor.as_eager() if isinstance(executor, EagerExecutor) else None

    def close(self) -> None:
        """Drop the weights. A thread gives the memory back to the system, so that this call takes no time."""
        with self._guard:
            dropped = [self._executor, self._offered]
            self._executor = self._offered = None
        give_back(dropped.clear, self._device)

    def _open_executor(self) -> Executor:
        if self._executor is None:
            raise RuntimeError("the model was closed")
        return self._executor

    def _take_offered(self) -> None:
        with self._guard:
            if self._offered is not None and self._executor is not None:
                self._executor, self._rates = self._offered
                self._name = self._executor.name
            self._offered = None


def _in_passes(executor: Executor, arrays: list[Array], rows: int, size: int) -> list[Array]:
    """Compute in passes of `size` rows each, the last one padded."""
    if rows <= size:
        outputs = executor.run([array if rows == size else pad_rows(array, size) for array in arrays])
        return outputs if rows == size else [output[:rows] for output in outputs]
    parts = []
    for start in range(0, rows, size):
        part = [array[start : start + size] for array in arrays]
        parts.append(_in_passes(executor, part, min(size, rows - start), size))
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
