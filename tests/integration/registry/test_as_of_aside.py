"""Whoever asks for the past, or for old events, holds up nobody who asks for the present."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry import tail as registry_tail
from hotswap_stream.application.registry.as_of import WAITING_PER_CLIENT_MAX
from tests.support.problems import assert_problem
from tests.support.stages.http import HttpStage, open_http_stage

ANSWERED_MEANWHILE = 50
DEADLINE_SECONDS = 60.0


class Gate:
    """A reader stands before it with its whole thread, as one does that computes."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.threads: set[int] = set()


class GatedLog(MemoryRegistryLog):
    """Whoever reads from its beginning stands before the gate."""

    gate: Gate

    def reader(self) -> "GatedLog":
        reader = GatedLog(self._shared, reads_only=True)
        reader.gate = self.gate
        return reader

    async def read(self, start_offset: int, end_offset: int) -> AsyncIterator[Sequence[LogRecord]]:
        self.gate.threads.add(threading.get_ident())
        self.gate.reached.set()
        self.gate.opened.wait(DEADLINE_SECONDS)
        async for page in super().read(start_offset, end_offset):
            yield page


@pytest.fixture
async def gated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[HttpStage, Gate]]:
    monkeypatch.setattr(registry_tail, "TAIL_RECORDS_MAX", 2)
    log = GatedLog(MemoryRegistry(SystemClock()))
    log.gate = Gate()
    async with open_http_stage(log, tmp_path) as stage:
        for _ in range(4):
            await stage.registered()
        yield stage, log.gate


@pytest.mark.parametrize("path", ["/api/models?as_of_offset=1", "/api/events?from_offset=0"])
async def test_others_are_answered_while_the_past_is_read(gated: tuple[HttpStage, Gate], path: str) -> None:
    """A replay for `as_of` passed over the whole log in the event loop that requests to models go through."""
    stage, gate = gated
    asked = asyncio.create_task(stage.client.get(path, timeout=2 * DEADLINE_SECONDS))
    assert await asyncio.to_thread(gate.reached.wait, DEADLINE_SECONDS)
    for _ in range(ANSWERED_MEANWHILE):
        assert (await stage.get("/api/health/live")).status_code == 200
    assert not asked.done()
    gate.opened.set()
    assert (await asked).status_code == 200
    assert threading.get_ident() not in gate.threads


async def test_one_client_cannot_take_all_replays(gated: tuple[HttpStage, Gate]) -> None:
    stage, gate = gated
    asked = [
        asyncio.create_task(stage.client.get("/api/models?as_of_offset=1", timeout=2 * DEADLINE_SECONDS))
        for _ in range(WAITING_PER_CLIENT_MAX + 2)
    ]
    done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 2:
        more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    for refused in done:
        problem = assert_problem(refused.result(), 503, "too-many-replays")
        assert "yours" in problem["detail"]
        assert refused.result().headers["retry-after"]
    gate.opened.set()
    for answered in waiting:
        assert (await answered).status_code == 200
