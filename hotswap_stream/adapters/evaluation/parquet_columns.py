"""Columns of a Parquet file as arrays of a labelled set. Runs in a process of its own: the parser is not ours."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hotswap_stream.adapters.evaluation.labelled_set import Array
from hotswap_stream.application.artifacts.manifest import DIMENSIONS_MAX, TENSORS_MAX
from hotswap_stream.application.training.validation_sets import ValidationSetError

COLUMNS_MAX = 4_096
BATCH_ROWS = 65_536
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_NUMBERED = re.compile(r"(.+)\.(0|[1-9][0-9]{0,3})", re.DOTALL)


def read_columns(path: Path, bytes_max: int) -> dict[str, Array]:
    """Return the arrays in a Parquet file.

    A column of numbers, truth values or texts is an array of one element a row; a column of lists that are all of one
    length has as many; columns NAME.0, NAME.1 … are one array NAME, side by side. An index that pandas saved is left
    out.

    Args:
        path: The file.
        bytes_max: How many bytes all arrays may have.

    Raises:
        ValidationSetError: It is no such file; the message says what is wrong.
    """
    try:
        with pq.ParquetFile(path) as file:
            return _side_by_side(_columns(file, bytes_max))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, ValidationSetError):
            raise
        raise ValidationSetError(f"the Parquet file cannot be read: {str(error)[:500]}") from error


def _columns(file: Any, bytes_max: int) -> dict[str, Array]:
    schema, rows = file.schema_arrow, file.metadata.num_rows
    names = [name for name in schema.names if not _PANDAS_INDEX.fullmatch(name)]
    if not 1 <= len(names) <= COLUMNS_MAX:
        raise ValidationSetError(f"the Parquet file has {len(names)} columns; 2 to {COLUMNS_MAX} are allowed")
    if len(set(names)) != len(names):
        raise ValidationSetError("the Parquet file names a column twice")
    for name in names:
        _check_type(name, schema.field(name).type)
    if rows * len(names) > bytes_max:
        raise ValidationSetError(
            f"the Parquet file claims {rows} rows of {len(names)} columns; at most {bytes_max} bytes are allowed"
        )
    batches, size_bytes = [], 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names, use_threads=False):
        # What stands in the file may be much less: a text that is in every row is written once.
        size_bytes += sum(_plain(column).nbytes for column in batch.columns)
        if size_bytes > bytes_max:
            raise ValidationSetError(f"unpacked, the Parquet file has more than the {bytes_max} bytes that are allowed")
        batches.append(batch)
    if not batches:
        raise ValidationSetError("the set is empty; at least one labelled row is needed")
    table = pa.Table.from_batches(batches)
    return {name: _array(name, table.column(name)) for name in names}


def _check_type(name: str, datatype: Any) -> None:
    found = datatype
    for _ in range(DIMENSIONS_MAX):
        if pa.types.is_dictionary(found) or _is_list(found):
            found = found.value_type
    usable = pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_boolean(found) or _is_text(found)
    if not usable:
        raise ValidationSetError(
            f"column {name[:100]!r} is of type {datatype}; numbers, truth values, texts, or lists of them are needed: "
            "convert it before you save it"
        )


def _is_list(datatype: Any) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(kind(datatype) for kind in kinds)


def _is_text(datatype: Any) -> bool:
    return bool(pa.types.is_string(datatype) or pa.types.is_large_string(datatype))


def _plain(column: Any) -> Any:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _array(name: str, column: Any) -> Array:
    """Return a column as [rows, …]."""
    values = _plain(column.combine_chunks())
    shape = [len(values)]
    while True:
        if values.null_count:
            raise ValidationSetError(
                f"column {name[:100]!r} lacks {values.null_count} values: fill them, or leave those rows out"
            )
        if not _is_list(values.type):
            break
        lengths = set(values.value_lengths().unique().to_pylist()) if len(values) else set()
        if len(lengths) != 1:
            raise ValidationSetError(
                f"the lists in column {name[:100]!r} have {len(lengths)} different lengths; one is needed"
            )
        shape.append(lengths.pop())
        values = _plain(values.flatten())
    if math.prod(shape) != len(values):
        raise ValidationSetError(f"column {name[:100]!r} is damaged: {len(values)} values for shape {shape}")
    if _is_text(values.type):
        texts = np.empty(len(values), object)
        texts[:] = values.to_pylist()
        return texts.reshape(shape)
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(shape)


def _side_by_side(columns: dict[str, Array]) -> dict[str, Array]:
    """Put NAME.0, NAME.1 … together, where all are there and of one shape."""
    numbered: dict[str, dict[int, str]] = {}
    for name in columns:
        match = _NUMBERED.fullmatch(name)
        if match is not None:
            numbered.setdefault(match[1], {})[int(match[2])] = name
    arrays = dict(columns)
    for name, found in numbered.items():
        parts = [columns[found[number]] for number in sorted(found)]
        alike = len({part.shape for part in parts}) == 1 and len({part.dtype.kind == "O" for part in parts}) == 1
        if name in columns or sorted(found) != list(range(len(found))) or not alike:
            raise ValidationSetError(
                f"columns {name[:100]!r}.0, .1 … would be one array: their numbers must go from 0 on without a gap, "
                "their types must fit together, and no other column may have that name"
            )
        for column in found.values():
            del arrays[column]
        arrays[name] = np.stack(parts, axis=1)
    if len(arrays) > TENSORS_MAX:
        raise ValidationSetError(
            f"the set has {len(arrays)} arrays; at most {TENSORS_MAX} are allowed: name columns that go into one input "
            "NAME.0, NAME.1 …"
        )
    return arrays
