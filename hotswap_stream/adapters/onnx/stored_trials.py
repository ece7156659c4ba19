"""Trials of artifacts that are in the store: one for each on a machine, and what it measured is kept."""

import asyncio
import os
import tempfile
from pathlib import Path

import msgspec
import structlog

from hotswap_events.registry.events import ArtifactTrial
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_stream.adapters.models.openvino import is_installed
from hotswap_stream.adapters.models.reading import Content
from hotswap_stream.adapters.onnx.trial import can_try, try_model
from hotswap_stream.application.artifacts.file import digest_hex, digest_of_artifact
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.artifacts.trial import TrialOrder
from hotswap_stream.domain.versions.options import executor_of

REMEMBERED_MAX = 4_096
"""Artifacts whose trials are kept on a machine; the oldest are given up first."""
RECORD_BYTES_MAX = 4_096
TRIALS_AT_ONCE_MAX = 2
"""In one process: each may take a core and gigabytes."""

_SUFFIX = ".trial"
_log = structlog.get_logger(__name__)


class StoredTrials:
    """`TrialOfArtifact` over a store. Used from one event loop."""

    def __init__(self, store: ArtifactStore, memory: "TrialMemory", *, threads: int) -> None:
        self._store = store
        self._memory = memory
        self._threads = threads
        self._slots = asyncio.Semaphore(TRIALS_AT_ONCE_MAX)

    async def __call__(
        self, digest: str, manifest: ArtifactManifest, options: VersionOptions | None = None
    ) -> ArtifactTrial | None:
        """See TrialOfArtifact. None, too, where nothing is installed that runs graphs: workers try it themselves.

        What another executor would crash on is tried with that executor, too, where it is installed.
        """
        if manifest.kind != "onnx":
            return None
        wanted = PLAIN if options is None or executor_of(options) != "openvino" or not is_installed() else options
        known = await asyncio.to_thread(self._memory.trial_of, digest, wanted)
        if known is not None:
            return known
        if not can_try():
            _log.warning("trial_left_to_workers", digest=digest, missing="onnxruntime")
            return None
        async with self._slots:
            trial = await self._tried(digest, wanted)
        await asyncio.to_thread(self._memory.add, digest, trial, wanted)
        return trial

    async def knows(self, content: Content, graph_digest: str) -> bool:
        """Return whether a graph was tried here, and was fine, with weights of the same names, kinds and shapes.

        The weights' values are numbers, which no parser crashes on.
        """
        return await asyncio.to_thread(self._memory.trial_of, _form(content, graph_digest)) is not None

    async def exported(self, digest: str, content: Content, graph_digest: str) -> None:
        """Try an architecture's graph with a version's weights, once for their names, kinds and shapes on a machine.

        Args:
            digest: Of the version's artifact.
            content: The version's artifact.
            graph_digest: Of its architecture's graph.

        Raises:
            TrialFailedError: It cannot be served.
            HotswapError: Those of the store.
        """
        if await self.knows(content, graph_digest):
            return
        async with self._slots:
            trial = await self._tried(digest, PLAIN, graph_digest)
        await asyncio.to_thread(self._memory.add, _form(content, graph_digest), trial)

    async def _tried(self, digest: str, options: VersionOptions, graph_digest: str | None = None) -> ArtifactTrial:
        with tempfile.TemporaryDirectory() as folder:
            order = TrialOrder(
                artifact=await self._file(digest, Path(folder) / "artifact"),
                exported=None if graph_digest is None else await self._file(graph_digest, Path(folder) / "graph"),
                threads=self._threads,
                executor=executor_of(options) or "onnxruntime",
                precision=options.precision,
            )
            return (await try_model(order)).facts.measured

    async def _file(self, digest: str, otherwise: Path) -> str:
        """Return the path of a stored artifact, which is written to `otherwise` if the store is no folder."""
        path = await self._store.local_path(digest)
        if path is None:
            path = otherwise
            await asyncio.to_thread(path.write_bytes, (await self._store.fetch(digest)).content)
        return str(path.resolve())


def _form(content: Content, graph_digest: str) -> str:
    header_end = 8 + int.from_bytes(bytes(content[:8]), "little")
    return digest_of_artifact(bytes(content[:header_end]) + f"\n{graph_digest}".encode())


class TrialMemory:
    """What trials of artifacts measured on this machine, by digest and options.

    What is lost costs another trial, nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def trial_of(self, digest: str, options: VersionOptions = PLAIN) -> ArtifactTrial | None:
        """Return what the artifact's trial measured, or None if none is known. InvalidDigestError."""
        path = self._path(digest, options)
        try:
            with path.open("rb") as file:
                return msgspec.json.decode(file.read(RECORD_BYTES_MAX), type=ArtifactTrial)
        except (OSError, msgspec.DecodeError):
            return None

    def add(self, digest: str, trial: ArtifactTrial, options: VersionOptions = PLAIN) -> None:
        """Keep what was measured; a folder that cannot be written to is no reason to fail. InvalidDigestError."""
        path = self._path(digest, options)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Another process may read it at any time: it is there as a whole, or not at all.
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                file.write(msgspec.json.encode(trial))
            os.replace(file.name, path)
            self._give_up_oldest()
        except OSError as error:
            _log.warning("trial_not_remembered", cause=str(error))

    def _give_up_oldest(self) -> None:
        kept = list(self._folder.glob(f"*{_SUFFIX}"))
        if len(kept) > REMEMBERED_MAX:
            kept.sort(key=lambda path: path.stat().st_mtime)
            for path in kept[:-REMEMBERED_MAX]:
                path.unlink(missing_ok=True)

    def _path(self, digest: str, options: VersionOptions) -> Path:
        executor = executor_of(options)
        how = "" if executor in (None, "onnxruntime") else f"-{executor}-{options.precision}"
        return self._folder / f"{digest_hex(digest)}{how}{_SUFFIX}"
