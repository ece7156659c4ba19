"""Rollouts with several arms, several workers or several people, that live traffic decides."""

import asyncio
import random
from pathlib import Path

import pytest

from benchmarks.live_rollout import live_digits
from hotswap_events.commands import CommandResult, Refusal
from hotswap_events.rollouts.commands import AdvanceRollout, ResumeRollout, StartRollout
from hotswap_events.rollouts.strategy import (
    AbStrategy,
    AnalysisStep,
    Arm,
    FleetStrategy,
    MetricRule,
    ProgressiveStrategy,
    RolloutPolicy,
    SetWeightStep,
)
from hotswap_stream import bootstrap
from hotswap_stream.application.rollouts.backtest.backtest import BacktestReport, backtest_rollouts
from hotswap_stream.settings import Settings

SECONDS_MAX = 150.0


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return Settings(
        kafka_bootstrap_servers=kafka,
        topic_prefix=topic_prefix,
        home=tmp_path,
        request_partitions=2,
        log_level="warning",
        executor="eager",
    )


async def decided_again(settings: Settings, policy: RolloutPolicy) -> BacktestReport:
    """The last rollout by this policy, from what the broker has kept."""
    async with bootstrap.open_registry(settings) as registry, bootstrap.answer_lookup(settings) as answers:
        history = bootstrap.recorded_history(settings)
        found = await backtest_rollouts(registry.log, history, "digits", policy, answers=answers)
    assert not isinstance(found, Refusal)
    return found[0]


async def test_of_two_candidates_the_one_with_the_better_rewards_is_promoted(settings: Settings) -> None:
    worth, chance = {"v1": 0.5, "v2": 0.55, "v3": 0.8}, random.Random(1)
    policy = RolloutPolicy(metrics=(MetricRule(metric="reward", margin=0.1),), answers_min=50)
    arms = tuple(
        Arm(model_version=name, weight=weight) for name, weight in (("v1", 4_000), ("v2", 3_000), ("v3", 3_000))
    )
    async with live_digits(
        settings, rate=200, labelled=1.0, reward=lambda version, _right: chance.gauss(worth[version], 0.1)
    ) as live:
        accuracy, *_others = [await live.trained(seed=seed) for seed in (1, 2, 3)]
        await live.switched("v1")
        for name in ("v2", "v3"):  # validation is not the point: all count as equally good
            await live.validated(name, accuracy, ("v1", accuracy))
        command = StartRollout(**live.meta(), strategy=AbStrategy(arms=arms), policy=policy)
        ended, _seconds = await live.rolled_out(command, seconds_max=SECONDS_MAX)
        state = live.registry.state("digits")
        assert min(live.answered[name] for name in worth) > 0
    assert (ended.status, ended.promoted_version, state.active_version) == ("promoted", "v3", "v3")
    [analysis] = ended.analyses
    [reward] = [entry for entry in analysis.evidence if entry.model_version == "v3"]
    assert (reward.metric, reward.outcome) == ("reward", "successful")
    again = await decided_again(settings, policy)
    assert (again.trial.outcome, [each.decided for each in again.trial.decisions]) == (
        "promoted",
        [each.decided for each in again.actual.decisions],
    )


async def test_a_bad_version_on_one_of_two_workers_is_aborted(settings: Settings) -> None:
    policy = RolloutPolicy(metrics=(MetricRule(metric="accuracy", margin=0.1),), answers_min=50)
    async with live_digits(settings, rate=200, labelled=1.0, workers=("worker-1", "worker-2")) as live:
        await live.trained(seed=1)
        await live.switched("v1")
        await live.trained("inverted", seed=2)
        strategy = FleetStrategy(workers=("worker-2",))
        command = StartRollout(**live.meta(), strategy=strategy, candidates=("v2",), policy=policy, forced=True)
        ended, _seconds = await live.rolled_out(command, seconds_max=SECONDS_MAX, warm_up_seconds=5)
        state = live.registry.state("digits")
    assert (ended.status, state.active_version, state.versions["v2"].stage) == ("aborted", "v1", "archived")
    assert live.workers["v2"] == {"worker-2"}
    assert "worker-1" in live.workers["v1"]
    again = await decided_again(settings, policy)
    assert [each.decided for each in again.trial.decisions] == [each.decided for each in again.actual.decisions]


async def test_what_stays_open_goes_to_people_of_whom_one_wins(settings: Settings) -> None:
    steps = (
        SetWeightStep(weight=2_500),
        # So few answers show no such small margin.
        AnalysisStep(answers=10, metrics=("success-rate",)),
        SetWeightStep(weight=5_000),
        AnalysisStep(metrics=("accuracy",)),
    )
    rules = MetricRule(metric="success-rate", margin=0.0001), MetricRule(metric="accuracy", margin=0.1)
    policy = RolloutPolicy(metrics=rules, answers_min=50)
    resumed, told = list[str](), list[CommandResult]()
    async with (
        live_digits(settings, rate=200, labelled=1.0) as live,
        bootstrap.open_registry(settings, "other") as other,
    ):
        first = await live.trained(seed=1)
        await live.switched("v1")
        second = await live.trained(epochs=6, seed=2)
        await live.validated("v2", second, ("v1", first))

        async def people() -> None:
            rollout = live.registry.state("digits").rollout
            if rollout is None or rollout.pause_cause != "inconclusive" or told:
                return
            if not resumed:
                resumed.append(rollout.rollout_id)
                await live.command(ResumeRollout(**live.meta(), rollout_id=rollout.rollout_id, step_index=1))
                return
            orders = [AdvanceRollout(**live.meta(), rollout_id=rollout.rollout_id, step_index=1) for _each in range(2)]
            told.extend(await asyncio.gather(live.registry.handle(orders[0]), other.handle(orders[1])))

        command = StartRollout(
            **live.meta(), strategy=ProgressiveStrategy(steps=steps), candidates=("v2",), policy=policy
        )
        ended, _seconds = await live.rolled_out(command, seconds_max=SECONDS_MAX, meanwhile=people)
        late = await live.registry.handle(AdvanceRollout(**live.meta(), rollout_id=ended.rollout_id, step_index=3))
        state = live.registry.state("digits")
    assert (ended.status, state.active_version) == ("promoted", "v2")
    assert [analysis.outcome for analysis in ended.analyses] == ["inconclusive", "inconclusive", "successful"]
    assert sorted(result.status for result in told) == ["accepted", "refused"]
    for result in (late, *(result for result in told if result.status == "refused")):
        assert result.refusal is not None
        assert result.refusal.code == "conflict", result.refusal
