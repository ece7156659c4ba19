"""Graphs of architectures for workers without torch: made and checked in a process of its own at registration."""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec
import structlog

from hotswap_events.registry.events import ArtifactFacts
from hotswap_stream.application.artifacts.exporting import ExportLine, ExportOrder, GraphRefused
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.processes.asking import ask_process
from hotswap_stream.errors import HotswapError

NEEDED = ("torch", "safetensors", "onnxscript", "onnx", "onnxruntime")
EXPORTS_AT_ONCE_MAX = 1
"""In one process: each takes a core and a gigabyte."""
REASON_CHARACTERS_MAX = 500

_log = structlog.get_logger(__name__)


def exporter_command(modules: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the argument list that starts the process with the interpreter that runs now.

    `modules` are those with plug-ins that the operator named.
    """
    return (sys.executable, "-m", "hotswap_stream.adapters.torch.executors.exporting_process", *modules)


class GraphExporter:
    """`GraphOfArtifact` into a store. Used from one event loop. torch is not imported here."""

    def __init__(
        self,
        store: ArtifactStore,
        command: tuple[str, ...],
        *,
        graph_folder: Path,
        graph_ms_max: int,
        batch_rows_max: int,
        threads: int,
    ) -> None:
        """Make an exporter.

        Args:
            store: Where artifacts are, and where graphs go.
            command: Starts the process.
            graph_folder: Keeps graphs of architectures on this machine, for the executors of workers, too.
            graph_ms_max: How long the process may take.
            batch_rows_max: Rows of the largest pass that is compared.
            threads: Of torch and of ONNX Runtime.
        """
        self._store, self._command = store, command
        self._graph_folder, self._graph_ms_max = graph_folder, graph_ms_max
        self._batch_rows_max, self._threads = batch_rows_max, threads
        self._slots = asyncio.Semaphore(EXPORTS_AT_ONCE_MAX)

    async def __call__(self, digest: str, manifest: ArtifactManifest) -> ArtifactFacts | None:
        """See GraphOfArtifact. Where what exports is not installed, or it cannot be done, the log says so."""
        if manifest.kind != "architecture":
            return None
        lacking = [module for module in NEEDED if find_spec(module) is None]
        if lacking:
            _log.info("graph_not_exported", architecture=manifest.architecture, reason=f"{lacking[0]} is not installed")
            return None
        try:
            async with self._slots:
                content = await self._exported(digest)
            if isinstance(content, bytes):
                facts = await self._store.put_artifact(content)
                return msgspec.structs.replace(facts, signature=None)
            reason = content.reason
        except TimeoutError:
            reason = f"it took longer than {self._graph_ms_max} ms"
        except (HotswapError, OSError) as error:
            reason = str(error)
        # A version is one all the same: workers with its code serve it.
        _log.warning("graph_not_exported", architecture=manifest.architecture, reason=reason[:REASON_CHARACTERS_MAX])
        return None

    async def _exported(self, digest: str) -> bytes | GraphRefused:
        with tempfile.TemporaryDirectory() as folder:
            artifact = await self._store.local_path(digest)
            if artifact is None:
                artifact = Path(folder) / "artifact"
                await asyncio.to_thread(artifact.write_bytes, (await self._store.fetch(digest)).content)
            target = Path(folder) / "graph"
            order = ExportOrder(
                artifact=str(artifact.resolve()),
                target=str(target),
                graph_folder=str(self._graph_folder),
                graph_ms_max=self._graph_ms_max,
                batch_rows_max=self._batch_rows_max,
                threads=self._threads,
            )
            answered = await ask_process(
                self._command, msgspec.json.encode(order), seconds_max=self._graph_ms_max / 1000
            )
            if not answered.line:
                last = (answered.errors.strip().splitlines() or [""])[-1]
                return GraphRefused(reason=f"the process ended with exit code {answered.returncode}: {last}")
            found = msgspec.json.decode(answered.line, type=ExportLine)
            return found if isinstance(found, GraphRefused) else await asyncio.to_thread(target.read_bytes)
