"""Fetching of a directory what is needed of it, and not more than is allowed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from hotswap_stream.application.artifacts.file_kinds import HEAD_BYTES, file_kind, is_exported_program
from hotswap_stream.application.artifacts.store import ArtifactTooLargeError
from hotswap_stream.application.mlflow.importing.flavors import PUBLISH, Chosen, choose
from hotswap_stream.application.mlflow.importing.folder import ModelFolder, plain_name
from hotswap_stream.application.mlflow.importing.mlmodel import MLMODEL, MLMODEL_BYTES_MAX, MlModel, read_mlmodel
from hotswap_stream.application.mlflow.source import SourceRefusedError, SourceUnavailableError

EXAMPLE_BYTES_MAX = 16 * 1024**2
FETCHED_FILES_MAX = 256


class FetchLimits(Struct, frozen=True, kw_only=True):
    """What one model may take."""

    bytes_max: int
    """Size of all files together."""
    seconds_max: float = 600.0


class Gathered(Struct, frozen=True, kw_only=True):
    """A model's files on this machine."""

    model: MlModel
    chosen: Chosen
    file: Path
    example: Path | None = None


async def gathered(folder: ModelFolder, into: Path, limits: FetchLimits) -> Gathered:
    """Fetch what is needed of a directory.

    Args:
        folder: The directory.
        into: An empty folder; files get the names that they have in the directory.
        limits: What it may take.

    Raises:
        SourceRefusedError: It is no MLflow model, or none of its flavors is taken.
        SourceUnavailableError: It was not there within the time.
        ArtifactTooLargeError: It has too many bytes.
        ArtifactFormatError: Its file is not what it is said to be.
    """
    try:
        async with asyncio.timeout(limits.seconds_max):
            return await _gathered(folder, into, limits)
    except TimeoutError:
        raise SourceUnavailableError(f"{folder.words} was not read within {limits.seconds_max:g} s") from None


async def _gathered(folder: ModelFolder, into: Path, limits: FetchLimits) -> Gathered:
    files = await folder.files()
    if MLMODEL not in files:
        raise SourceRefusedError(
            f"{folder.words} holds no {MLMODEL}, so it is no MLflow model; for a graph or an artifact of its own, "
            f"`hotswap-stream publish`: {PUBLISH}"
        )
    content = b"".join([piece async for piece in _limited(folder, MLMODEL, MLMODEL_BYTES_MAX)])
    model = await asyncio.to_thread(read_mlmodel, content)
    chosen = choose(model, files)
    wanted = [name for name in files if chosen.wants(name)]
    _check_sizes(folder, files, wanted, limits)
    left = limits.bytes_max
    for name in wanted:
        left -= await _fetch(folder, name, into, left)
    await asyncio.to_thread(_check_kind, into / chosen.file, chosen)
    return Gathered(
        model=model,
        chosen=chosen,
        file=into / chosen.file,
        example=await _example(folder, files, model, chosen, into),
    )


def _check_sizes(folder: ModelFolder, files: Mapping[str, int | None], wanted: list[str], limits: FetchLimits) -> None:
    if len(wanted) > FETCHED_FILES_MAX:
        raise SourceRefusedError(f"{folder.words} has {len(wanted)} files; at most {FETCHED_FILES_MAX} are fetched")
    total = sum(files[name] or 0 for name in wanted)
    if total > limits.bytes_max:
        raise ArtifactTooLargeError(
            f"{folder.words} has {total} bytes; HOTSWAP_ARTIFACT_BYTES_MAX allows {limits.bytes_max}"
        )


async def _fetch(folder: ModelFolder, name: str, into: Path, bytes_max: int) -> int:
    place = into / plain_name(name, "a file of the directory")
    await asyncio.to_thread(place.parent.mkdir, parents=True, exist_ok=True)
    received = 0
    opened: BinaryIO = await asyncio.to_thread(place.open, "xb")
    with opened:
        async for piece in _limited(folder, name, bytes_max):
            received += len(piece)
            await asyncio.to_thread(opened.write, piece)
    return received


async def _limited(folder: ModelFolder, name: str, bytes_max: int) -> AsyncIterator[bytes]:
    received = 0
    async for piece in folder.read(name):
        received += len(piece)
        if received > bytes_max:
            raise ArtifactTooLargeError(f"{name[:200]!r} of {folder.words} has more than {bytes_max} bytes")
        yield piece


async def _example(
    folder: ModelFolder, files: Mapping[str, int | None], model: MlModel, chosen: Chosen, into: Path
) -> Path | None:
    info = model.saved_input_example_info
    if info is None or info.type not in ("ndarray", "dataframe") or chosen.how == "onnx":
        return None
    if info.artifact_path not in files or (files[info.artifact_path] or 0) > EXAMPLE_BYTES_MAX:
        return None
    await _fetch(folder, info.artifact_path, into, EXAMPLE_BYTES_MAX)
    return into / info.artifact_path


def _check_kind(file: Path, chosen: Chosen) -> None:
    """Raise ArtifactFormatError, SourceRefusedError where a file is not what its flavor says, by its bytes."""
    size_bytes = file.stat().st_size
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    if chosen.how == "onnx" and file_kind(head, size_bytes) != "onnx":
        raise SourceRefusedError(f"{chosen.file!r} is no ONNX graph")
    if chosen.how == "pt2" and not is_exported_program(head):
        raise SourceRefusedError(f"{chosen.file!r} is no exported torch program (.pt2)")
    beginnings = {"xgboost": (b"{",), "lightgbm": (b"tree\n",), "skops": (b"PK\x03\x04",)}.get(chosen.how)
    if beginnings is not None and not head.startswith(beginnings):
        file_kind(head, size_bytes)  # says what it is, a pickle above all
        formats = {"xgboost": "XGBoost's JSON or UBJSON", "lightgbm": "LightGBM's text", "skops": "a file of skops"}
        raise SourceRefusedError(
            f"flavor {chosen.flavor!r} names {chosen.file!r}, which is not {formats[chosen.how]}: {PUBLISH}"
        )
