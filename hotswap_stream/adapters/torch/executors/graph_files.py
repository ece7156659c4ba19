"""Exported and compiled architectures as files of this machine's cache: made once, usually by a process beside this."""

import hashlib
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import msgspec
import structlog
from filelock import FileLock, Timeout

from hotswap_stream.adapters.models.executor import ExecutorUnavailableError
from hotswap_stream.adapters.torch.executors import graph_maker
from hotswap_stream.adapters.torch.executors.graph_maker import GraphKind, GraphOrder
from hotswap_stream.adapters.torch.modules.architectures import module_of_architecture
from hotswap_stream.application.artifacts.manifest import ArtifactManifest

MAKER_COMMAND = (sys.executable, "-m", "hotswap_stream.adapters.torch.executors.graph_maker")
REASON_CHARACTERS_MAX = 500
LOOK_SECONDS = 0.2
"""How long a process that makes no more graphs may still wait for another one."""
_SUFFIXES: dict[GraphKind, str] = {"onnxruntime": ".graph", "compile": ".pt2"}
_PACKAGES: dict[GraphKind, tuple[str, ...]] = {"onnxruntime": ("torch", "onnxscript"), "compile": ("torch",)}

log = structlog.get_logger(__name__)


class GraphFiles:
    """The graphs in one folder. A graph belongs to an architecture, its arguments and shapes; never to weights."""

    def __init__(self, folder: Path, make_ms_max: int, *, here: bool = False) -> None:
        """Open the folder.

        Args:
            folder: Where graphs are, and are put.
            make_ms_max: How long a process may take that makes one.
            here: Make graphs in this process, which has torch, answers nobody, and is ended by others in time.
        """
        self._folder = folder
        self._here = here
        self._make_ms_max = make_ms_max
        self._one_at_a_time = threading.Lock()
        self._guard = threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None

    def find(self, kind: GraphKind, manifest: ArtifactManifest) -> Path | None:
        """Return the graph's file if it was made; else None.

        Raises:
            ExecutorUnavailableError: Making it failed, or it cannot be made.
        """
        path = self._path(kind, manifest)
        if path.exists():
            return path
        failed = _failure_of(path)
        if failed.exists():
            raise ExecutorUnavailableError(f"{kind} graph of {manifest.architecture!r}: {failed.read_text()}")
        return None

    def make(self, kind: GraphKind, manifest: ArtifactManifest) -> Path:
        """Return the graph's file, and make it now if need be; it blocks meanwhile. ExecutorUnavailableError."""
        # What is there is not waited for: a version that is to serve now would wait for the graph of another one.
        if (there := self.find(kind, manifest)) is not None:
            return there
        with self._one_at_a_time, self._alone(self._path(kind, manifest)):
            made_meanwhile = self.find(kind, manifest)
            return made_meanwhile if made_meanwhile is not None else self._make(kind, manifest)

    def close(self) -> None:
        """End a process that makes a graph, and make no more."""
        with self._guard:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        """Hold off other processes of this machine that would make the same graph, such as more workers."""
        # What lies here is run: nobody else may write here.
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"), thread_local=False)
        until_s = time.monotonic() + self._make_ms_max / 1000
        # Whoever holds it longer than it may take is not waited for.
        while time.monotonic() < until_s:
            if self._closed:
                raise ExecutorUnavailableError("closing")
            try:
                lock.acquire(timeout=LOOK_SECONDS)
                break
            except Timeout:
                continue
            except (OSError, NotImplementedError):
                break  # a folder without locks: then more than one may make it
        try:
            yield
        finally:
            lock.release()

    def _path(self, kind: GraphKind, manifest: ArtifactManifest) -> Path:
        module = module_of_architecture(manifest.architecture)
        facts = [
            msgspec.json.encode(manifest, order="deterministic").decode(),
            *(f"{package} {version(package)}" for package in _PACKAGES[kind]),
            _source_digest(module),
            _source_digest(graph_maker.__name__),
            "" if kind == "onnxruntime" else _processor(),
        ]
        digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()
        return self._folder / f"{manifest.architecture}-{digest[:24]}{_SUFFIXES[kind]}"

    def _make(self, kind: GraphKind, manifest: ArtifactManifest) -> Path:
        path = self._path(kind, manifest)
        module = module_of_architecture(manifest.architecture)
        order = GraphOrder(kind, manifest, module, str(path))
        log.info("graph_started", architecture=manifest.architecture, kind=kind)
        problem = _carried_out(order) if self._here else self._run(msgspec.json.encode(order) + b"\n")
        if problem is not None:
            reason, is_final = problem
            if is_final:
                _failure_of(path).write_text(reason)
            raise ExecutorUnavailableError(f"{kind} graph of {manifest.architecture!r}: {reason}")
        log.info("graph_made", architecture=manifest.architecture, kind=kind, size_bytes=path.stat().st_size)
        return path

    def _run(self, order: bytes) -> tuple[str, bool] | None:
        """Return None when the process has made the graph; or why it has not, and whether it never will."""
        with self._guard:
            if self._closed:
                return "closing", False
            process = self._process = subprocess.Popen(
                MAKER_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        timer = threading.Timer(self._make_ms_max / 1000, process.kill)
        timer.daemon = True
        timer.start()
        with process:
            try:
                process.stdin.write(order)
                process.stdin.flush()
            except BrokenPipeError:
                pass  # its exit code says why
            assert process.stderr is not None  # noqa: S101
            # The input stays open: the process ends when it closes.
            errors = process.stderr.read().decode(errors="replace").strip()
            process.wait()
            timer.cancel()
        with self._guard:
            self._process = None
        if process.returncode == 0:
            return None
        if process.returncode < 0:
            return f"the process was ended by signal {-process.returncode} (limit {self._make_ms_max} ms)", False
        return _last_line(errors) if errors else f"exit code {process.returncode}", True


def _carried_out(order: GraphOrder) -> tuple[str, bool] | None:
    try:
        graph_maker.carry_out(order)
    except Exception as error:  # noqa: BLE001 - whatever torch raises, another process would end with it, too
        return _last_line("".join(traceback.format_exception_only(error))), True
    return None


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1][:REASON_CHARACTERS_MAX]


def _failure_of(path: Path) -> Path:
    return path.with_suffix(".failed" + path.suffix)


def _source_digest(module: str) -> str:
    """Return the digest of the file that defines the architecture.

    ExecutorUnavailableError if another process cannot import it.
    """
    try:
        spec = find_spec(module)
    except (ImportError, ValueError) as error:
        raise ExecutorUnavailableError(f"module {module!r} cannot be imported by name: {error}") from error
    if module == "__main__" or spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise ExecutorUnavailableError(f"module {module!r} cannot be imported by name, so no process can export it")
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def _processor() -> str:
    """Return the instruction sets in use, which compiled code is made for."""
    import torch

    return torch.backends.cpu.get_cpu_capability()
