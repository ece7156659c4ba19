"""A loaded version that computes in passes of a few known sizes, for the worker's ports."""

import threading

import numpy as np

from hotswap_stream.adapters.models.batch_sizes import pad_rows, size_table
from hotswap_stream.adapters.models.executor import Array, Executor, zeros_of
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.swap.loader import Arrays


class PaddedModel:
    """A version and what executes it. Any thread may call `infer`; calls wait for each other.

    `sizes` are the rows a forward pass may have, ascending; empty means that rows must not be added: each call is one
    pass over exactly its rows.
    """

    def __init__(self, manifest: ArtifactManifest, executor: Executor, sizes: tuple[int, ...] = ()) -> None:
        self._manifest = manifest
        self._names = tuple(spec.name for spec in manifest.inputs)
        self._outputs = tuple(spec.name for spec in manifest.outputs)
        self._executor: Executor | None = executor
        self._name: str = executor.name
        self._one_call = threading.Lock()
        self._latest = threading.local()
        self.sizes = sizes
        self._table = size_table(sizes) if sizes else ()

    @property
    def manifest(self) -> ArtifactManifest:
        """Return the inputs and outputs that it declares."""
        return self._manifest

    @property
    def executor(self) -> str:
        """Return the name of what computed this thread's latest `infer`; before one, of what would compute it."""
        name: str = getattr(self._latest, "name", self._name)
        return name

    def padded_rows(self, rows: int) -> int:
        """Return the rows of the forward pass that computes `rows`; of each pass, if one cannot hold them."""
        table = self._table
        if not table:
            return rows
        return table[rows] if rows < len(table) else table[-1]

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        """Compute arrays of shape [rows, …]; arrays of `padded_rows` rows are used without a copy.

        Where the version takes requests one by one, the arrays are one request's, of any shape.
        """
        arrays = [inputs[name] for name in self._names]
        rows = size = 1
        if self._table:
            rows = len(arrays[0])
            size = self.padded_rows(rows)
        with self._one_call:
            executor = self._executor_now()
            outputs = executor.run(arrays) if rows == size else _in_passes(executor, arrays, rows, size)
        self._latest.name = executor.name
        return dict(zip(self._outputs, outputs, strict=True))

    def infer_exactly(self, inputs: Arrays, *, padded_batch_size: int, first_row: int = 0) -> dict[str, Array]:
        """Compute the rows in passes of exactly this size, from row `first_row` of the pass on.

        Raises:
            ValueError: The pass cannot hold them there.
        """
        arrays = [inputs[name] for name in self._names]
        if not self._manifest.has_rows:
            return self.infer(inputs)
        rows = len(arrays[0])
        if not 0 <= first_row < padded_batch_size or (first_row and first_row + rows > padded_batch_size):
            raise ValueError(f"{rows} rows from row {first_row} on do not fit into a pass of {padded_batch_size}")
        if first_row:
            before = [zeros_of((first_row, *array.shape[1:]), array.dtype) for array in arrays]
            arrays = [np.concatenate(pair) for pair in zip(before, arrays, strict=True)]
        with self._one_call:
            executor = self._open_executor()
            found = _in_passes(executor, arrays, first_row + rows, padded_batch_size)
        self._latest.name = executor.name
        return {name: array[first_row:] for name, array in zip(self._outputs, found, strict=True)}

    def _executor_now(self) -> Executor:
        """Return what computes the next pass; another one may have been offered. Called under the lock."""
        return self._open_executor()

    def _open_executor(self) -> Executor:
        if self._executor is None:
            raise RuntimeError("the model was closed")
        return self._executor


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
