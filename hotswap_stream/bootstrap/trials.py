"""Models that come from outside: what they are, and whether they hold, before anything relies on them."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import ArtifactStore, ArtifactTooLargeError
from hotswap_stream.application.artifacts.trial import (
    DEFAULT_TRIAL_LIMITS,
    ModelOptions,
    TrialLimits,
    TrialOrder,
    TrialPassed,
)
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.application.artifacts.file_kinds import FileKind


async def imported_model(
    settings: Settings,
    file: Path,
    beside: Mapping[str, Path],
    options: ModelOptions,
    limits: TrialLimits = DEFAULT_TRIAL_LIMITS,
) -> tuple[bytes, TrialPassed | None]:
    """Return a file as an artifact, and what its trial brought; None for an artifact that was made before.

    Args:
        settings: The environment to work in.
        file: An artifact, or an ONNX graph.
        beside: Files with weights of the graph, by the names that the graph has for them.
        options: What the graph cannot say.
        limits: What its trial may take.

    Raises:
        ArtifactFormatError: It is neither; the message says what it is, and what to do.
        ArtifactTooLargeError: All together have too many bytes.
        TrialFailedError: The graph cannot be served.
    """
    sizes = [path.stat().st_size for path in (file, *beside.values())]
    if sum(sizes) > settings.artifact_bytes_max:
        raise ArtifactTooLargeError(
            f"{file} has {sum(sizes)} bytes with what comes beside it; HOTSWAP_ARTIFACT_BYTES_MAX allows "
            f"{settings.artifact_bytes_max}"
        )
    if await asyncio.to_thread(_kind, file, sizes[0]) == "artifact":
        return await asyncio.to_thread(file.read_bytes), None
    from hotswap_stream.adapters.onnx.names import GRAPH_FILE
    from hotswap_stream.adapters.onnx.trial import try_model
    from hotswap_stream.application.artifacts.bundle import pack_files

    paths = {GRAPH_FILE: file, **beside}
    order = TrialOrder(
        files={name: str(path.resolve()) for name, path in paths.items()},
        options=options,
        limits=limits,
        threads=settings.torch_threads,
    )
    passed = await try_model(order)

    def packed() -> bytes:
        return pack_files(passed.manifest, {name: path.read_bytes() for name, path in paths.items()})

    return await asyncio.to_thread(packed), passed


def trial_before_loading(
    settings: Settings, store: ArtifactStore
) -> Callable[[str, ArtifactManifest], Awaitable[None]]:
    """Return what tries an artifact that this machine has not tried yet, where its kind needs a trial.

    Whoever registers a stored artifact by its digest made no trial; and what crashes a parser must not crash a worker,
    which would come back to the same artifact again and again.
    """
    from hotswap_stream.adapters.onnx.trial import TrialMemory, try_model

    memory = TrialMemory(settings.cache / "trials")

    async def check(digest: str, manifest: ArtifactManifest) -> None:
        if manifest.kind == "architecture" or await asyncio.to_thread(memory.has, digest):
            return
        path = await store.local_path(digest)
        with tempfile.TemporaryDirectory() as folder:
            if path is None:
                path = Path(folder) / "artifact"
                content = (await store.fetch(digest)).content
                await asyncio.to_thread(path.write_bytes, content)
            await try_model(TrialOrder(artifact=str(path.resolve()), threads=settings.torch_threads))
        await asyncio.to_thread(memory.add, digest)

    return check


def _kind(file: Path, size_bytes: int) -> "FileKind":
    from hotswap_stream.application.artifacts.file_kinds import HEAD_BYTES, file_kind

    with file.open("rb") as opened:
        return file_kind(opened.read(HEAD_BYTES), size_bytes)
