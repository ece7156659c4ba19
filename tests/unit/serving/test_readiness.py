"""Readiness: what keeps this server from answering, and which models' requests stand still."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from hotswap_events.inference.fleet import LIVE_SECONDS_MAX, FleetRecord
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.api.monitoring import readiness
from hotswap_stream.api.monitoring.readiness import degraded, missing_for_readiness, require_ready, troubles
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.home.broker_condition import BrokerCondition
from tests.support.samples.fleet import HeardFleet
from tests.support.samples.registry import MODEL, register
from tests.support.stages.http import services_on, started_registry

STALLED = "no batch was answered for 40 s, and requests wait in partitions 1"


class SlowLog(MemoryRegistryLog):
    """A log whose end is told only while `tells` is set, and which then seems to have `more` records."""

    def __init__(self, shared: MemoryRegistry) -> None:
        super().__init__(shared)
        self.tells = asyncio.Event()
        self.tells.set()
        self.more = 0
        self.held_back: str | None = None

    async def end_offset(self) -> int:
        await self.tells.wait()
        return await super().end_offset() + self.more

    def obstacle(self, *, seconds_min: float = 0.0) -> str | None:
        del seconds_min
        return self.held_back


def hear(fleet: HeardFleet, worker: str, trouble: str | None, model_name: str = MODEL) -> None:
    record = FleetRecord(worker=worker, model_name=model_name, registry_offset=0, versions={}, trouble=trouble)
    fleet.fold.apply(f"{worker}/{model_name}".encode(), msgspec.json.encode(record), fleet.now_s)


@pytest.fixture
async def log() -> SlowLog:
    return SlowLog(MemoryRegistry(SystemClock()))


@pytest.fixture
async def registry(log: SlowLog) -> AsyncIterator[Registry]:
    async with started_registry(log) as registry:
        await registry.handle(register())
        yield registry


@pytest.fixture
def fleet() -> HeardFleet:
    return HeardFleet()


@pytest.fixture
def runtime(registry: Registry, fleet: HeardFleet, tmp_path: Path) -> ApiRuntime:
    return ApiRuntime(services_on(registry, tmp_path, fleet=fleet))


async def test_nothing_is_missing_when_the_registry_is_up_to_date(runtime: ApiRuntime) -> None:
    assert await missing_for_readiness(runtime) == ()
    await require_ready(runtime)


async def test_a_broker_that_is_away_is_the_reason_before_any_other(
    registry: Registry, log: SlowLog, tmp_path: Path
) -> None:
    condition = BrokerCondition(state="away", because="its disk is full")
    runtime = ApiRuntime(services_on(registry, tmp_path, broker=lambda: condition))
    log.tells.clear()  # nobody asks it
    assert await missing_for_readiness(runtime) == ("the embedded broker is away: its disk is full",)
    condition = BrokerCondition()
    log.tells.set()
    assert await missing_for_readiness(runtime) == ()


async def test_a_registry_that_follows_no_more_is_not_ready(runtime: ApiRuntime, registry: Registry) -> None:
    await registry.stop()
    (missing,) = await missing_for_readiness(runtime)
    with pytest.raises(ProblemError) as raised:
        await require_ready(runtime)
    assert (raised.value.status, raised.value.code, raised.value.detail) == (503, "not-ready", missing)
    assert raised.value.headers == {"Retry-After": "1"}


async def test_a_log_that_does_not_tell_its_end_is_named(
    runtime: ApiRuntime, log: SlowLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "READY_SECONDS_MAX", 0.05)
    log.tells.clear()
    assert await missing_for_readiness(runtime) == ("the registry log did not answer within 0.05 s",)


async def test_records_that_do_not_come_are_counted(
    runtime: ApiRuntime, registry: Registry, log: SlowLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "READY_SECONDS_MAX", 0.05)
    log.more = 3
    end = registry.fold.next_offset + 3
    assert await missing_for_readiness(runtime) == (f"the registry is 3 records behind the log's end at offset {end}",)


async def test_what_holds_records_back_is_the_reason(runtime: ApiRuntime, log: SlowLog) -> None:
    log.held_back = "an open transaction"
    assert await missing_for_readiness(runtime) == ("an open transaction",)


async def test_models_are_degraded_by_what_live_workers_say(runtime: ApiRuntime, fleet: HeardFleet) -> None:
    hear(fleet, "w1", None)
    hear(fleet, "w2", STALLED)
    hear(fleet, "w2", STALLED, model_name="unregistered")
    assert troubles(runtime, MODEL) == (f"worker 'w2': {STALLED}",)
    assert degraded(runtime) == (f"model {MODEL!r}: worker 'w2': {STALLED}",)
    fleet.now_s += LIVE_SECONDS_MAX + 1
    assert degraded(runtime) == ()


async def test_nothing_follows_from_a_fleet_that_is_not_known(
    runtime: ApiRuntime, registry: Registry, fleet: HeardFleet, tmp_path: Path
) -> None:
    hear(fleet, "w1", STALLED)
    fleet.known = False
    assert degraded(runtime) == ()
    assert degraded(ApiRuntime(services_on(registry, tmp_path))) == ()


async def test_the_list_of_degraded_models_has_an_end(
    runtime: ApiRuntime, fleet: HeardFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "DEGRADED_MAX", 2)
    for number in range(5):
        hear(fleet, f"w{number}", STALLED)
    assert len(degraded(runtime)) == 2
