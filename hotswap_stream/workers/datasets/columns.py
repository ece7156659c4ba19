"""The arrays of a dataset while they grow, each in a file of its own, and the artifact that is made of them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from hotswap_events.inference.messages import Datatype
from hotswap_stream.application.artifacts.file import TensorEntry, artifact_header
from hotswap_stream.application.artifacts.manifest import TensorSpec
from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.application.inference.byte_strings import pack_strings
from hotswap_stream.application.training.validation_sets import SetFacts, set_manifest

Array = npt.NDArray[Any]

COPY_BYTES = 1_048_576
BUFFER_BYTES = 262_144

_SAFETENSORS: dict[str, str] = {
    "BOOL": "BOOL", "UINT8": "U8", "UINT16": "U16", "UINT32": "U32", "UINT64": "U64", "INT8": "I8", "INT16": "I16",
    "INT32": "I32", "INT64": "I64", "FP16": "F16", "FP32": "F32", "FP64": "F64", "BYTES": "U8",
}  # fmt: skip


class PackedDataset(Struct, frozen=True):
    """The file of an artifact."""

    path: Path
    digest: str
    size_bytes: int


class Column:
    """One array, row by row. The first row says which shape all others have."""

    def __init__(self, folder: Path, number: int, name: str, datatype: Datatype) -> None:
        self.name, self.datatype = name, datatype
        self.shape: tuple[int, ...] | None = None
        self.size_bytes = 0
        self._file = (folder / f"column-{number}").open("w+b", buffering=BUFFER_BYTES)

    def takes(self, row: Array) -> bool:
        """Return whether a row has the shape of those before it, and elements."""
        return row.size > 0 and self.shape in (None, row.shape)

    def append(self, row: Array) -> None:
        """Write a row of the column's type."""
        self.shape = row.shape
        self.size_bytes += self._file.write(row_bytes(row))

    def copy_to(self, target: Any, digest: Any) -> None:
        """Copy all that was written."""
        self._file.flush()
        self._file.seek(0)
        while chunk := self._file.read(COPY_BYTES):
            target.write(chunk)
            digest.update(chunk)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def spec(self) -> TensorSpec:
        """Return what the manifest says of it."""
        return TensorSpec(name=self.name, datatype=self.datatype, shape=(-1, *(self.shape or ())))

    def entry(self, rows: int, start: int) -> TensorEntry:
        """Return what the header says of it; texts lie there as bytes."""
        shape = [self.size_bytes] if self.datatype == "BYTES" else [rows, *(self.shape or ())]
        return TensorEntry(_SAFETENSORS[self.datatype], shape, (start, start + self.size_bytes))


def row_bytes(row: Array) -> bytes:
    """Return a row as it stands in the artifact."""
    if row.dtype.kind == "O":
        return pack_strings(row.ravel().tolist())
    return np.ascontiguousarray(row, row.dtype.newbyteorder("<")).tobytes()


def pack_columns(
    path: Path, inputs: Mapping[str, Column], truths: Mapping[str, Column], *, kind: str, rows: int
) -> PackedDataset:
    """Write the artifact: the same bytes as those of a labelled set with these arrays.

    Raises:
        DatasetError: The header would be too large.
    """
    columns = {**inputs, **truths}
    entries, start = {}, 0
    for name in sorted(columns):
        entries[name] = columns[name].entry(rows, start)
        start += columns[name].size_bytes
    try:
        manifest = set_manifest(
            SetFacts(kind=kind, rows=rows),
            [inputs[name].spec() for name in sorted(inputs)],
            [truths[name].spec() for name in sorted(truths)],
        )
        header = artifact_header(manifest, entries)
    except ValueError as error:
        raise DatasetError(f"the rows are no dataset: {error}") from error
    digest = hashlib.sha256(header)
    with path.open("wb") as target:
        target.write(header)
        for name in sorted(columns):
            columns[name].copy_to(target, digest)
    return PackedDataset(path, f"sha256:{digest.hexdigest()}", len(header) + start)
