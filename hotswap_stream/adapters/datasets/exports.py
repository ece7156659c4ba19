"""Labelled sets for other programs: as they are, as `.npz`, as Parquet."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hotswap_stream.adapters.evaluation.labelled_set import Array, LabelledSet

BATCH_ROWS = 65_536

Write = Callable[[Path, bytes, LabelledSet], None]


def _as_it_is(target: Path, content: bytes, _labelled: LabelledSet) -> None:
    target.write_bytes(content)


def _npz(target: Path, _content: bytes, labelled: LabelledSet) -> None:
    arrays = {**labelled.inputs, **labelled.truths}
    # Texts as numpy's own type: objects would have to be unpickled.
    plain = {name: array.astype(str) if array.dtype.kind == "O" else array for name, array in arrays.items()}
    np.savez(target, **plain)  # type: ignore[arg-type]  # the names are those of arrays


def _parquet(target: Path, _content: bytes, labelled: LabelledSet) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {**labelled.inputs, **labelled.truths}
    writer = None
    try:
        for start in range(0, len(labelled), BATCH_ROWS):
            batch = {name: _column(array[start : start + BATCH_ROWS]) for name, array in arrays.items()}
            table = pa.table(batch)
            writer = writer or pq.ParquetWriter(target, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _column(array: Array) -> object:
    """Return rows of any shape as nested lists of fixed sizes."""
    import pyarrow as pa

    column = pa.array(array.ravel().tolist() if array.dtype.kind == "O" else np.ascontiguousarray(array).ravel())
    for size in reversed(array.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


EXPORTS: dict[str, Write] = {".safetensors": _as_it_is, ".npz": _npz, ".parquet": _parquet}
"""Suffix of the file → what writes it."""
