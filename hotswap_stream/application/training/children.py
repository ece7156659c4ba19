"""Training runs started by a server: each a process of its own, so that the server needs no torch and outlives them."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import structlog
from msgspec import Struct

from hotswap_stream.application.processes.tether import tethered
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.training.runs import TrainingSpec
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

RUNS_MAX = 2
ACCEPT_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
TAIL_SECONDS_MAX = 1.0
"""How long what a run said last is waited for when it has ended: what it started may hold its standard error open."""
_POLL_SECONDS = 0.05
_ERROR_CHARACTERS_MAX = 2_000


class TrainingBusyError(HotswapError):
    """As many runs as allowed are under way."""

    retriable = True


class TrainingNotStartedError(HotswapError):
    """The run's process ended before the registry knew of the run."""


class OrderedRun(Struct, frozen=True, kw_only=True):
    """What the process reads from standard input: the run, and why it was ordered."""

    spec: TrainingSpec
    reason: str | None = None


class TrainingChildren:
    """Starts `command` once per run and hands it an `OrderedRun`; ends what still runs on `stop`."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], registry: Registry) -> None:
        self._command = list(command)
        self._environment = environment
        self._registry = registry
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    async def start(self, spec: TrainingSpec, reason: str | None) -> None:
        """Start a run; return when the registry knows of it.

        Raises:
            TrainingBusyError: As many runs as allowed are under way.
            TrainingNotStartedError: The run's process ended before.
        """
        if len(self._running) >= RUNS_MAX:
            raise TrainingBusyError(f"{RUNS_MAX} training runs are under way; try again when one has ended")
        process, said = await self._spawned()
        self._running[spec.run_id] = process
        if process.stdin is not None:
            process.stdin.write(msgspec.json.encode(OrderedRun(spec=spec, reason=reason)) + b"\n")
            process.stdin.close()
        watcher = asyncio.create_task(self._watch(spec.run_id, process, said), name=f"training-{spec.run_id}")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        with suppress(TimeoutError):
            async with asyncio.timeout(ACCEPT_SECONDS_MAX):
                while spec.run_id not in self._registry.state(spec.model_name).runs:
                    if watcher.done():
                        raise TrainingNotStartedError(f"training run {spec.run_id!r} did not start; the log says why")
                    await asyncio.sleep(_POLL_SECONDS)

    async def _spawned(self) -> "tuple[asyncio.subprocess.Process, _Tail]":
        # A pipe of our own: one of asyncio's would keep the process from ending here for as long as anybody holds it.
        ours, theirs = os.pipe()
        try:
            _, said = await asyncio.get_running_loop().connect_read_pipe(_Tail, os.fdopen(ours, "rb"))
            try:
                process = await asyncio.create_subprocess_exec(
                    *tethered(self._command, os.getpid()),
                    env=self._environment,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=theirs,
                    start_new_session=True,
                )
            except BaseException:
                said.close()
                raise
        finally:
            os.close(theirs)
        return process, said

    async def stop(self) -> None:
        """End the runs that are left; each leaves an event that says so."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.terminate()
        if self._watchers:
            _, left = await asyncio.wait(self._watchers, timeout=STOP_SECONDS_MAX)
            for process in self._running.values() if left else ():
                with suppress(ProcessLookupError):
                    process.kill()
            await asyncio.gather(*self._watchers, return_exceptions=True)

    async def _watch(self, run_id: str, process: asyncio.subprocess.Process, said: "_Tail") -> None:
        try:
            code = await process.wait()
            await said.wait_for_end(TAIL_SECONDS_MAX)
        except Exception:  # noqa: BLE001 - whatever became of the watching, the run is not one that goes on
            _log.exception("training_not_watched", run_id=run_id)
            return
        finally:
            said.close()
            del self._running[run_id]
        if code:
            detail = said.last.decode(errors="replace")
            _log.warning("training_ended", run_id=run_id, exit_code=code, detail=detail)


class _Tail(asyncio.Protocol):
    """Keeps the last of what comes out of a pipe."""

    def __init__(self) -> None:
        self.last = b""
        self._transport: asyncio.BaseTransport | None = None
        self._ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.last = (self.last + data)[-_ERROR_CHARACTERS_MAX:]

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended.set()

    async def wait_for_end(self, seconds_max: float) -> None:
        """Return when nobody can write any more, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                await self._ended.wait()

    def close(self) -> None:
        """Read no more."""
        if self._transport is not None:
            self._transport.close()
