"""Models that come from outside: what they are, and whether they hold, before anything relies on them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.application.artifacts.bundle import pack_files
from hotswap_stream.application.artifacts.exporting import GraphOfArtifact, no_graph
from hotswap_stream.application.artifacts.facts import NO_VERSIONS, Registrable
from hotswap_stream.application.artifacts.file import ArtifactFormatError, digest_of_artifact, read_manifest
from hotswap_stream.application.artifacts.store import ArtifactStore, ArtifactTooLargeError
from hotswap_stream.application.artifacts.trial import (
    DEFAULT_TRIAL_LIMITS,
    ModelOptions,
    TrialFailedError,
    TrialLimits,
    TrialOrder,
    TrialPassed,
)
from hotswap_stream.bootstrap.artifacts import artifact_store
from hotswap_stream.bootstrap.plugins import use_plugins
from hotswap_stream.domain.versions.options import executor_of
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.adapters.models.reading import Content
    from hotswap_stream.adapters.onnx.stored_trials import StoredTrials, TrialMemory
    from hotswap_stream.application.artifacts.file_kinds import FileKind


async def imported_model(
    settings: Settings,
    file: Path,
    beside: Mapping[str, Path],
    options: ModelOptions,
    limits: TrialLimits = DEFAULT_TRIAL_LIMITS,
) -> tuple[bytes, TrialPassed | None]:
    """Return a file as an artifact, and what its trial brought; None for a kind that needs none.

    Args:
        settings: The environment to work in.
        file: An artifact, or an ONNX graph.
        beside: Files with weights of the graph, by the names that the graph has for them.
        options: What the graph cannot say.
        limits: What its trial may take.

    Raises:
        ArtifactFormatError: It is neither, the message says what it is, and what to do; or it is an artifact that was
            made before, and something is given that would go into one.
        ArtifactTooLargeError: All together have too many bytes.
        TrialFailedError: The graph cannot be served.
    """
    sizes = [path.stat().st_size for path in (file, *beside.values())]
    if sum(sizes) > settings.artifact_bytes_max:
        raise ArtifactTooLargeError(
            f"{file} has {sum(sizes)} bytes{' with what comes beside it' if beside else ''}; "
            f"HOTSWAP_ARTIFACT_BYTES_MAX allows {settings.artifact_bytes_max}"
        )
    if await asyncio.to_thread(_kind, file, sizes[0]) == "artifact":
        if beside or options != ModelOptions():
            raise ArtifactFormatError(
                "the file is an artifact with a manifest of its own: no files go beside it, and its labels, shapes and "
                "batching are in there"
            )
        return await _ready_made(settings, file, limits)
    from hotswap_stream.adapters.onnx.names import GRAPH_FILE
    from hotswap_stream.adapters.onnx.trial import try_model

    paths = {GRAPH_FILE: file, **beside}
    order = TrialOrder(
        files={name: str(path.resolve()) for name, path in paths.items()},
        options=options,
        limits=limits,
        threads=settings.torch_threads,
    )
    passed = await try_model(order)

    def packed() -> bytes:
        content = pack_files(passed.manifest, {name: path.read_bytes() for name, path in paths.items()})
        _memory(settings).add(digest_of_artifact(content), passed.facts.measured)
        return content

    return await asyncio.to_thread(packed), passed


async def _ready_made(settings: Settings, file: Path, limits: TrialLimits) -> tuple[bytes, TrialPassed | None]:
    content = await asyncio.to_thread(file.read_bytes)
    kind = read_manifest(content).kind
    if kind == "exported":
        raise ArtifactFormatError(f"{file} is {NO_VERSIONS[kind]}: register the versions whose weights it takes")
    if kind == "dataset":
        raise ArtifactFormatError(f"{file} is a validation set: choose it with `hotswap-stream validation-set choose`")
    if kind != "onnx":
        return content, None
    from hotswap_stream.adapters.onnx.trial import try_model

    path = await asyncio.to_thread(file.resolve)
    passed = await try_model(TrialOrder(artifact=str(path), limits=limits, threads=settings.torch_threads))
    await asyncio.to_thread(_memory(settings).add, digest_of_artifact(content), passed.facts.measured)
    return content, passed


def graph_exporter(settings: Settings, store: ArtifactStore) -> GraphOfArtifact:
    """Return what makes the graph of an architecture when a version is registered; none if the settings say so."""
    if not settings.graphs_exported:
        return no_graph
    from hotswap_stream.adapters.torch.executors.exporting import GraphExporter, exporter_command

    return GraphExporter(
        store,
        exporter_command(use_plugins(settings)),
        graph_folder=settings.cache / "executors",
        graph_ms_max=settings.executor_graph_ms_max,
        batch_rows_max=settings.batch_size_max,
        threads=settings.torch_threads,
    )


async def stored_model(
    settings: Settings, store: ArtifactStore, content: bytes, passed: TrialPassed | None
) -> Registrable:
    """Put an artifact into the store, with the graph of its architecture if it has one.

    Args:
        settings: The environment.
        store: Its store.
        content: The artifact.
        passed: What its trial brought; None for a kind that needs none.
    """
    artifact = await store.put_artifact(content)
    graph = await graph_exporter(settings, store)(artifact.digest, read_manifest(content))
    return Registrable(artifact, None if passed is None else passed.facts.measured, graph)


def stored_trials(settings: Settings, store: ArtifactStore) -> "StoredTrials":
    """Return what tries stored artifacts that this machine has not tried yet, where their kind needs a trial.

    Whoever put an artifact into the store by other ways made no trial; and what crashes a parser must not crash a
    worker, which would come back to the same artifact again and again.
    """
    from hotswap_stream.adapters.onnx.stored_trials import StoredTrials

    return StoredTrials(store, _memory(settings), threads=settings.torch_threads)


def artifact_tried_aside(settings: Settings, options: VersionOptions, digest: str) -> "Content":
    """Return a stored artifact that runs with these options in a process of its own. Blocking, for a thread.

    Raises:
        TrialFailedError: It does not.
        HotswapError: One of those of the store.
    """

    async def tried() -> "Content":
        # A store of its own: this thread has a loop of its own.
        store = artifact_store(settings)
        manifest, content = await read_artifact(store, digest)
        if (executor := executor_of(options)) == "openvino" and has_trees(content):
            raise TrialFailedError(f"{executor} knows no trees, encoders of categories and the like")
        await stored_trials(settings, store)(digest, manifest, options)
        return content

    from hotswap_stream.adapters.models.reading import read_artifact
    from hotswap_stream.adapters.onnx.openvino import has_trees

    return asyncio.run(tried())


def _memory(settings: Settings) -> "TrialMemory":
    from hotswap_stream.adapters.onnx.stored_trials import TrialMemory

    return TrialMemory(settings.cache / "trials")


def _kind(file: Path, size_bytes: int) -> "FileKind":
    from hotswap_stream.application.artifacts.file_kinds import HEAD_BYTES, file_kind

    with file.open("rb") as opened:
        return file_kind(opened.read(HEAD_BYTES), size_bytes)
