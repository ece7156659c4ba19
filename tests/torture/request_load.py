"""The process that sends the requests, as the run sees it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from hotswap_stream.application.processes.tether import tethered
from tests.torture.plan import Plan
from tests.torture.produce import FLUSH_S_MAX, LINGER_MS, Sent
from tests.torture.request_kinds import MODEL

_sent = msgspec.json.Decoder(Sent)


class LoadFailedError(RuntimeError):
    """Requests could not be sent."""


class RequestLoad:
    """Sends from `start` to `finish`; dies with this process."""

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        plan: Plan,
        seed: int,
        *,
        linger_ms: int = LINGER_MS,
        log_path: Path | None = None,
    ) -> None:
        self.account = Sent([0] * plan.partitions)
        """As last told."""
        self._argv = [
            *(sys.executable, "-m", "tests.torture.produce"),
            *("--bootstrap", bootstrap_servers, "--topic", topic, "--partitions", str(plan.partitions)),
            *("--per-second", str(plan.requests_per_second), "--seed", str(seed), "--linger-ms", str(linger_ms)),
            *(() if log_path is None else ("--log", str(log_path))),
        ]
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Send the first request of each partition."""
        self._process = await asyncio.create_subprocess_exec(
            *tethered(self._argv, os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read(self._process), name="request-load")

    def begin(self) -> None:
        """Send the others at the planned pace; when the first were answered."""
        self._signal(signal.SIGUSR1)

    async def grow(self, partitions: int) -> None:
        """Send to as many partitions; the topic has them. Return when it is so. LoadFailedError."""
        self._signal(signal.SIGUSR2)
        while len(self.account.sent) < partitions:
            self.check()
            await asyncio.sleep(0.1)

    async def wait_for(self, requests: int) -> None:
        """Wait until that number of requests was sent. LoadFailedError."""
        while sum(self.account.sent) < requests:
            self.check()
            await asyncio.sleep(0.1)

    def check(self) -> None:
        """LoadFailedError if no more requests are sent."""
        if self.account.failure is not None or (self._process is not None and self._process.returncode is not None):
            raise LoadFailedError(f"requests are no longer sent, as of {MODEL}: {self.account.failure}")

    async def finish(self) -> list[int]:
        """Send no more; how many each partition got, all confirmed. LoadFailedError."""
        if self._process is None or self._reading is None:
            raise LoadFailedError("requests were never sent")
        self._signal(signal.SIGTERM)
        async with asyncio.timeout(FLUSH_S_MAX + 10):
            await self._reading
            await self._process.wait()
        account = self.account
        if not account.done or account.failure is not None or account.confirmed != sum(account.sent):
            raise LoadFailedError(f"{account.confirmed} of {sum(account.sent)} requests confirmed: {account.failure}")
        return account.sent

    async def close(self) -> None:
        """End the process if it still runs."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is not None:
            async for line in process.stdout:
                self.account = _sent.decode(line)
