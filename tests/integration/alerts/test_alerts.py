"""Alerts on the real broker, with a real worker and the agents as a process of their own: raised, and cleared."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hotswap_events.alerts.commands import SetAlertPolicy
from hotswap_events.alerts.events import AlertPolicy, AlertRule
from hotswap_events.registry.profile import ProfileVersion
from hotswap_events.serving.commands import SetServingPolicy
from hotswap_events.serving.control import ServingPolicy
from hotswap_stream import bootstrap
from hotswap_stream.domain.state.alerts import AlertsState, EndedAlert
from hotswap_stream.settings import Settings
from tests.support.samples.profiles import sketch_of
from tests.support.samples.torch_artifacts import GOOD, OVERFLOWING, fragile_artifact
from tests.support.stages.agents import AgentsStage, agents_stage, kill
from tests.support.stages.serving import MODEL, PARTITIONS, Stage, open_stage, request_body, stage_settings

SECONDS_MAX = 90.0
PAUSE_SECONDS = 0.02
WINDOW: dict[str, Any] = {"window_seconds": 3.0, "answers_min": 20, "clear_seconds": 1.0}
ERRORS = AlertRule(name="error-rate", metric="error-rate", above=0.2, severity="critical", **WINDOW)
SEEN = AlertRule(name="seen", metric="latency-ms", above=0.0, **{**WINDOW, "answers_min": 60})
"""Raised as soon as a window with this number of answers is judged."""


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def agents(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[AgentsStage]:
    folder = tmp_path / "agents"
    folder.mkdir()
    async with agents_stage(kafka, topic_prefix, folder, module="tests.support.processes.configured_agents") as stage:
        yield stage


@pytest.fixture
async def stage(settings: Settings, agents: AgentsStage) -> AsyncIterator[Stage]:
    """v2, which is fragile, is in production, and its circuit never opens.

    v1 was before and computes whatever comes, so what v2 fails at is its own fault.
    """
    async with open_stage(settings) as stage:
        await stage.switch(await stage.register_answering(1.0))
        await stage.register(await stage.store.put_artifact(fragile_artifact()))
        await stage.command(SetServingPolicy(**stage.meta(), policy=ServingPolicy(error_rate_max=None)))
        await stage.switch("v2")
        yield stage


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[None]:
    worker = await bootstrap.build_worker(settings, "w1")
    await worker.start()
    try:
        yield
    finally:
        await worker.stop()


class Callers:
    """Ask without a pause; `data` makes each request's input."""

    def __init__(self, stage: Stage) -> None:
        self.data: Callable[[], list[float]] = lambda: GOOD
        self._stage = stage
        self._stopping = asyncio.Event()

    async def ask(self) -> None:
        number = 0
        while not self._stopping.is_set():
            await self._stage.send(request_body(data=self.data()), partition=number % PARTITIONS)
            number += 1
            await asyncio.sleep(PAUSE_SECONDS)

    def stop(self) -> None:
        self._stopping.set()


@asynccontextmanager
async def calling(stage: Stage) -> AsyncIterator[Callers]:
    callers = Callers(stage)
    task = asyncio.create_task(callers.ask())
    try:
        yield callers
    finally:
        callers.stop()
        await task


def alerts(stage: Stage) -> AlertsState:
    return stage.registry.state(MODEL).alerts


async def until(stage: Stage, true: Callable[[AlertsState], bool], what: str) -> None:
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while not true(alerts(stage)):
                await stage.registry.wait_for_change()
    except TimeoutError:
        raise AssertionError(f"{what} did not come within {SECONDS_MAX} s: {alerts(stage)}") from None


async def raised(stage: Stage, name: str) -> None:
    await until(stage, lambda now: name in now.raised, f"{name}, raised,")


async def cleared(stage: Stage, name: str) -> EndedAlert:
    await until(stage, lambda now: any(ended.alert.rule.name == name for ended in now.ended), f"{name}, cleared,")
    return next(ended for ended in alerts(stage).ended if ended.alert.rule.name == name)


async def rules(stage: Stage, *rules: AlertRule) -> None:
    await stage.command(SetAlertPolicy(**stage.meta(), policy=AlertPolicy(rules=rules)))


async def test_errors_raise_an_alert_that_clears_when_the_model_is_well_again(stage: Stage, settings: Settings) -> None:
    await rules(stage, ERRORS)
    async with worker(settings), calling(stage) as callers:
        callers.data = lambda: OVERFLOWING
        await raised(stage, "error-rate")
        alert = alerts(stage).raised["error-rate"]
        assert alert.value > ERRORS.threshold
        assert alert.count >= ERRORS.answers_min
        assert alert.figures["errors.model-failure"] > 0
        assert alert.figures["error-rate.v2"] == alert.value
        assert (alert.model_version, alert.rule) == ("v2", ERRORS)
        callers.data = lambda: GOOD
        ended = await cleared(stage, "error-rate")
    assert (ended.cause, ended.alert.sequence) == ("recovered", alert.sequence)
    assert ended.value is not None
    assert ended.value <= ERRORS.threshold
    [event] = [entry for entry in stage.registry.tail if b"hotswap.alert.raised.v1" in (entry.record.value or b"")]
    assert b'"actor":"alert-watch"' in (event.record.value or b"")


async def test_an_alert_clears_when_nobody_asks_any_more(stage: Stage, settings: Settings) -> None:
    await rules(stage, ERRORS)
    async with worker(settings):
        async with calling(stage) as callers:
            callers.data = lambda: OVERFLOWING
            await raised(stage, "error-rate")
        ended = await cleared(stage, "error-rate")
    assert (ended.cause, ended.value) == ("recovered", None)


async def test_stopped_workers_raise_lag_and_what_waited_was_slow(stage: Stage, settings: Settings) -> None:
    lag = AlertRule(name="lag", metric="lag", above=30.0, clear_seconds=1.0)
    slow = AlertRule(name="slow", metric="latency-ms", above=250.0, quantile=0.5, **WINDOW)
    await rules(stage, lag, slow)
    async with worker(settings):
        pass
    async with calling(stage):
        await raised(stage, "lag")
    alert = alerts(stage).raised["lag"]
    assert alert.value > lag.threshold
    assert alert.count == PARTITIONS
    assert set(alerts(stage).raised) == {"lag"}
    async with worker(settings):
        ended = await cleared(stage, "lag")
        assert (ended.cause, ended.alert.sequence) == ("recovered", alert.sequence)
        assert ended.value is not None
        assert ended.value <= lag.threshold
        await until(stage, lambda now: now.raised_total == 2, "slow, raised,")
        async with calling(stage):
            assert (await cleared(stage, "slow")).alert.value > slow.threshold


@pytest.mark.parametrize("profiled", [True, False])
async def test_shifted_inputs_raise_drift_where_there_is_a_profile(
    stage: Stage, settings: Settings, profiled: bool
) -> None:
    dice = random.Random(1)

    def row(mean: float) -> list[float]:
        return [dice.gauss(mean, 0.01) for _element in range(4)]

    if profiled:
        trained_on = [row(0.0) for _row in range(2_000)]
        sketches = {"input": sketch_of([sum(values) / 4 for values in trained_on])}
        sketches |= {f"input.{index}": sketch_of([values[index] for values in trained_on]) for index in range(4)}
        await stage.command(
            ProfileVersion(**stage.meta(), model_version="v2", source="made", rows=2_000, sketches=sketches)
        )
    drift = AlertRule(name="input-drift", metric="input-drift", above=0.3, **WINDOW)
    await rules(stage, drift, SEEN)
    async with worker(settings), calling(stage) as callers:
        callers.data = lambda: row(0.0)
        await raised(stage, "seen")
        assert set(alerts(stage).raised) == {"seen"}, "the look that raised it judged the inputs too"
        callers.data = lambda: row(0.05)
        if not profiled:
            await rules(stage, drift, SEEN, AlertRule(**{**_fields(SEEN), "name": "seen-again"}))
            await raised(stage, "seen-again")
            assert set(alerts(stage).raised) == {"seen", "seen-again"}
            return
        await raised(stage, "input-drift")
        alert = alerts(stage).raised["input-drift"]
        assert {f"distance.input{part}" for part in ("", ".0", ".1", ".2", ".3")} <= set(alert.figures)
        assert alert.model_version == "v2"
        callers.data = lambda: row(0.0)
        assert (await cleared(stage, "input-drift")).cause == "recovered"


def _fields(rule: AlertRule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in rule.__struct_fields__}


async def test_killed_agents_raise_nothing_twice_and_do_not_lose_the_clearing(
    stage: Stage, settings: Settings, agents: AgentsStage
) -> None:
    await rules(stage, ERRORS)
    async with worker(settings), calling(stage) as callers:
        callers.data = lambda: OVERFLOWING
        await raised(stage, "error-rate")
        sequence = alerts(stage).raised["error-rate"].sequence
        await kill(agents)
        await rules(stage, ERRORS, AlertRule(**{**_fields(ERRORS), "name": "judged-again"}))
        await raised(stage, "judged-again")
        assert alerts(stage).raised["error-rate"].sequence == sequence
        assert alerts(stage).raised_total == 2
        callers.data = lambda: GOOD
        await kill(agents)
        ended = await cleared(stage, "error-rate")
        await cleared(stage, "judged-again")
    assert (ended.cause, ended.alert.sequence) == ("recovered", sequence)
    assert alerts(stage).raised_total == 2
    assert stage.registry.fold.void_count == 0
