"""Another policy on what was recorded: the same rules as live, on the times of the records."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from hotswap_events.commands import Refusal
from hotswap_events.inference.observation import Feedback
from hotswap_events.training.policy import DataTrigger, DriftTrigger, FreezeWindow, QualityTrigger, ScheduleTrigger
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.observations.feedback import FoundAnswer
from hotswap_stream.application.observations.history import Recorded
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.triggers.backtest import TriggerBacktest, backtest_triggers
from tests.support.clocks import SetClock
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.profiles import profile, sketch_of
from tests.support.samples.registry import MODEL, CountingIds, register, switch
from tests.support.samples.triggers import POLICY, fire, set_training_policy

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
CALM = [number / 400 for number in range(400)]


class Labels:
    """Answers by v1: the label is the lowest digit of the place."""

    async def by_place(self, _model_name: str, request_partition: int, request_offset: int) -> FoundAnswer | None:
        return FoundAnswer(
            request_partition=request_partition,
            request_offset=request_offset,
            answered_at_ms=round(BEGIN.timestamp() * 1000),
            model_version="v1",
            ok=True,
            label=request_offset % 10,
        )

    async def by_id(self, _model_name: str, _request_id: str) -> FoundAnswer | None:
        return None


class Day:
    """A day of traffic: drifted from 6 to 7, wrong from 12 on."""

    def read(self, _model_name: str, since: datetime, until: datetime | None) -> AsyncIterator[Recorded]:
        return self._read(since, until or BEGIN + timedelta(days=1))

    async def _read(self, since: datetime, until: datetime) -> AsyncIterator[Recorded]:
        traffic, at, number = ObservedTraffic(), since, 0
        while (at := at + timedelta(seconds=60)) < until:
            shift = 0.5 if 6 <= at.hour < 7 else 0.0
            traffic.now = at
            sketches = {"input": sketch_of([value + shift for value in CALM])}
            yield Recorded(at, traffic.record("v1", answers=400, sketches=sketches))
            number += 1
            label = number % 10 if at.hour < 12 or number % 2 else 77
            place: dict[str, Any] = {"request_partition": 0, "request_offset": number}
            feedback = Feedback(model_name=MODEL, feedback_id=f"f{number}", at=at, label=label, **place)
            yield Recorded(at, feedback)


@pytest.fixture
async def log() -> AsyncIterator[MemoryRegistryLog]:
    """v1 is in production since the day before, and somebody started a run at noon."""
    clock = SetClock(BEGIN - timedelta(days=1))
    shared = MemoryRegistry(clock)
    registry = Registry(MemoryRegistryLog(shared), clock=clock, ids=CountingIds(), source="/unit")
    await registry.start()
    calm = profile(sketches={"input": sketch_of(CALM), "score": sketch_of(CALM)})
    for command in (register(), switch("v1"), calm, set_training_policy(POLICY)):
        assert (await registry.handle(command)).status == "accepted"
    clock.time = BEGIN + timedelta(hours=12)
    assert (await registry.handle(fire("hand", "noon", clock.time, reason="to see"))).status == "accepted"
    try:
        yield registry.log  # type: ignore[misc]
    finally:
        await registry.stop()


async def tried(log: MemoryRegistryLog, **parts: Any) -> TriggerBacktest:
    policy = replace(POLICY, **parts)
    until = BEGIN + timedelta(days=1)
    found = await backtest_triggers(log, Day(), MODEL, policy, since=BEGIN, until=until, answers=Labels())
    assert isinstance(found, TriggerBacktest), found
    return found


def lines(found: TriggerBacktest) -> list[str]:
    return [f"{each.at:%H:%M} {each.trigger} {each.cause or each.status}" for each in found.trial]


async def test_schedules_and_freezes(log: MemoryRegistryLog) -> None:
    found = await tried(log, schedule=ScheduleTrigger(cron="0 */8 * * *"))
    assert lines(found) == ["08:00 schedule fired", "16:00 schedule fired", "00:00 schedule fired"]
    assert [(each.trigger, each.slot, each.reason) for each in found.actual] == [("hand", "noon", "to see")]
    frozen = FreezeWindow(from_time="07:00", to_time="09:30")
    found = await tried(log, schedule=ScheduleTrigger(cron="0 */8 * * *"), freeze=(frozen,))
    assert lines(found) == [
        "08:00 schedule freeze",
        "09:30 schedule fired",
        "16:00 schedule fired",
        "00:00 schedule fired",
    ]


async def test_drift_with_its_figures(log: MemoryRegistryLog) -> None:
    drift = DriftTrigger(limit=0.2, consecutive=2, window_seconds=600.0)
    found = await tried(log, drift=drift, cooldown_seconds=86_400.0)
    assert lines(found)[0] == "06:20 drift fired"
    assert found.trial[0].figures["input-drift"] > 0.2
    assert all(line.endswith("cooldown") or "run-on" in line for line in lines(found)[1:])
    assert lines(await tried(log, drift=replace(drift, consecutive=7))) == []


async def test_quality_and_rows(log: MemoryRegistryLog) -> None:
    found = await tried(log, quality=QualityTrigger(drop=0.2, labels_min=100), cooldown_seconds=86_400.0)
    first = found.trial[0]
    assert (first.trigger, first.status, first.at.hour) == ("quality", "fired", 13)
    assert first.figures["worse"] >= 0.2
    found = await tried(log, data=DataTrigger(rows=500))
    assert [each.figures["rows"] for each in found.trial] == [500.0, 500.0]


async def test_what_cannot_be_tried(log: MemoryRegistryLog) -> None:
    async def refused(model: str = MODEL, hours: int = 1, **parts: Any) -> str:
        until = BEGIN + timedelta(hours=hours)
        found = await backtest_triggers(log, Day(), model, replace(POLICY, **parts), since=BEGIN, until=until)
        assert isinstance(found, Refusal)
        return found.reason

    assert "no model 'other'" in await refused("other")
    assert "not before its end" in await refused(hours=0)
    assert "100 days" in await refused(hours=2_400)
    assert "cron" in await refused(schedule=ScheduleTrigger(cron="never"))
