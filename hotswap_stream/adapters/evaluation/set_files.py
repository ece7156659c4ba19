"""Labelled sets in files: `.npz`, `.safetensors`, Parquet. Nothing is unpickled, nothing too large is read."""

import lzma
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np

from hotswap_stream.adapters.evaluation.labelled_set import Array, LabelledSet, labelled_set
from hotswap_stream.adapters.evaluation.parquet import read_parquet
from hotswap_stream.adapters.evaluation.set_arrays import array_at
from hotswap_stream.application.artifacts.file import (
    HEADER_BYTES_MAX,
    ArtifactFormatError,
    read_manifest,
    tensor_places,
)
from hotswap_stream.application.artifacts.manifest import TENSORS_MAX
from hotswap_stream.application.training.validation_sets import ValidationSetError

_WAY_OUT = "save it with numpy.savez(file, labels=…, <name of the model's input>=…)"
_NPY_HEADER_BYTES_MAX = 64 * 1024


def read_set_file(path: Path, *, bytes_max: int, kind: str | None = None, output: str | None = None) -> LabelledSet:
    """Return the labelled set in a file.

    Args:
        path: The file; what it is, is told by its bytes.
        bytes_max: How many bytes it may have, and how many its arrays may have when they are unpacked.
        kind: What is measured on it; None: what the arrays' names say.
        output: Which output of the model is measured.

    Raises:
        ValidationSetError: It is none; the message says what is wrong.
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    if size > bytes_max:
        raise ValidationSetError(f"{path} has {size} bytes; at most {bytes_max} are allowed")
    with path.open("rb") as file:
        head = file.read(16)
        if head[:4] == b"PK\x03\x04":
            arrays = _from_npz(file, bytes_max)
        elif head[:4] == b"PAR1":
            return read_parquet(path, bytes_max=bytes_max, kind=kind, output=output)
        elif head[8:9] == b"{":
            file.seek(0)
            arrays = _from_safetensors(file.read())
        else:
            raise ValidationSetError(f"{path} is neither .npz nor .safetensors nor Parquet: {_WAY_OUT}")
    return labelled_set(arrays, kind=kind, output=output)


def _from_safetensors(content: bytes) -> dict[str, Array]:
    try:
        places = tensor_places(content)
    except ArtifactFormatError as error:
        raise ValidationSetError(f"the set cannot be read: {error}") from error
    _check_count(len(places))
    return {name: array_at(content, name, place) for name, place in places.items()}


def _from_npz(file: IO[bytes], bytes_max: int) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_count(len(members))
            claimed = sum(member.file_size for member in members)
            if claimed > bytes_max:
                raise ValidationSetError(f"unpacked, the set has {claimed} bytes; at most {bytes_max} are allowed")
            arrays: dict[str, Array] = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name == member.filename or name in arrays:
                    raise ValidationSetError(
                        f"the set holds {member.filename[:100]!r}, which is no array, or one twice"
                    )
                # Never more than the size that was counted above, whatever the compressed bytes unpack to.
                with archive.open(member) as opened:
                    arrays[name] = _from_npy(name, opened.read(member.file_size))
            return arrays
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValidationSetError(f"the set cannot be unpacked: {error}") from error


def _from_npy(name: str, content: bytes) -> Array:
    """Read an array from the bytes of its file. numpy's own reader makes room for what a header claims."""
    stream = BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"format {version} is not read here")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read(stream, max_header_size=_NPY_HEADER_BYTES_MAX)
    except (ValueError, SyntaxError, TokenError, RecursionError, MemoryError) as error:
        raise ValidationSetError(f"array {name[:100]!r} cannot be read: {error}") from error
    if dtype.hasobject:
        raise ValidationSetError(
            f"array {name[:100]!r} holds Python objects, which would have to be unpickled, and what is unpickled can "
            "run any code: save texts as an array of dtype str"
        )
    data = content[stream.tell() :]
    count = 1
    for size in shape:
        count *= size
    if count < 0 or count * dtype.itemsize != len(data):
        raise ValidationSetError(
            f"array {name[:100]!r} claims shape {list(shape)} of {dtype}, and {len(data)} bytes are there"
        )
    if dtype.kind not in "?biufUS":
        raise ValidationSetError(f"array {name[:100]!r} is of type {dtype}; numbers, truth values or texts are needed")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
    if dtype.kind in "US":
        try:
            texts = np.char.decode(array, "utf-8") if dtype.kind == "S" else array
        except UnicodeDecodeError as error:
            raise ValidationSetError(f"array {name[:100]!r} holds bytes that are no UTF-8: {error.reason}") from error
        return texts.astype(object)
    return array.astype(dtype.newbyteorder("="), order="C", copy=False)


def _check_count(count: int) -> None:
    if not 1 <= count <= TENSORS_MAX:
        raise ValidationSetError(f"the set has {count} arrays; 2 to {TENSORS_MAX} are allowed")


def is_set_artifact(path: Path, *, bytes_max: int) -> bool:
    """Return whether a file is a set that was packed before. OSError if it cannot be read."""
    size = path.stat().st_size
    if size > bytes_max:
        return False
    with path.open("rb") as file:
        try:
            return read_manifest(file.read(HEADER_BYTES_MAX + 8), size).kind == "dataset"
        except ArtifactFormatError:
            return False
