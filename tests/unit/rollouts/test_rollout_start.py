"""What a rollout may start with, and what it may be changed to."""

from typing import Any

import pytest
from msgspec.structs import replace

from hotswap_events.commands import AnyCommand
from hotswap_events.registry.events import RegistryEvent
from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import AbStrategy, MetricName, MetricRule, RolloutPolicy, Strategy
from hotswap_stream.domain.decide import Accepted
from tests.support.decider_specification import given
from tests.support.samples.registry import (
    archived,
    artifact_of,
    trained,
    validated,
)
from tests.support.samples.rollout_course import BAKING, ENDED, IN_CANARY, PROVEN, RIVALS
from tests.support.samples.rollouts import (
    CANARY,
    POLICY,
    SHADOW,
    STRICT,
    WITHOUT_SHADOW,
    ab,
    analysis,
    bake_ended,
    change_strategy,
    fixed,
    fleet,
    pause_step,
    progressive,
    rollout_started,
    set_weight,
    start_rollout,
    step_entered,
    strategy_changed,
    weights_set,
)


class TestWhatIsToldAtTheStart:
    @pytest.mark.parametrize(
        ("command", "words"),
        [
            (
                start_rollout(CANARY, "v2"),
                (
                    "decided by success-rate, which would not",
                    "waits for a person",
                    "promote_on_operational: true",
                ),
            ),
            (
                start_rollout(CANARY, "v2", policy=RolloutPolicy(metrics=(MetricRule(metric="accuracy", margin=0.1),))),
                ("decided by accuracy; success promotes v2",),
            ),
            (
                start_rollout(CANARY, "v2", policy=RolloutPolicy(promote_on_operational=True)),
                ("which would not notice if all answers were wrong; success promotes v2",),
            ),
            (start_rollout(CANARY, "v2", policy=RolloutPolicy(auto_promote=False)), ("auto_promote is false",)),
            (start_rollout(SHADOW, "v2"), ("a shadow ends in a report",)),
            (start_rollout(fixed("v2"), "v2"), ("it has no success: a person promotes or aborts",)),
            (
                start_rollout(CANARY, "v2", policy=RolloutPolicy(metrics=())),
                ("decided by no metric; it has no",),
            ),
            (start_rollout(CANARY, "v3", forced=True), ("v3 has not been validated",)),
        ],
    )
    def test_what_decides_and_what_follows(self, command: StartRollout, words: tuple[str, ...]) -> None:
        given(*PROVEN, trained("v3")).when(command).and_says(*words)

    def test_the_artifact_of_one_that_failed_is_told_of_beside_what_else_is_lacking(self) -> None:
        failed = (trained("v3"), validated("v3", "failed"), archived("v3"))
        again = replace(trained("v4"), artifact=artifact_of("v3"))
        given(*PROVEN, *failed, again).when(start_rollout(CANARY, "v4", forced=True)).and_says(
            "v4 has not been validated and has the artifact of v3, which failed validation"
        )


class TestStart:
    @pytest.mark.parametrize(
        ("strategy", "moves"),
        [
            (CANARY, (weights_set(v1=9_500, v2=500),)),
            (SHADOW, ()),
            (fleet(0, "worker-1"), ()),
            (fixed("v2"), (weights_set(v1=0, v2=10_000),)),
            (fixed("v1"), ()),
            (progressive(analysis()), (step_entered(0),)),
            (
                progressive(set_weight(500), set_weight(700), pause_step(60)),
                (
                    step_entered(0),
                    weights_set(v1=9_500, v2=500),
                    step_entered(1),
                    weights_set(v1=9_300, v2=700),
                    step_entered(2),
                ),
            ),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_each_strategy_with_one_candidate(self, strategy: Strategy, moves: tuple[RegistryEvent, ...]) -> None:
        given(*PROVEN).when(start_rollout(strategy, "v2")).then(rollout_started(strategy), *moves)

    def test_an_ab_test_takes_its_candidates_from_the_arms(self) -> None:
        strategy = ab(v2=3_000, v3=3_000, v1=4_000)
        given(*RIVALS).when(start_rollout(strategy)).then(
            rollout_started(strategy, "v2", "v3"), weights_set(v1=4_000, v2=3_000, v3=3_000)
        )

    def test_an_ab_test_may_leave_the_baseline_out(self) -> None:
        strategy = ab(v2=5_000, v3=5_000)
        given(*RIVALS).when(start_rollout(strategy, "v3", "v2")).then(
            rollout_started(strategy, "v2", "v3"), weights_set(v1=0, v2=5_000, v3=5_000)
        )

    def test_salt_and_policy_as_asked(self) -> None:
        given(*PROVEN).when(start_rollout(SHADOW, "v2", salt="again", policy=STRICT)).then(
            rollout_started(SHADOW, salt="again", policy=STRICT)
        )

    def test_names_count_up(self) -> None:
        given(*ENDED).when(start_rollout(SHADOW, "v2")).then(rollout_started(SHADOW, rollout_id="r2"))

    def test_several_shadows(self) -> None:
        given(*RIVALS).when(start_rollout(SHADOW, "v2", "v3")).then(rollout_started(SHADOW, "v2", "v3"))

    def test_one_at_a_time(self) -> None:
        given(*IN_CANARY).when(start_rollout(SHADOW, "v2")).then_refused(
            "illegal-step", "'r1'", "is running", legal=("pause", "promote", "abort", "set-strategy")
        )

    def test_a_new_one_ends_the_bake_of_the_last(self) -> None:
        given(*BAKING).when(start_rollout(SHADOW, "v1")).then(
            bake_ended("superseded"), rollout_started(SHADOW, "v1", rollout_id="r2", baseline="v2")
        )

    def test_needs_a_baseline(self) -> None:
        given(trained("v1")).when(start_rollout(CANARY, "v1")).then_refused(
            "illegal-step", "no active version", legal=("switch to v1",)
        )

    def test_traffic_needs_a_passed_validation_or_force(self) -> None:
        unproven = given(*PROVEN, trained("v3"))
        unproven.when(start_rollout(CANARY, "v3")).then_refused("illegal-step", "not been validated", "forced")
        unproven.when(start_rollout(SHADOW, "v3")).then(rollout_started(SHADOW, "v3"))
        unproven.when(start_rollout(CANARY, "v3", forced=True)).then(
            rollout_started(CANARY, "v3", forced=True), weights_set(v1=9_500, v3=500)
        )

    @pytest.mark.parametrize(
        ("events", "command", "code", "words"),
        [
            (PROVEN, start_rollout(CANARY), "invalid-value", "name the candidate"),
            (PROVEN, start_rollout(CANARY, "v9"), "unknown-version", "v2, v1"),
            (PROVEN, start_rollout(CANARY, "v1"), "illegal-step", "is in production"),
            (RIVALS, start_rollout(CANARY, "v2", "v3"), "invalid-value", "takes one"),
            (PROVEN, start_rollout(SHADOW, "v2", "v2"), "invalid-value", "twice"),
            (RIVALS, start_rollout(fixed("v3"), "v2"), "invalid-value", "neither"),
            (RIVALS, start_rollout(ab(v2=5_000, v3=5_000), "v2"), "invalid-value", "leave them out"),
            ((*PROVEN, archived("v2")), start_rollout(CANARY, "v2"), "illegal-step", "stage it first"),
            (
                (*PROVEN, validated("v2", "failed", 0.1, ("v1", 0.97))),
                start_rollout(SHADOW, "v2"),
                "illegal-step",
                "failed validation",
            ),
            (PROVEN, start_rollout(ab(v1=5_000, v2=4_000), "v2"), "invalid-value", "9000"),
            (PROVEN, start_rollout(fleet(), "v2"), "invalid-value", "share"),
            (PROVEN, start_rollout(fleet(0, *map(str, range(1_001))), "v2"), "invalid-value", "1001 workers"),
            (PROVEN, start_rollout(ab(v1=10_000), "v2"), "invalid-value", "2 to 8"),
            (PROVEN, start_rollout(progressive(*[pause_step()] * 65), "v2"), "invalid-value", "65 steps"),
            (PROVEN, start_rollout(SHADOW, *(f"v{number}" for number in range(2, 10))), "invalid-value", "at most 7"),
            (PROVEN, start_rollout(progressive(set_weight(10_000)), "v2"), "invalid-value", "at once"),
            (PROVEN, start_rollout(progressive(set_weight(10_001), pause_step()), "v2"), "invalid-value", "10000"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_cannot_be_started(self, events: Any, command: AnyCommand, code: Any, words: str) -> None:
        given(*events).when(command).then_refused(code, words)

    @pytest.mark.parametrize(
        ("policy", "words"),
        [
            (RolloutPolicy(metrics=(MetricRule(metric="reward"),)), "a threshold or a margin"),
            (RolloutPolicy(metrics=(MetricRule(metric="latency", margin=0.1),)), "slow_ms"),
            (RolloutPolicy(metrics=(MetricRule(metric="accuracy", threshold=1.5),)), "from 0 to 1"),
            (RolloutPolicy(metrics=(MetricRule(metric="agreement", margin=0.1),)), "not a margin"),
            (RolloutPolicy(metrics=(MetricRule(metric="reward", threshold=float("inf")),)), "finite"),
            (RolloutPolicy(metrics=(MetricRule(metric="reward", threshold=1.0),) * 2), "twice"),
            (RolloutPolicy(alpha=1.5), "alpha"),
            (RolloutPolicy(metrics=(MetricRule(metric="reward", threshold=1.0),) * 17), "17 metrics"),
            (RolloutPolicy(metrics=()), "no metrics"),
            (RolloutPolicy(metrics=(MetricRule(metric="reward", threshold=1.0),)), "no rule for it"),
        ],
        ids=lambda value: value if isinstance(value, str) else "policy",
    )
    def test_what_cannot_be_a_policy(self, policy: RolloutPolicy, words: str) -> None:
        strategy = progressive(analysis(metrics=() if words == "no metrics" else ("success-rate",)))
        given(*PROVEN).when(start_rollout(strategy, "v2", policy=policy)).then_refused("invalid-value", words)

    @pytest.mark.parametrize(
        ("strategy", "rule", "words"),
        [
            (CANARY, MetricRule(metric="agreement", threshold=0.9), "has no shadow"),
            (progressive(), MetricRule(metric="agreement", threshold=0.9), "a policy without it"),
            (fleet(500), MetricRule(metric="agreement", threshold=0.9), "has no shadow"),
            (SHADOW, MetricRule(metric="accuracy", margin=0.1), "answers nobody"),
            (SHADOW, MetricRule(metric="reward", threshold=0.1), "success-rate"),
            (SHADOW, MetricRule(metric="input-drift", threshold=0.1), "leave it out"),
            (ab(v2=5_000, v3=5_000), MetricRule(metric="score-drift", threshold=0.1), "give it an arm"),
            (ab(v1=0, v2=5_000, v3=5_000), MetricRule(metric="accuracy", margin=0.1), "a threshold instead"),
        ],
        ids=lambda value: value.metric if isinstance(value, MetricRule) else type(value).__name__,
    )
    def test_what_could_never_be_decided(self, strategy: Strategy, rule: MetricRule, words: str) -> None:
        policy, named = RolloutPolicy(metrics=(rule,)), () if isinstance(strategy, AbStrategy) else ("v2",)
        command = start_rollout(strategy, *named, policy=policy)
        given(*RIVALS).when(command).then_refused("invalid-value", f"metric {rule.metric}", words)

    @pytest.mark.parametrize(
        ("strategy", "metrics"),
        [
            (SHADOW, ("success-rate", "latency", "agreement", "score-drift")),
            (CANARY, ("success-rate", "latency", "accuracy", "reward", "input-drift", "score-drift")),
            (ab(v1=1, v2=4_999, v3=5_000), ("success-rate", "latency", "accuracy", "input-drift")),
            (fixed("v2"), ("agreement", "accuracy", "input-drift")),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_what_can(self, strategy: Strategy, metrics: tuple[MetricName, ...]) -> None:
        rules = tuple(
            MetricRule(metric=name, threshold=0.1, slow_ms=5.0 if name == "latency" else None) for name in metrics
        )
        named = () if isinstance(strategy, AbStrategy) else ("v2",)
        policy = RolloutPolicy(metrics=rules)
        started = given(*RIVALS).when(start_rollout(strategy, *named, policy=policy))
        assert isinstance(started.decision, Accepted), started.decision

    def test_what_comes_back_about_a_shadow_once_it_is_promoted_may_be_awaited_in_the_bake(self) -> None:
        policy = RolloutPolicy(metrics=(MetricRule(metric="accuracy", margin=0.1),), bake_seconds=60)
        given(*PROVEN).when(start_rollout(SHADOW, "v2", policy=policy)).then(rollout_started(SHADOW, policy=policy))


class TestChangeOfStrategy:
    def test_the_policy_must_fit_the_new_one_also_where_it_stays(self) -> None:
        shadowed = given(*PROVEN, rollout_started(SHADOW, policy=STRICT))
        shadowed.when(change_strategy(CANARY)).then_refused("invalid-value", "metric agreement", "without it")
        shadowed.when(change_strategy(CANARY, policy=WITHOUT_SHADOW)).then(
            strategy_changed(CANARY, policy=WITHOUT_SHADOW), weights_set(v1=9_500, v2=500)
        )

    def test_a_higher_share(self) -> None:
        strategy = CANARY.__class__(weight=2_500)
        given(*IN_CANARY).when(change_strategy(strategy)).then(
            strategy_changed(strategy), weights_set(v1=7_500, v2=2_500)
        )

    def test_from_shadow_to_steps(self) -> None:
        shadowed = (*PROVEN, rollout_started(SHADOW))
        given(*shadowed).when(change_strategy(progressive(), policy=WITHOUT_SHADOW)).then(
            strategy_changed(progressive(), policy=WITHOUT_SHADOW),
            step_entered(0),
            weights_set(v1=9_500, v2=500),
            step_entered(1),
        )

    def test_steps_may_begin_where_the_share_is(self) -> None:
        strategy = progressive(analysis(), set_weight(5_000), pause_step())
        given(*IN_CANARY).when(change_strategy(strategy)).then(strategy_changed(strategy), step_entered(0))

    def test_back_to_the_baseline_without_an_end(self) -> None:
        given(*IN_CANARY).when(change_strategy(fixed("v1"))).then(
            strategy_changed(fixed("v1")), weights_set(v1=10_000, v2=0)
        )

    def test_another_arm(self) -> None:
        rivals = (*RIVALS, rollout_started(), weights_set(v1=9_500, v2=500))
        strategy = ab(v1=8_000, v2=1_000, v3=1_000)
        given(*rivals).when(change_strategy(strategy)).then(
            strategy_changed(strategy, "v2", "v3"), weights_set(v1=8_000, v2=1_000, v3=1_000)
        )

    def test_an_arm_less_gives_its_share_to_the_baseline(self) -> None:
        rivals = (
            *RIVALS,
            rollout_started(ab(v1=4_000, v2=3_000, v3=3_000), "v2", "v3"),
            weights_set(v1=4_000, v2=3_000, v3=3_000),
        )
        strategy = progressive(pause_step(60), set_weight(10_000), analysis())
        state = given(*rivals, strategy_changed(strategy, "v2")).state
        assert state.rollout is not None
        assert [arm.weight for arm in state.rollout.arms] == [7_000, 3_000]

    def test_the_same_again_is_nothing(self) -> None:
        given(*IN_CANARY).when(change_strategy(CANARY)).then_nothing("already")

    def test_traffic_needs_a_passed_validation_here_too(self) -> None:
        shadowed = given(*PROVEN, trained("v3"), rollout_started(SHADOW, "v3"))
        shadowed.when(change_strategy(CANARY)).then_refused("illegal-step", "not been validated")


def test_the_default_policy_is_the_one_of_the_samples() -> None:
    given(*PROVEN).when(start_rollout(SHADOW, "v2")).then(rollout_started(SHADOW, policy=POLICY))
