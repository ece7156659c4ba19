"""Worker processes by static name: started, killed, stopped for a while, taken away."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hotswap_stream.application.processes.supervision import ProcessSpec, Supervisor
from hotswap_stream.settings import Settings, child_environment
from tests.torture.request_kinds import MODEL

_PID_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.02
_STOP_SECONDS_MAX = 15.0
_BACKOFF_SECONDS_MAX = 0.5


class WorkerGoneError(RuntimeError):
    """A worker ended so often that its supervisor gave it up."""


class Workers:
    """Each under a supervisor of its own, which starts it again when it was killed. `close` ends all."""

    def __init__(self, settings: Settings, log_folder: Path, model_names: Sequence[str] = (MODEL,)) -> None:
        self._model_names = model_names
        self.kills = 0
        self.slowest_removal_s = 0.0
        self.forced_removals = 0
        """Workers that did not end in time after SIGTERM and had to be killed."""
        self._env = child_environment(settings)
        self._log_folder = log_folder
        self._supervisors: dict[str, Supervisor] = {}
        self._restarts = 0
        self._paused: set[int] = set()
        self._removals: dict[str, asyncio.Task[None]] = {}

    @property
    def unplanned_ends(self) -> int:
        """Workers that ended though nobody killed or stopped them."""
        running = sum(status.restarts for each in self._supervisors.values() for status in each.statuses())
        return self._restarts + running - self.kills

    async def add(self, name: str) -> None:
        """Start a worker; it is there when it has joined its group, which nobody waits for.

        If it is just being removed, that comes first.
        """
        if name in self._removals:
            await self._removals.pop(name)
        spec = ProcessSpec(
            name=name,
            argv=[sys.executable, "-m", "hotswap_stream.cli", "worker", "--name", name, *self._models()],
            env=self._env,
            log_file=self._log_folder / f"{name}.log",
            stop_seconds_max=_STOP_SECONDS_MAX,
            # These pauses are for what crashes in a loop, and here it is we who kill one worker several times a minute.
            backoff_seconds_max=_BACKOFF_SECONDS_MAX,
        )
        supervisor = self._supervisors[name] = Supervisor([spec])
        await supervisor.start()

    async def remove(self, name: str) -> None:
        """SIGTERM; nobody waits for the end."""
        await self._pid(name)
        self._removals[name] = asyncio.create_task(self._remove(name), name=f"remove-{name}")

    async def kill(self, name: str) -> None:
        """SIGKILL. A worker that is just being started again is waited for, before and after."""
        pid = await self._pid(name)
        os.kill(pid, signal.SIGKILL)
        self.kills += 1
        while self._supervisors[name].status(name).pid == pid:
            await asyncio.sleep(_POLL_SECONDS)

    async def pause(self, name: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after that number of seconds."""
        pid = await self._pid(name)
        os.kill(pid, signal.SIGSTOP)
        self._paused.add(pid)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._paused.discard(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def close(self) -> None:
        """End all workers, also those that stand still."""
        for pid in self._paused:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        await asyncio.gather(*self._removals.values())
        self._removals.clear()
        await asyncio.gather(*[supervisor.stop() for supervisor in self._supervisors.values()])
        for supervisor in self._supervisors.values():
            self._restarts += sum(status.restarts for status in supervisor.statuses())
        self._supervisors.clear()

    def _models(self) -> list[str]:
        return [word for model_name in self._model_names for word in ("--model", model_name)]

    async def _remove(self, name: str) -> None:
        supervisor, started = self._supervisors[name], time.monotonic()
        await supervisor.stop()
        status = supervisor.status(name)
        self.slowest_removal_s = max(self.slowest_removal_s, round(time.monotonic() - started, 2))
        self.forced_removals += status.exit_code == -signal.SIGKILL
        self._restarts += status.restarts
        del self._supervisors[name]

    async def _pid(self, name: str) -> int:
        deadline = time.monotonic() + _PID_SECONDS_MAX
        while time.monotonic() < deadline:
            status = self._supervisors[name].status(name)
            if status.pid is not None:
                return status.pid
            if status.state == "failed":
                break
            await asyncio.sleep(_POLL_SECONDS)
        raise WorkerGoneError(f"worker {name} does not run: {self._supervisors[name].status(name)}")
