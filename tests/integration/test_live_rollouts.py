"""Rollouts that end by themselves: real workers, real digits, labels that come back, nobody who gives orders."""

from pathlib import Path

import pytest

from benchmarks.live_rollout import live_digits
from hotswap_events.rollout_commands import StartRollout
from hotswap_events.rollout_strategy import (
    AnalysisStep,
    CanaryStrategy,
    MetricRule,
    PauseStep,
    ProgressiveStrategy,
    RolloutPolicy,
    SetWeightStep,
)
from hotswap_stream.settings import Settings

POLICY = RolloutPolicy(
    metrics=(MetricRule(metric="accuracy", margin=0.1), MetricRule(metric="success-rate", margin=0.05)),
    answers_min=50,
)
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


async def test_a_canary_trained_on_inverted_digits_is_aborted_and_archived(settings: Settings) -> None:
    async with live_digits(settings, rate=200, labelled=1.0) as live:
        await live.trained(seed=1)
        await live.switched("v1")
        await live.trained("inverted", seed=2)
        command = StartRollout(
            **live.meta(), strategy=CanaryStrategy(weight=1_000), candidates=("v2",), policy=POLICY, forced=True
        )
        ended, _seconds = await live.rolled_out(command, seconds_max=SECONDS_MAX)
        state = live.registry.state("digits")
    assert ended.status == "aborted"
    assert (state.active_version, state.versions["v2"].stage) == ("v1", "archived")
    [analysis] = ended.analyses
    [accuracy] = [entry for entry in analysis.evidence if entry.metric == "accuracy"]
    assert accuracy.outcome == "failed"
    assert accuracy.value is not None
    assert accuracy.value < 0.5
    assert live.answered["v1"] > live.answered["v2"] > 0


async def test_a_good_version_is_promoted_step_by_step(settings: Settings) -> None:
    steps = (
        SetWeightStep(weight=2_500),
        AnalysisStep(),
        SetWeightStep(weight=5_000),
        AnalysisStep(metrics=("accuracy",)),
        SetWeightStep(weight=10_000),
        PauseStep(duration_seconds=2),
    )
    async with live_digits(settings, rate=200, labelled=1.0) as live:
        first = await live.trained(seed=1)
        await live.switched("v1")
        second = await live.trained(epochs=6, seed=2)
        await live.validated("v2", second, ("v1", first))
        command = StartRollout(
            **live.meta(), strategy=ProgressiveStrategy(steps=steps), candidates=("v2",), policy=POLICY
        )
        ended, _seconds = await live.rolled_out(command, seconds_max=SECONDS_MAX)
        state = live.registry.state("digits")
    assert (ended.status, state.active_version) == ("promoted", "v2")
    assert [analysis.step_index for analysis in ended.analyses] == [1, 3]
    assert {analysis.outcome for analysis in ended.analyses} == {"successful"}
