"""What follows from observations: steps, promotions, aborts, bakes, people; by a fold that reads no clock."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from hotswap_events.inference.observation import LatencyCounts
from hotswap_events.registry.events import ModelArchived, ModelPromoted, ModelRolledBack
from hotswap_events.rollouts.commands import AdvanceRollout, RecordAnalysis
from hotswap_events.rollouts.events import RolloutBakeEnded, RolloutPaused, RolloutStepEntered
from hotswap_events.rollouts.strategy import AbStrategy, FixedStrategy, MetricName, MetricRule, RolloutPolicy, Strategy
from hotswap_stream.application.rollouts.analysis.figures import JudgedAnswer
from hotswap_stream.application.rollouts.analysis.phases import in_step_with
from hotswap_stream.application.rollouts.analysis.table import ModelTable
from hotswap_stream.application.rollouts.backtest.trial import RolloutTrial
from tests.support.decider_specification import state_after
from tests.support.samples.observations import BEGIN, ObservedTraffic
from tests.support.samples.registry import promoted, trained, validated
from tests.support.samples.rollouts import (
    CANARY,
    SHADOW,
    ab,
    analysis,
    fixed,
    pause_step,
    progressive,
    set_weight,
    start_rollout,
)

PROVEN = (
    *(trained("v1"), validated("v1"), promoted("v1")),
    *(trained("v2"), validated("v2"), trained("v3"), validated("v3")),
)
GOOD = {"v1": 0.99, "v2": 0.99, "v3": 0.99}
BAD = {"v1": 0.99, "v2": 0.80, "v3": 0.99}


def rule(metric: MetricName = "success-rate", **fields: Any) -> MetricRule:
    return MetricRule(metric=metric, **fields)


def trial(strategy: Strategy = CANARY, policy: RolloutPolicy | None = None, *candidates: str) -> RolloutTrial:
    """A rollout that has just begun."""
    policy = policy or RolloutPolicy(metrics=(rule(margin=0.03),), promote_on_operational=True)
    begun = RolloutTrial(state_after(*PROVEN))
    command = start_rollout(strategy, *(candidates or ("v2",)), policy=policy)
    begun.apply(command, BEGIN)
    assert begun.refused is None, begun.refused
    begun.decided.clear()
    return begun


def run(begun: RolloutTrial, traffic: ObservedTraffic, rates: dict[str, float], seconds: int, **fields: Any) -> None:
    """Let it run until it ends, pauses, or the time is over; traffic is split as the rollout says."""
    for _second in range(seconds):
        rollout = begun.state.rollout
        if rollout is None or rollout.status == "paused":
            return
        if rollout.status == "baking":
            weights, rollout_id = {begun.state.active_version or "": 10_000}, None
        else:
            weights = {arm.model_version: arm.weight for arm in rollout.arms}
            rollout_id = rollout.rollout_id
        for record in traffic.second(rates, weights, rollout_id=rollout_id, **fields):
            begun.observe(record)


def events_of(begun: RolloutTrial) -> list[str]:
    return [type(event).__name__ for decided in begun.decided for event in decided.events]


def test_a_bad_canary_is_aborted_and_archived_with_its_figures() -> None:
    begun = trial()
    run(begun, ObservedTraffic(), BAD, 600)
    assert begun.state.rollout is None
    assert events_of(begun) == ["RolloutAnalysisRecorded", "RolloutCompleted", "ModelArchived"]
    assert begun.state.versions["v2"].stage == "archived"
    [decided] = begun.decided
    command = decided.command
    assert isinstance(command, RecordAnalysis)
    assert (command.outcome, command.model_version) == ("failed", "v2")
    [evidence] = command.evidence
    assert evidence.outcome == "failed"
    assert evidence.value is not None
    assert evidence.value < 0.9
    assert evidence.baseline_value == pytest.approx(0.99, abs=0.01)
    assert evidence.p_value is not None
    assert evidence.p_value < 0.05
    assert "success-rate of v2" in (command.reason or "")


def test_a_good_version_earns_each_step_and_is_promoted() -> None:
    steps = [step for weight in (500, 2_500, 5_000, 10_000) for step in (set_weight(weight), analysis())]
    begun = trial(progressive(*steps[:-1], pause_step(5)))
    traffic = ObservedTraffic(answers_a_second=2_000)
    run(begun, traffic, GOOD, 3_000)
    assert begun.state.active_version == "v2"
    entered = [event for decided in begun.decided for event in decided.events if isinstance(event, RolloutStepEntered)]
    assert [event.step_index for event in entered] == [2, 3, 4, 5, 6, 7]
    counts = [d.command.evidence[0].count for d in begun.decided if isinstance(d.command, RecordAnalysis)]
    assert len(counts) == 3
    assert all(count >= 100 for count in counts)
    times = [decided.at for decided in begun.decided]
    assert times == sorted(set(times))
    assert isinstance(begun.decided[-1].command, AdvanceRollout)
    assert isinstance(begun.decided[-1].events[-1], ModelPromoted)


@pytest.mark.parametrize(("rates", "active"), [(GOOD, "v2"), (BAD, "v1")])
def test_with_all_of_the_traffic_it_is_held_to_what_the_baseline_did(rates: dict[str, float], active: str) -> None:
    begun = trial(progressive(set_weight(2_000), analysis(), set_weight(10_000), analysis()))
    traffic = ObservedTraffic(answers_a_second=1_000)
    for _second in range(900):
        if begun.state.rollout is not None and begun.state.rollout.step_index == 1:
            run(begun, traffic, GOOD, 1)
    run(begun, traffic, rates, 600)
    assert begun.state.rollout is None
    assert begun.state.active_version == active


@pytest.mark.parametrize("strategy", [fixed("v2"), ab(v2=5_000, v3=5_000)], ids=["fixed", "ab"])
@pytest.mark.parametrize(("rates", "is_on"), [(GOOD, True), (BAD, False)], ids=["good", "bad"])
def test_where_the_baseline_gets_nothing_from_the_start_it_is_what_was_before(
    strategy: Strategy, rates: dict[str, float], is_on: bool
) -> None:
    begun = RolloutTrial(state_after(*PROVEN))
    traffic = ObservedTraffic()
    for _second in range(60):
        for record in traffic.second(GOOD, {"v1": 10_000}, rollout_id=None):
            begun.observe(record)
    policy = RolloutPolicy(metrics=(rule(margin=0.03),), auto_promote=False)
    named = () if isinstance(strategy, AbStrategy) else ("v2",)
    begun.apply(start_rollout(strategy, *named, policy=policy), traffic.now)
    assert begun.refused is None, begun.refused
    run(begun, traffic, rates, 120)
    assert (begun.state.rollout is not None) == is_on
    if is_on and isinstance(strategy, FixedStrategy):
        # Whatever the time that is over: a person promotes it.
        begun.tick(traffic.now + timedelta(days=30))
        assert begun.state.rollout is not None
        assert begun.state.rollout.status == "running"


def test_harm_that_shows_only_at_a_later_step_is_found_there() -> None:
    begun = trial(progressive(set_weight(500), pause_step(300), set_weight(5_000), pause_step(3_000)))
    traffic = ObservedTraffic(answers_a_second=200)
    run(begun, traffic, GOOD, 301)
    assert events_of(begun) == ["RolloutStepEntered", "RolloutWeightsSet", "RolloutStepEntered"]
    run(begun, traffic, BAD, 120)
    assert begun.state.rollout is None
    assert events_of(begun)[-2:] == ["RolloutCompleted", "ModelArchived"]


def test_what_cannot_be_told_in_time_goes_to_a_person_and_resuming_gives_a_fresh_budget() -> None:
    begun = trial(CANARY, RolloutPolicy(metrics=(rule(margin=0.001),), seconds_max=60))
    run(begun, ObservedTraffic(answers_a_second=100), GOOD, 200)
    rollout = begun.state.rollout
    assert rollout is not None
    assert (rollout.status, rollout.pause_cause) == ("paused", "inconclusive")
    [decided] = begun.decided
    assert decided.at == BEGIN + timedelta(seconds=60)
    assert [type(event) for event in decided.events][-1] is RolloutPaused
    begun.tick(BEGIN + timedelta(days=2))
    assert len(begun.decided) == 1


def test_where_it_goes_on_all_the_same_the_best_of_several_is_promoted() -> None:
    begun = RolloutTrial(state_after(*PROVEN))
    policy = RolloutPolicy(
        metrics=(rule(margin=0.001),), seconds_max=60, on_inconclusive="proceed", promote_on_operational=True
    )
    begun.apply(start_rollout(ab(v1=4_000, v2=3_000, v3=3_000), policy=policy), BEGIN)
    run(begun, ObservedTraffic(answers_a_second=100), {"v1": 0.9, "v2": 0.9, "v3": 0.95}, 61)
    assert begun.refused is None, begun.refused
    assert begun.decided[1].at == BEGIN + timedelta(seconds=60)
    assert isinstance(begun.decided[1].command, RecordAnalysis)
    assert begun.decided[1].command.outcome == "inconclusive"
    assert begun.state.active_version == "v3"


def test_no_answer_at_all_goes_to_a_person_too() -> None:
    begun = trial()
    begun.tick(BEGIN + timedelta(seconds=86_399))
    assert begun.decided == []
    begun.tick(BEGIN + timedelta(seconds=86_400))
    assert begun.state.rollout is not None
    assert begun.state.rollout.pause_cause == "inconclusive"


def test_a_budget_of_answers_ends_an_analysis() -> None:
    begun = trial(CANARY, RolloutPolicy(metrics=(rule(margin=0.001),), answers_max=200))
    run(begun, ObservedTraffic(answers_a_second=400), GOOD, 200)
    assert begun.decided[0].at == BEGIN + timedelta(seconds=10)


@pytest.mark.parametrize(("rates", "outcome"), [(GOOD, "kept"), (BAD, "rolled-back")])
def test_harm_in_the_bake_leads_back_by_one_decision(rates: dict[str, float], outcome: str) -> None:
    begun = trial(CANARY, RolloutPolicy(metrics=(rule(margin=0.03),), bake_seconds=60, promote_on_operational=True))
    traffic = ObservedTraffic(answers_a_second=2_000)
    for _second in range(900):
        if begun.state.active_version == "v1":
            run(begun, traffic, GOOD, 1)
    assert begun.state.rollout is not None
    assert begun.state.rollout.status == "baking"
    run(begun, traffic, rates, 100)
    ended = [event for d in begun.decided for event in d.events if isinstance(event, RolloutBakeEnded)]
    assert [event.outcome for event in ended] == [outcome]
    assert begun.state.active_version == ("v2" if outcome == "kept" else "v1")
    back = [event for d in begun.decided for event in d.events if isinstance(event, ModelRolledBack)]
    assert len(back) == (outcome == "rolled-back")
    assert ended[0].evidence[0].value is not None


def test_slow_answers_are_harm() -> None:
    policy = RolloutPolicy(metrics=(rule("latency", margin=0.05, slow_ms=50.0),))
    begun = trial(CANARY, policy)
    run(begun, ObservedTraffic(answers_a_second=2_000), GOOD, 60, compute_ms={"v1": 10.0, "v2": 80.0})
    assert begun.state.rollout is None
    evidence = begun.state.rollout_history[-1].analyses[-1].evidence[0]
    assert (evidence.value, evidence.baseline_value) == (1.0, 0.0)
    assert evidence.lower is not None
    assert evidence.lower > 0.05


@pytest.mark.parametrize(("agreed", "outcome"), [(99, "successful"), (60, "failed")])
def test_a_shadow_is_judged_by_its_agreement(agreed: int, outcome: str) -> None:
    begun = trial(SHADOW, RolloutPolicy(metrics=(rule("agreement", threshold=0.9),), auto_promote=False))
    traffic = ObservedTraffic()
    for _second in range(20):
        if begun.decided:
            break
        traffic.now += timedelta(seconds=1)
        begun.observe(traffic.record("v1", rollout_id="r1", answers=100))
        begun.observe(
            traffic.record("v2", rollout_id="r1", role="shadow", answers=100, agreed=agreed, disagreed=100 - agreed)
        )
    [decided] = begun.decided
    assert isinstance(decided.command, RecordAnalysis)
    assert decided.command.outcome == outcome


@pytest.mark.parametrize(("right", "outcome"), [(0.95, "successful"), (0.1, "failed")])
def test_labels_that_come_back_decide(right: float, outcome: str) -> None:
    begun = trial(CANARY, RolloutPolicy(metrics=(rule("accuracy", margin=0.05),)))
    for number in range(40_000):
        if begun.decided:
            break
        version = "v2" if number % 10 == 0 else "v1"
        share = right if version == "v2" else 0.95
        correct = (number // 10 if version == "v2" else number) % 100 < share * 100
        at = BEGIN + timedelta(milliseconds=number)
        begun.judge(JudgedAnswer(model_version=version, answered_at=at, rollout_id="r1", correct=correct), at)
    [decided] = begun.decided
    assert isinstance(decided.command, RecordAnalysis)
    assert decided.command.outcome == outcome


@pytest.mark.parametrize(("reward", "outcome"), [(1.0, "successful"), (0.2, "failed")])
def test_rewards_decide(reward: float, outcome: str) -> None:
    begun = trial(CANARY, RolloutPolicy(metrics=(rule("reward", margin=0.3),)))
    for number in range(20_000):
        if begun.decided:
            break
        version = "v2" if number % 10 == 0 else "v1"
        mean = reward if version == "v2" else 1.0
        at = BEGIN + timedelta(milliseconds=number)
        value = mean + (number // 10 % 3 - 1) * 0.5
        begun.judge(JudgedAnswer(model_version=version, answered_at=at, reward=value), at)
    [decided] = begun.decided
    assert isinstance(decided.command, RecordAnalysis)
    assert decided.command.outcome == outcome


def test_what_is_not_of_the_split_does_not_count() -> None:
    begun = trial()
    traffic = ObservedTraffic()
    for _second in range(60):
        traffic.now += timedelta(seconds=1)
        begun.observe(traffic.record("v1", rollout_id="r1", answers=400))
        failures = {"model-failure": 400}
        for role in ("pinned", "probe", "fallback", "shadow"):
            begun.observe(traffic.record("v2", rollout_id="r1", role=role, errors=failures))
        begun.observe(traffic.record("v2", rollout_id="r0", errors=failures))
        begun.observe(traffic.record("v2", rollout_id="r1", errors={"wrong-input": 400}))
    assert begun.decided == []


def test_of_several_candidates_the_harmful_one_ends_it_and_the_best_one_wins() -> None:
    from tests.support.samples.rollouts import ab

    begun = trial(ab(v1=4_000, v2=3_000, v3=3_000), None, "v2", "v3")
    run(begun, ObservedTraffic(answers_a_second=1_000), {"v1": 0.9, "v2": 0.9, "v3": 0.95}, 600)
    assert begun.state.active_version == "v3"
    begun = trial(ab(v1=4_000, v2=3_000, v3=3_000), None, "v2", "v3")
    run(begun, ObservedTraffic(answers_a_second=1_000), BAD, 600)
    archived = [event for d in begun.decided for event in d.events if isinstance(event, ModelArchived)]
    assert [event.model_version for event in archived] == ["v2"]


def test_a_table_comes_back_from_its_bytes_and_goes_on_the_same() -> None:
    policy = RolloutPolicy(metrics=(rule(margin=0.03), rule("latency", threshold=0.05, slow_ms=50.0)))
    whole, halves = trial(CANARY, policy), trial(CANARY, policy)
    records = [
        record
        for traffic in [ObservedTraffic(seed=5)]
        for _second in range(200)
        for record in traffic.second(BAD, {"v1": 9_500, "v2": 500})
    ]
    for record in records:
        whole.observe(record)
        halves.observe(record)
        halves.table = msgspec.msgpack.decode(msgspec.msgpack.encode(halves.table), type=ModelTable)
    assert whole.decided == halves.decided
    assert whole.decided
    assert in_step_with(whole.table, None) == halves.table


def test_the_same_decision_has_the_same_id() -> None:
    def ids(seed: int) -> list[str]:
        begun = trial()
        run(begun, ObservedTraffic(seed=seed), BAD, 600)
        return [decided.command.command_id for decided in begun.decided]

    assert ids(1) == ids(1)
    assert ids(1)[0].startswith("analysis/r1/all/failed/")


def test_latency_of_a_version_is_read_from_the_histogram_where_nobody_counted_slow_ones() -> None:
    policy = RolloutPolicy(metrics=(rule("latency", threshold=0.05, slow_ms=50.0),))
    begun = trial(CANARY, policy)
    traffic = ObservedTraffic()
    for _second in range(10):
        traffic.now += timedelta(seconds=1)
        compute = LatencyCounts(buckets={20: 90, 80: 10}, total_ms=1.0)
        begun.observe(traffic.record("v2", rollout_id="r1", answers=100, compute=compute))
    assert begun.state.rollout_history[-1].status == "aborted"
