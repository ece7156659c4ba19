"""Child processes kept running: started, watched, started again when they end unasked, stopped in order."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import structlog
from msgspec import Struct, field

from hotswap_stream.application.processes.tether import tethered
from hotswap_stream.errors import HotswapError
from hotswap_stream.restart_pace import RestartPace

_log = structlog.get_logger(__name__)

ProcessState = Literal["starting", "running", "restarting", "failed", "stopping", "stopped"]

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: starting the process again cannot help."""

_READY_POLL_SECONDS = 0.05


class SupervisionError(HotswapError):
    """A process did not get ready, or ended for good; the message names it and its exit code."""


class ProcessSpec(Struct, frozen=True, kw_only=True):
    """One process to keep running."""

    name: str
    argv: Sequence[str]
    env: dict[str, str] | None = None
    """The whole environment; None hands on this process's own."""
    folder: Path | None = None
    """Its working folder; None hands on this process's own."""
    ready: Callable[[], Awaitable[bool]] | None = None
    """Asked again and again after each start until it says yes, an exception being a no; None takes a started process
    as ready."""
    log_file: Path | None = None
    """Where its output is appended; None lets it write where this process writes."""
    log_bytes_max: int = 16 * 1024**2
    """A log file that is longer at a start is kept as `<name>.1`, instead of the one before."""
    ready_seconds_max: float = 60.0
    stop_seconds_max: float = 15.0
    """After that it, and what it started, is killed."""
    restarts_per_minute_max: int = 10
    """More than that, and the process has failed for good. With the pauses below that takes a process that ends at
    once; one that takes a second to find out, such as that Kafka is away, is started again without end."""
    backoff_seconds_first: float = 0.2
    backoff_seconds_max: float = 10.0
    may_start: Callable[[], Awaitable[bool]] | None = None
    """Waited for before it is started again: it returns when what the process needs is there, True if it was all
    along. A process that ended while it was not there did not fail by itself, so its restarts count anew."""
    exit_codes_final: frozenset[int] = field(default_factory=lambda: frozenset({EXIT_CONFIGURATION}))
    """Exit codes after which it is not started again."""


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """A process as it is now."""

    name: str
    state: ProcessState
    pid: int | None
    restarts: int
    exit_code: int | None
    """Exit code of its last end; −9 for killed by signal 9."""


class _Process:
    """One spec and the process that runs for it."""

    def __init__(self, spec: ProcessSpec, on_change: Callable[[ProcessStatus], None] | None) -> None:
        self.spec = spec
        self.changed = asyncio.Event()
        self._on_change = on_change
        self._state: ProcessState = "stopped"
        self._child: asyncio.subprocess.Process | None = None
        self._exit_code: int | None = None
        self._restarts = 0
        self._pace = RestartPace(
            per_minute_max=spec.restarts_per_minute_max,
            seconds_first=spec.backoff_seconds_first,
            seconds_max=spec.backoff_seconds_max,
        )
        self._keeper: asyncio.Task[None] | None = None

    @property
    def status(self) -> ProcessStatus:
        return ProcessStatus(
            name=self.spec.name,
            state=self._state,
            pid=None if self._child is None else self._child.pid,
            restarts=self._restarts,
            exit_code=self._exit_code,
        )

    def start(self) -> None:
        self._set("starting")
        self._keeper = asyncio.create_task(self._keep(), name=f"keep-{self.spec.name}")

    async def wait_for(self, *states: ProcessState) -> ProcessStatus:
        while self._state not in states:
            await self.changed.wait()
        return self.status

    async def stop(self) -> None:
        if self._state in ("failed", "stopped"):
            return
        self._set("stopping")
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        await self._end_child()
        self._set("stopped")

    async def _keep(self) -> None:
        try:
            while True:
                await self._run_once()
                if self.spec.may_start is not None and self._exit_code not in self.spec.exit_codes_final:
                    self._set("restarting")
                    if not await self.spec.may_start():
                        self._pace.forgive()
                delay = self._next_delay()
                if delay is None:
                    self._set("failed")
                    return
                self._restarts += 1
                if self._state != "restarting":
                    self._set("restarting")
                await asyncio.sleep(delay)
        except Exception:  # noqa: BLE001 - whatever kept it from starting, those who wait for it must hear of it
            _log.exception("process_not_started", name=self.spec.name)
            self._set("failed")

    async def _run_once(self) -> None:
        """Start the child, say when it is ready, and return when it has ended."""
        child = self._child = await self._spawn()
        ended = asyncio.ensure_future(child.wait())
        getting_ready = asyncio.ensure_future(self._get_ready())
        try:
            await asyncio.wait({ended, getting_ready}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                if getting_ready.result():
                    self._set("running")
                    await ended
                else:
                    _log.error("process_not_ready", name=self.spec.name, seconds_max=self.spec.ready_seconds_max)
                    await self._end_child()
        finally:
            getting_ready.cancel()
            ended.cancel()
        self._kill_group(child.pid)
        self._exit_code = child.returncode
        self._child = None
        _log.warning("process_ended", name=self.spec.name, pid=child.pid, exit_code=self._exit_code)

    async def _spawn(self) -> asyncio.subprocess.Process:
        spec = self.spec
        with _Output(spec) as output:
            child = await asyncio.create_subprocess_exec(
                *tethered(list(spec.argv), os.getpid()),
                env=spec.env,
                cwd=spec.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A group of its own: Ctrl-C reaches the supervisor alone, and a kill reaches what the child started.
                start_new_session=True,
            )
        _log.info("process_started", name=spec.name, pid=child.pid, restarts=self._restarts)
        return child

    async def _get_ready(self) -> bool:
        """Return whether the process got ready in time."""
        ready = self.spec.ready
        if ready is None:
            return True
        try:
            async with asyncio.timeout(self.spec.ready_seconds_max):
                while not await _says_yes(ready):
                    await asyncio.sleep(_READY_POLL_SECONDS)
        except TimeoutError:
            return False
        return True

    def _next_delay(self) -> float | None:
        """Return the seconds until the next start; None when there is to be none."""
        if self._exit_code in self.spec.exit_codes_final:
            return None
        return self._pace.next_delay(asyncio.get_running_loop().time())

    async def _end_child(self) -> None:
        child = self._child
        if child is None:
            return
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.spec.stop_seconds_max):
                await child.wait()
        except TimeoutError:
            _log.warning("process_killed", name=self.spec.name, pid=child.pid)
        self._kill_group(child.pid)
        self._exit_code = await child.wait()
        self._child = None

    def _kill_group(self, pid: int) -> None:
        """Kill the child, if it still runs, and whatever it left running."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)

    def _set(self, state: ProcessState) -> None:
        self._state = state
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        if self._on_change is not None:
            self._on_change(self.status)


async def _says_yes(ready: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await ready()
    except Exception as error:  # noqa: BLE001 - refused connections and the like: it is not ready yet
        _log.debug("process_not_ready_yet", cause=repr(error))
        return False


class _Output:
    """The log file of a spec, opened for one child; None for inherited output."""

    def __init__(self, spec: ProcessSpec) -> None:
        self._spec = spec
        self._handle: int | None = None

    def __enter__(self) -> int | None:
        path = self._spec.log_file
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size > self._spec.log_bytes_max:
                path.replace(path.with_name(f"{path.name}.1"))
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        return self._handle

    def __exit__(self, *_exception: object) -> None:
        if self._handle is not None:
            os.close(self._handle)


class Supervisor:
    """Keeps processes running until it is stopped. Use it from one event loop, in the main thread.

    Each is started again when it ends unasked, with a growing pause, unless its exit code is final or it was started
    too often. On Linux all of them die with this process, however it ends.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        on_change: Callable[[ProcessStatus], None] | None = None,
        together: bool = False,
    ) -> None:
        """`together`: all are started at once, and stopped at once; else one after the other."""
        names = [spec.name for spec in specs]
        if len(set(names)) != len(names):
            raise ValueError(f"process names are not unique: {names}")
        self._processes = {spec.name: _Process(spec, on_change) for spec in specs}
        self._together = together

    async def start(self) -> None:
        """Start the processes: in order, each when the former is ready, or all together.

        Raises:
            SupervisionError: One did not start; all of them were stopped again.
        """
        if self._together:
            for process in self._processes.values():
                process.start()
        for process in self._processes.values():
            if not self._together:
                process.start()
            status = await process.wait_for("running", "restarting", "failed")
            if status.state != "running":
                await self.stop()
                log_file = process.spec.log_file
                raise SupervisionError(
                    f"process {status.name!r} did not start: exit code {status.exit_code}"
                    + ("" if log_file is None else f"; its log is {log_file}")
                )

    async def stop(self) -> None:
        """Stop the processes, in reverse order or together: SIGTERM, and SIGKILL when that does not help in time."""
        if self._together:
            await asyncio.gather(*(process.stop() for process in self._processes.values()))
            return
        for process in reversed(self._processes.values()):
            await process.stop()

    def statuses(self) -> tuple[ProcessStatus, ...]:
        """Return all processes, in the order of their specs."""
        return tuple(process.status for process in self._processes.values())

    def status(self, name: str) -> ProcessStatus:
        """Return the status of one process.

        Raises:
            KeyError: There is none of that name.
        """
        return self._processes[name].status

    async def wait_for(self, name: str, *states: ProcessState) -> ProcessStatus:
        """Wait until the process is in one of the states."""
        return await self._processes[name].wait_for(*states)

    async def wait_failed(self) -> ProcessStatus:
        """Wait until a process has failed for good, and return it."""
        waiting = [asyncio.create_task(process.wait_for("failed")) for process in self._processes.values()]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in waiting:
                task.cancel()

    async def __aenter__(self) -> "Supervisor":
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()
