"""The trigger agent in memory: time, observations and feedback in, runs asked for in the log."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from hotswap_events.inference.observation import Feedback
from hotswap_events.training.policy import (
    DataTrigger,
    DriftTrigger,
    QualityTrigger,
    ScheduleTrigger,
    TrainingPolicy,
)
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.agents.trigger_agent import TriggerAgent
from hotswap_stream.application.observations.feedback import FoundAnswer, JoinedFeedback
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.triggers.view import ModelTriggers, find_triggers
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.triggers.on_way import VERDICT_SECONDS_MAX
from tests.support.clocks import SetClock
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.profiles import profile, sketch_of, vast_sketch
from tests.support.samples.registry import MODEL, CountingIds, register, start_training, switch, validate
from tests.support.samples.rollouts import abort_rollout
from tests.support.samples.training import cancel, claim
from tests.support.samples.triggers import POLICY, fire, set_training_policy

MONDAY = datetime(2026, 1, 5, 1, 59, 30, tzinfo=UTC)
NIGHTLY = ScheduleTrigger(cron="0 2 * * *")
CALM = [number / 400 for number in range(400)]


class Triggering:
    """One log, agents on it, and the time."""

    def __init__(self) -> None:
        self.clock = SetClock(MONDAY)
        self.shared = MemoryRegistry(self.clock)
        self.rows = 0
        self.traffic = ObservedTraffic()
        self._registries: list[Registry] = []

    async def new_agent(self) -> TriggerAgent:
        """An agent of another process."""
        name = f"/unit/{len(self._registries)}"
        log = MemoryRegistryLog(self.shared)
        registry = Registry(log, clock=self.clock, ids=CountingIds(name), source=name)
        await registry.start()
        self._registries.append(registry)
        return TriggerAgent(registry, clock=self.clock, rows_total=lambda _name: self.rows)

    async def start(self) -> "Triggering":
        self.agent = await self.new_agent()
        return self

    async def stop(self) -> None:
        for registry in self._registries:
            await registry.stop()

    @property
    def registry(self) -> Registry:
        return self._registries[0]

    @property
    def state(self) -> ModelState:
        return self.registry.state(MODEL)

    @property
    def fired(self) -> list[str]:
        """Slots that started a run, of the first agent's fold, as `trigger slot`."""
        return [f"{kept.trigger} {kept.slot}" for kept in self.state.triggers.history if hasattr(kept, "run_id")]

    @property
    def suppressed(self) -> list[str]:
        return [f"{kept.trigger} {kept.cause}" for kept in self.state.triggers.history if hasattr(kept, "cause")]

    async def do(self, *commands: Any) -> None:
        for command in commands:
            result = await self.registry.handle(command)
            assert result.status == "accepted", result

    async def end_run(self) -> None:
        (run,) = [run for run in self.state.runs.values() if run.is_open]
        await self.do(cancel(run.run_id))

    async def look(self, agent: TriggerAgent | None = None, *, seconds: float = 0.0) -> None:
        self.clock.time += timedelta(seconds=seconds)
        await (agent or self.agent).tick(lambda _name: True)
        await self.registry.catch_up()


@pytest.fixture
async def stage() -> AsyncIterator[Triggering]:
    stage = await Triggering().start()
    try:
        yield stage
    finally:
        await stage.stop()


def by(**parts: Any) -> TrainingPolicy:
    return replace(POLICY, **parts)


async def test_a_run_that_no_runner_takes_keeps_the_triggers_no_longer_than_the_policy_says(stage: Triggering) -> None:
    other = await stage.new_agent()
    await stage.do(set_training_policy(by(unclaimed_seconds_max=3_600.0, cooldown_seconds=0.0, retries=2)), fire())
    (run,) = stage.state.runs.values()
    await stage.look(seconds=3_590)
    assert stage.state.runs[run.run_id].status == "requested"
    await stage.look(seconds=20)
    await stage.look(other)
    (ended,) = stage.state.runs.values()
    assert (ended.status, (ended.detail or "").partition(":")[0]) == ("failed", "unclaimed")
    assert f"trainer {POLICY.trainer!r}" in (ended.detail or "")
    await stage.do(fire(slot="2", at=stage.clock.now()))
    (taken,) = [each for each in stage.state.runs.values() if each.is_open]
    await stage.do(claim(taken.run_id))
    await stage.look(seconds=100_000)
    assert stage.state.runs[taken.run_id].status == "claimed", "whoever took it tells how it goes"


async def test_a_schedule_fires_once_whoever_looks_and_however_often(stage: Triggering) -> None:
    other = await stage.new_agent()
    await stage.do(set_training_policy(by(schedule=NIGHTLY)))
    await stage.look()
    assert stage.fired == [], "it is not time yet, and what was before the policy does not count"
    for _look in range(2):
        await stage.look(seconds=30)
        await stage.look(other)
    await stage.end_run()
    restarted = await stage.new_agent()
    await stage.look(restarted)
    stage.clock.time -= timedelta(hours=30)  # somebody sets the clock back
    await stage.look(restarted)
    await stage.look(restarted, seconds=30 * 3_600 + 100)
    assert stage.fired == ["schedule 2026-01-05T02:00:00Z"]
    await stage.look(restarted, seconds=86_400)
    assert stage.fired == ["schedule 2026-01-05T02:00:00Z", "schedule 2026-01-06T02:00:00Z"]


@pytest.mark.parametrize(("catch_up", "expected"), [(True, ["schedule 2026-01-15T02:00:00Z"]), (False, [])])
async def test_times_that_passed_while_nothing_ran(stage: Triggering, catch_up: bool, expected: list[str]) -> None:
    """The newest of them, or none; never all of them."""
    await stage.do(set_training_policy(by(schedule=replace(NIGHTLY, catch_up=catch_up))))
    await stage.look(seconds=10 * 86_400 + 3_600)
    await stage.look(seconds=1)
    assert stage.fired == expected


async def test_what_keeps_a_schedule_is_said_once_and_made_up_for(stage: Triggering) -> None:
    await stage.do(set_training_policy(by(schedule=NIGHTLY)), fire())
    for _look in range(5):
        await stage.look(seconds=60)
    assert stage.suppressed == ["schedule run-on"]
    assert stage.fired == ["hand 1"]
    await stage.end_run()
    await stage.look(seconds=60)
    assert stage.fired == ["hand 1", "schedule 2026-01-05T02:00:00Z"]


async def test_rows_fill_a_buffer_again_and_again(stage: Triggering) -> None:
    await stage.do(set_training_policy(by(data=DataTrigger(rows=1_000))))
    for rows, runs in ((999, 0), (1_000, 1), (1_001, 1), (1_999, 1), (2_300, 2), (3_299, 2), (3_300, 3)):
        stage.rows = rows
        await stage.look(seconds=1)
        await stage.look(await stage.new_agent())
        assert len(stage.fired) == runs, rows
        if any(run.is_open for run in stage.state.runs.values()):
            await stage.end_run()
    stage.rows = 900  # the count began anew
    await stage.look(seconds=1)
    assert len(stage.fired) == 3
    stage.rows = 1_000
    await stage.look(seconds=1)
    assert stage.fired == ["rows 1", "rows 2", "rows 3", "rows 4"]


DRIFT = DriftTrigger(limit=0.2, consecutive=3, window_seconds=10.0, answers_min=100)


async def observe(stage: Triggering, shift: float, windows: int, *, version: str = "v1", answers: int = 400) -> None:
    """So many windows of traffic; each is judged with the first observation of the next one."""
    for _half in range(2 * windows):
        stage.clock.time += timedelta(seconds=5)
        sketches = {"input": sketch_of([value + shift for value in CALM[:answers]]), "input.0": "!"}
        stage.traffic.now = stage.clock.time
        stage.agent.observe(stage.traffic.record(version, answers=answers, sketches=sketches), stage.clock.time)
        await stage.look()


async def test_drift_in_enough_windows_in_a_row_starts_a_run(stage: Triggering) -> None:
    calm = profile(sketches={"input": sketch_of(CALM), "score": sketch_of(CALM)})
    await stage.do(register(), switch("v1"), calm, set_training_policy(by(drift=DRIFT)))
    await observe(stage, 0.0, 5)
    await observe(stage, 0.5, 2)
    await observe(stage, 0.0, 2)
    await observe(stage, 0.5, 3, version="v2")
    assert stage.fired == []
    await observe(stage, 0.5, 4)
    assert stage.fired == ["drift 1"]
    last = stage.state.triggers.last["drift"]
    assert last.figures["input-drift"] > last.figures["limit"] == 0.2
    assert last.figures["windows"] == 3
    assert "in 3 windows of 10 s" in (last.detail or "")
    await stage.end_run()
    await observe(stage, 0.5, 1)
    assert stage.fired == ["drift 1"], "the row begins anew"
    await observe(stage, 0.5, 3)
    assert stage.fired == ["drift 1", "drift 2"]


async def test_windows_with_few_answers_and_hostile_sketches_say_nothing(stage: Triggering) -> None:
    calm = profile(sketches={"input": sketch_of(CALM)})
    await stage.do(register(), switch("v1"), calm, set_training_policy(by(drift=DRIFT)))
    await observe(stage, 0.9, 9, answers=20)
    for hostile in (vast_sketch(), "!", ""):
        stage.clock.time += timedelta(seconds=20)
        stage.traffic.now = stage.clock.time
        stage.agent.observe(stage.traffic.record("v1", answers=400, sketches={"input": hostile}), stage.clock.time)
        await stage.look()
    assert stage.fired == []
    await observe(stage, 0.9, 5)
    assert stage.fired == ["drift 1"]


QUALITY = QualityTrigger(metric="accuracy", drop=0.1, labels_min=200)


async def labels(stage: Triggering, accuracy: float, count: int, *, version: str = "v1") -> None:
    for number in range(count):
        answer = FoundAnswer(
            request_partition=0, request_offset=number, answered_at_ms=0, model_version=version, ok=True
        )
        at: dict[str, Any] = {"at": stage.clock.time, "request_partition": 0, "request_offset": number}
        feedback = Feedback(model_name=MODEL, feedback_id=f"f{random.random()}", label=1, **at)
        joined = JoinedFeedback(
            feedback=feedback, status="joined", answer=answer, correct=(number * 37) % 100 < accuracy * 100
        )
        stage.agent.hear_feedback(joined, stage.clock.time)
        if number % 100 == 99:
            await stage.look(seconds=1)


async def test_a_drop_against_the_best_since_the_promotion_starts_a_run(stage: Triggering) -> None:
    await stage.do(register(), switch("v1"))
    assert not stage.agent.wants_feedback(MODEL)
    await stage.do(set_training_policy(by(quality=QUALITY)))
    assert stage.agent.wants_feedback(MODEL)
    await labels(stage, 0.95, 600)
    peak = stage.state.triggers.peak
    assert peak is not None
    assert 0.88 < peak.value < 0.95, "what was reached for sure"
    await labels(stage, 0.90, 400)
    assert stage.fired == []
    sequence = stage.state.sequence
    await labels(stage, 0.94, 2_000)
    assert stage.state.sequence == sequence, "a best that hardly grows is not told"
    # A process that is started again knows the best, and nothing of the labels.
    stage.agent = await stage.new_agent()
    await labels(stage, 0.5, 600, version="v2")
    await labels(stage, 0.7, 199)
    assert stage.fired == []
    await labels(stage, 0.7, 101)
    assert stage.fired == ["quality 1"]
    last = stage.state.triggers.last["quality"]
    assert last.figures["accuracy"] == pytest.approx(0.7, abs=0.05)
    assert last.figures["worse"] >= 0.1
    assert "starts a run" in (last.detail or "")


async def test_a_new_version_begins_a_best_of_its_own(stage: Triggering) -> None:
    await stage.do(register(), switch("v1"), set_training_policy(by(quality=QUALITY)))
    await labels(stage, 0.95, 300)
    await stage.do(register("v2"), switch("v2"))
    await labels(stage, 0.6, 500, version="v2")
    assert stage.fired == []
    assert stage.state.triggers.peak is not None
    assert stage.state.triggers.peak.model_version == "v2"
    await labels(stage, 0.3, 300, version="v2")
    assert stage.fired == ["quality 1"]


async def test_a_drop_starts_no_second_run_while_the_first_ones_version_is_tried(stage: Triggering) -> None:
    """Though there is no cooldown: it is said once, and looked at again when the rollout has ended."""
    await stage.do(register(), switch("v1"), set_training_policy(by(quality=QUALITY, cooldown_seconds=0.0)))
    await labels(stage, 0.95, 300)
    await labels(stage, 0.6, 300)
    assert stage.fired == ["quality 1"]
    (run,) = stage.state.runs.values()
    await stage.do(claim(run.run_id), start_training(run.run_id), register("v2", run_id=run.run_id))
    await labels(stage, 0.6, 300)
    said = ["quality run-on", "quality version-on-way"]
    assert stage.suppressed == said, "it waits for its verdict"
    await stage.do(validate("v2", 0.95, ("v1", 0.9)))
    await stage.look()
    assert stage.state.rollout is not None
    await labels(stage, 0.6, 900)
    assert (stage.fired, stage.suppressed) == (["quality 1"], said)
    shown = find_triggers(stage.registry.fold.streams, MODEL)
    assert isinstance(shown, ModelTriggers)
    assert shown.version_on_way == "v2"
    assert "v2 of training run" in (shown.history[0].detail or "")
    await stage.do(abort_rollout())
    await stage.look(seconds=1)
    assert stage.fired == ["quality 1", "quality 2"], "the drop is still there, and nothing is on its way"


async def test_a_version_that_is_never_judged_is_not_waited_for_for_ever(stage: Triggering) -> None:
    await stage.do(register(), switch("v1"), set_training_policy(by(quality=QUALITY, cooldown_seconds=0.0)))
    await labels(stage, 0.95, 300)
    await labels(stage, 0.6, 300)
    (run,) = stage.state.runs.values()
    await stage.do(claim(run.run_id), start_training(run.run_id), register("v2", run_id=run.run_id))
    await labels(stage, 0.6, 300)
    assert stage.fired == ["quality 1"]
    await stage.look(seconds=VERDICT_SECONDS_MAX)
    assert stage.fired == ["quality 1", "quality 2"]


@pytest.mark.parametrize("after", ["ask", "nothing"])
async def test_a_version_that_a_person_decides_on_keeps_no_trigger(stage: Triggering, after: Any) -> None:
    await stage.do(
        register(), switch("v1"), set_training_policy(by(quality=QUALITY, cooldown_seconds=0.0, after=after))
    )
    await labels(stage, 0.95, 300)
    await labels(stage, 0.6, 300)
    (run,) = stage.state.runs.values()
    await stage.do(claim(run.run_id), start_training(run.run_id), register("v2", run_id=run.run_id))
    await stage.do(validate("v2", 0.95, ("v1", 0.9)))
    await labels(stage, 0.6, 300)
    assert stage.fired == ["quality 1", "quality 2"]


async def test_a_model_that_trips_a_bug_leaves_the_others_alone(stage: Triggering) -> None:
    def rows(name: str) -> int:
        if name == "broken":
            raise RuntimeError("a bug")
        return 5_000

    policy = by(data=DataTrigger(rows=1_000))
    await stage.do(set_training_policy(policy, model_name="broken"), set_training_policy(policy))
    await stage.look(TriggerAgent(stage.registry, clock=stage.clock, rows_total=rows))
    assert stage.fired == ["rows 1"]


async def trained(stage: Triggering, version: str, accuracy: float, baseline: tuple[str, float] | None) -> str:
    """Fire, and have the run make a version that is validated."""
    await stage.do(fire("hand", f"for-{version}", stage.clock.time))
    (run,) = [run for run in stage.state.runs.values() if run.is_open]
    await stage.do(claim(run.run_id), start_training(run.run_id), register(version, run_id=run.run_id))
    await stage.do(validate(version, accuracy, baseline))
    return run.run_id


@pytest.mark.parametrize("after", ["shadow", "canary", "ask", "nothing"])
async def test_what_comes_after_a_run(stage: Triggering, after: Any) -> None:
    await stage.do(set_training_policy(by(after=after)))
    run_id = await trained(stage, "v1", 0.9, None)
    other = await stage.new_agent()
    for agent in (stage.agent, other, stage.agent):
        await stage.look(agent)
    expected = {"shadow": "production", "canary": "production", "ask": "staging", "nothing": "none"}[after]
    assert stage.state.versions["v1"].stage == expected
    if stage.state.active_version is None:
        await stage.do(switch("v1"))
    run_id = await trained(stage, "v2", 0.95, ("v1", 0.9))
    for agent in (other, stage.agent, other):
        await stage.look(agent, seconds=1)
    rollout = stage.state.rollout
    if after in ("ask", "nothing"):
        assert rollout is None
        assert stage.state.versions["v2"].stage == {"ask": "staging", "nothing": "none"}[after]
        return
    assert rollout is not None
    assert (rollout.rollout_id, rollout.candidates) == ("r1", ("v2",))
    assert type(rollout.strategy).__name__.lower().startswith(after)
    assert run_id in stage.state.runs
    # The next one waits while this one goes on.
    await trained(stage, "v3", 0.96, ("v1", 0.9))
    await stage.look(seconds=1)
    assert stage.state.rollouts_total == 1


async def test_a_version_that_failed_or_that_somebody_moved_is_left_alone(stage: Triggering) -> None:
    await stage.do(register("v0"), switch("v0"), set_training_policy(by(after="shadow")))
    await trained(stage, "bad", 0.1, ("v0", 0.9))
    await stage.look()
    assert stage.state.versions["bad"].stage == "archived"
    assert stage.state.rollout is None
