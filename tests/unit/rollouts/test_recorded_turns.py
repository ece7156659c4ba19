"""Long histories are folded in turns with whatever else the event loop does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import pytest

from hotswap_events.commands import Refusal
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.drift.report import drift_report
from hotswap_stream.application.observations.history import RECORDS_AT_ONCE, Recorded
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.rollouts.report.history import experiment_report
from tests.support.samples.observations import BEGIN, ObservedTraffic
from tests.support.samples.recorded import KeptHistory
from tests.support.samples.registry import MODEL, CountingIds, register, validate
from tests.support.samples.rollouts import CANARY, start_rollout

RECORDS = 40 * RECORDS_AT_ONCE


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    registry = Registry(log, clock=SystemClock(), ids=CountingIds(), source="/test")
    await registry.start()
    first = validate("v1", promote_first=True)
    for command in (register(), first, register(), validate("v2", 0.97, ("v1", 0.97)), start_rollout(CANARY, "v2")):
        assert (await registry.handle(command)).status == "accepted"
    yield registry
    await registry.stop()


@pytest.mark.parametrize("kind", ["rollout", "drift"])
async def test_others_have_their_turn_while_a_report_is_made(
    registry: Registry, kind: Literal["rollout", "drift"]
) -> None:
    traffic = ObservedTraffic()
    traffic.now = max(BEGIN, SystemClock().now())
    # Of a history in memory nothing has to be waited for.
    history = KeptHistory([Recorded(traffic.now, traffic.record("v1", rollout_id="r1")) for _each in range(RECORDS)])
    turns, over = 0, False

    async def others() -> None:
        nonlocal turns
        while not over:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    streams = registry.fold.streams
    report = (
        await experiment_report(streams, MODEL, history)
        if kind == "rollout"
        else await drift_report(streams, MODEL, history, since=BEGIN, model_version="v1")
    )
    over = True
    await beside
    assert not isinstance(report, Refusal)
    assert report.records == RECORDS
    assert turns >= RECORDS // RECORDS_AT_ONCE
