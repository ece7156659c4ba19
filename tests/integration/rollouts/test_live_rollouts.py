"""Rollouts that end by themselves: real workers, real digits, labels that come back, nobody who gives orders."""

from pathlib import Path

import pytest

from benchmarks.live_rollout import live_digits
from hotswap_events.rollouts.commands import PromoteRollout, StartRollout
from hotswap_events.rollouts.strategy import (
    AnalysisStep,
    CanaryStrategy,
    MetricRule,
    PauseStep,
    ProgressiveStrategy,
    RolloutPolicy,
    SetWeightStep,
    ShadowStrategy,
)
from hotswap_stream.adapters.torch.data.bad_data import DataKind
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


@pytest.mark.parametrize(("kind", "status", "active"), [("good", "promoted", "v2"), ("inverted", "aborted", "v1")])
async def test_a_shadow_is_judged_by_its_agreement_and_answers_nobody_meanwhile(
    settings: Settings, kind: DataKind, status: str, active: str
) -> None:
    policy = RolloutPolicy(
        metrics=(MetricRule(metric="agreement", threshold=0.8),), answers_min=50, promote_after_shadow=True
    )
    async with live_digits(settings, rate=200, labelled=0.0) as live:
        first = await live.trained(epochs=6, seed=1)
        await live.switched("v1")
        second = await live.trained(kind, epochs=6, seed=2)
        if kind == "good":
            await live.validated("v2", second, ("v1", first))
        command = StartRollout(**live.meta(), strategy=ShadowStrategy(), candidates=("v2",), policy=policy)
        ended, _seconds = await live.rolled_out(command, seconds_max=SECONDS_MAX)
        state = live.registry.state("digits")
    assert (ended.status, state.active_version) == (status, active)
    [analysis] = ended.analyses
    [agreement] = analysis.evidence
    assert agreement.metric == "agreement"
    assert agreement.value is not None
    assert (agreement.value > 0.8) == (kind == "good")


async def test_harm_behind_a_promotion_by_hand_leads_back_by_itself(settings: Settings) -> None:
    # A shadow's answers get no labels: only its promotion shows that it is wrong.
    policy = RolloutPolicy(metrics=(MetricRule(metric="accuracy", margin=0.1),), answers_min=50, bake_seconds=120)
    async with live_digits(settings, rate=200, labelled=1.0) as live:
        await live.trained(epochs=6, seed=1)
        await live.switched("v1")
        await live.trained("inverted", epochs=3, seed=2)
        start = StartRollout(**live.meta(), strategy=ShadowStrategy(), candidates=("v2",), policy=policy, forced=True)
        promotions = [PromoteRollout(**live.meta(), forced=True)]

        async def promoted_once() -> None:
            if promotions and live.labels["v1"] > 600:
                await live.command(promotions.pop())

        ended, _seconds = await live.rolled_out(start, seconds_max=SECONDS_MAX, meanwhile=promoted_once)
        state = live.registry.state("digits")
    assert ended.status == "rolled-back"
    assert (state.active_version, state.versions["v2"].stage) == ("v1", "archived")
    [analysis] = ended.analyses
    [accuracy] = analysis.evidence
    assert (accuracy.model_version, accuracy.outcome) == ("v2", "failed")
    assert live.wrong["v2"] > live.answered["v2"] / 2
