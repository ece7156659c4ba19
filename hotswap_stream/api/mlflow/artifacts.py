"""`mlflow-artifacts`: the files of versions, for clients that download them. Nothing can be written here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Any, BinaryIO

from litestar import get
from litestar.params import PathParameter, QueryParameter
from litestar.response import Stream
from msgspec import Struct

from hotswap_stream.api.mlflow.asking import QUERY_ERRORS, stream_of, version_of
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.mlflow.exports import Exported
from hotswap_stream.application.registry.view import registry_version

PATH = "/api/2.0/mlflow-artifacts/artifacts"
CHUNK_BYTES = 256 * 1024
PATH_CHARACTERS_MAX = 1_024

_RESPONSES = QUERY_ERRORS


class ListedFile(Struct, frozen=True, omit_defaults=True):
    """A file or a folder; `path` is its name in the folder that was asked for."""

    path: str
    is_dir: bool
    file_size: int | None = None


class ListedFiles(Struct, frozen=True):
    """What is in a folder."""

    files: tuple[ListedFile, ...]


@get(
    PATH,
    operation_id="mlflow_list_artifacts",
    tags=["mlflow"],
    security=KEY_OR_NONE,
    responses=_RESPONSES,
)
async def list_artifacts(
    runtime: Runtime,
    path: Annotated[
        str,
        QueryParameter(max_length=PATH_CHARACTERS_MAX, description="Model, version, and a folder: `digits/3/data`."),
    ],
) -> ListedFiles:
    """What is in a folder of a version's model directory."""
    async with AsyncExitStack() as stack:
        exported, folder = await _opened(stack, runtime, path)
    within = f"{folder}/" if folder else ""
    listed: dict[str, ListedFile] = {}
    for name, file in exported.files.items():
        if name.startswith(within):
            first, slash, _ = name.removeprefix(within).partition("/")
            listed[first] = ListedFile(first, True) if slash else ListedFile(first, False, file.size_bytes)
    return ListedFiles(tuple(listed[name] for name in sorted(listed)))


@get(
    f"{PATH}/{{file_path:path}}",
    operation_id="mlflow_download_artifact",
    tags=["mlflow"],
    security=KEY_OR_NONE,
    responses=_RESPONSES,
    media_type="application/octet-stream",
)
async def download_artifact(
    runtime: Runtime, file_path: Annotated[str, PathParameter(description="Model, version and file.")]
) -> Stream:
    """A file of a version's model directory."""
    async with AsyncExitStack() as stack:
        exported, name = await _opened(stack, runtime, file_path)
        file = exported.files.get(name)
        if file is None:
            raise ProblemError(404, "unknown-artifact", f"there is no file {name[:200]!r} in the version's directory")
        opened: BinaryIO = await asyncio.to_thread(file.path.open, "rb")
    # What is open stays readable when the directory makes room for another one.
    return Stream(
        _chunks(opened),
        headers={"Content-Length": str(file.size_bytes)},
        media_type="application/octet-stream",
    )


async def _opened(stack: AsyncExitStack, runtime: ApiRuntime, path: str) -> tuple[Exported, str]:
    """Return the directory of the version that a path begins with, and the rest of the path."""
    model, _, rest = path.strip("/").partition("/")
    version, _, inside = rest.partition("/")
    exports = runtime.services.mlflow_exports
    if exports is None:
        raise ProblemError(501, "not-carried", "this server makes no model directories: versions cannot be downloaded")
    found = registry_version(version_of(stream_of(runtime, model), version))
    return await stack.enter_async_context(exports.reading(model, found)), inside.strip("/")


async def _chunks(opened: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
            yield chunk
    finally:
        # Here, at once: what is handed to a thread is not done if the client goes meanwhile.
        opened.close()


ARTIFACT_ROUTES: tuple[Any, ...] = (list_artifacts, download_artifact)
