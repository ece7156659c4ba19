"""What follows from the outcome of an analysis, in each status of a rollout."""

import pytest
from msgspec.structs import replace

from hotswap_events.registry.events import RegistryEvent
from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy
from hotswap_stream.domain.reserved import ANALYSIS_ACTOR
from tests.support.decider_specification import given
from tests.support.samples.registry import (
    archived,
    artifact_of,
    promoted,
    rolled_back,
    trained,
    validated,
)
from tests.support.samples.rollout_course import AT_PAUSE, BAKING, IN_CANARY, IN_STEPS, PROVEN, RIVALS, WON
from tests.support.samples.rollouts import (
    CANARY,
    EVIDENCE,
    POLICY,
    SHADOW,
    STRICT,
    abort_rollout,
    analysis,
    analysis_recorded,
    bake_ended,
    completed,
    progressive,
    record_analysis,
    resume_rollout,
    rollout_paused,
    rollout_resumed,
    rollout_started,
    set_weight,
    step_entered,
    weights_set,
)

BY_LABELS = RolloutPolicy(metrics=(MetricRule(metric="accuracy", margin=0.02),))
BY_ERRORS = RolloutPolicy(promote_on_operational=True)
AFTER_SHADOW = RolloutPolicy(promote_on_operational=True, promote_after_shadow=True)
FAILED_V3 = (trained("v3"), validated("v3", "failed", baseline=("v1", 0.97)))
WAITS = rollout_paused("waiting-for-promotion")


class TestAnalysis:
    def test_success_goes_on(self) -> None:
        command = record_analysis(rollout_id="r1", step_index=1, watermark=7, evidence=EVIDENCE)
        given(*IN_STEPS).when(command).then(
            analysis_recorded("successful", 7, step_index=1, evidence=EVIDENCE),
            step_entered(2),
            weights_set(v1=5_000, v2=5_000),
            step_entered(3),
        )

    def test_success_at_the_last_step_promotes_with_the_evidence(self) -> None:
        strategy = progressive(analysis())
        given(*PROVEN, rollout_started(strategy, policy=STRICT), step_entered(0)).when(
            record_analysis(evidence=EVIDENCE)
        ).then(
            analysis_recorded("successful", step_index=0, evidence=EVIDENCE),
            completed("promoted", model_version="v2", bake_seconds=300, evidence=EVIDENCE),
            promoted("v2", "v1"),
        )

    @pytest.mark.parametrize("policy", [BY_LABELS, BY_ERRORS])
    def test_success_of_a_canary_promotes(self, policy: RolloutPolicy) -> None:
        given(*PROVEN, rollout_started(policy=policy)).when(record_analysis()).then(
            analysis_recorded(), completed("promoted", model_version="v2"), promoted("v2", "v1")
        )

    def test_success_by_what_would_not_notice_wrong_answers_waits_for_a_person(self) -> None:
        given(*IN_CANARY).when(record_analysis()).then(analysis_recorded(), WAITS)

    def test_a_promotion_by_an_analysis_says_who_let_it(self) -> None:
        canary = (*PROVEN, rollout_started(CANARY, policy=BY_LABELS))
        outcome = given(*canary).when(record_analysis(evidence=EVIDENCE, actor=ANALYSIS_ACTOR))
        outcome.then(
            analysis_recorded(evidence=EVIDENCE),
            completed("promoted", model_version="v2", evidence=EVIDENCE),
            replace(promoted("v2", "v1"), approved_by="alice"),
        )

    def test_the_last_analysis_is_what_a_promotion_rests_on(self) -> None:
        policy = replace(BY_LABELS, metrics=(*BY_LABELS.metrics, *POLICY.metrics))
        for metrics, end in (
            (("success-rate",), (step_entered(3), WAITS)),
            ((), (completed("promoted", model_version="v2"), promoted("v2", "v1"))),
        ):
            steps = progressive(set_weight(500), analysis(metrics=("accuracy",)), analysis(metrics=metrics))
            moved = (step_entered(0), weights_set(v1=9_500, v2=500), step_entered(1), step_entered(2))
            at_last = given(*PROVEN, rollout_started(steps, policy=policy), *moved)
            at_last.when(record_analysis()).then(analysis_recorded(step_index=2), *end)

    @pytest.mark.parametrize("candidate", [(trained("v3"),), FAILED_V3], ids=["never validated", "failed"])
    def test_nothing_that_was_forced_is_promoted_by_itself(self, candidate: tuple[RegistryEvent, ...]) -> None:
        forced = rollout_started(CANARY, "v3", policy=BY_ERRORS, forced=True)
        given(*PROVEN, *candidate, forced).when(record_analysis()).then(analysis_recorded(), WAITS)

    def test_the_bytes_of_a_failed_version_are_not_promoted_by_themselves(self) -> None:
        again = replace(trained("v4"), artifact=artifact_of("v3"))
        close = validated("v4", "inconclusive", baseline=("v1", 0.97))
        started = rollout_started(CANARY, "v4", policy=BY_LABELS)
        given(*PROVEN, *FAILED_V3, again, close, started).when(record_analysis()).then(analysis_recorded(), WAITS)

    def test_a_shadow_ends_in_a_report(self) -> None:
        policy = RolloutPolicy(metrics=(MetricRule(metric="agreement", threshold=0.9),))
        for asked, end in (
            (policy, (WAITS,)),
            (
                replace(policy, promote_after_shadow=True),
                (completed("promoted", model_version="v2"), promoted("v2", "v1")),
            ),
        ):
            given(*PROVEN, rollout_started(SHADOW, policy=asked)).when(record_analysis()).then(
                analysis_recorded(), *end
            )

    def test_success_of_what_was_never_validated_waits_for_a_person(self) -> None:
        given(*PROVEN, trained("v3"), rollout_started(SHADOW, "v3")).when(record_analysis()).then(
            analysis_recorded(), WAITS
        )

    def test_success_of_one_of_several(self) -> None:
        rivals = given(*RIVALS, rollout_started(SHADOW, "v2", "v3", policy=AFTER_SHADOW))
        rivals.when(record_analysis()).then_refused("invalid-value", "which candidate")
        rivals.when(record_analysis(model_version="v3")).then(
            analysis_recorded(model_version="v3"), completed("promoted", model_version="v3"), promoted("v3", "v1")
        )

    @pytest.mark.parametrize("events", [IN_CANARY, IN_STEPS, AT_PAUSE, (*IN_STEPS, rollout_paused())])
    def test_harm_ends_it_anywhere(self, events: tuple[RegistryEvent, ...]) -> None:
        outcome = given(*events).when(record_analysis("failed", evidence=EVIDENCE))
        step = given(*events).state.rollout
        assert step is not None
        outcome.then(
            analysis_recorded("failed", step_index=step.step_index, evidence=EVIDENCE),
            completed("aborted", evidence=EVIDENCE),
            archived("v2"),
        )

    def test_harm_while_it_bakes_leads_back(self) -> None:
        given(*BAKING).when(record_analysis("failed", evidence=EVIDENCE)).then(
            analysis_recorded("failed", evidence=EVIDENCE),
            bake_ended("rolled-back", evidence=EVIDENCE),
            rolled_back("v1", "v2", "rollout"),
        )

    def test_the_end_of_a_bake_without_harm(self) -> None:
        given(*BAKING).when(record_analysis()).then(analysis_recorded(), bake_ended("kept"))
        given(*BAKING).when(record_analysis("inconclusive")).then(analysis_recorded("inconclusive"))

    def test_inconclusive_is_a_person_s_to_decide(self) -> None:
        given(*IN_STEPS).when(record_analysis("inconclusive")).then(
            analysis_recorded("inconclusive", step_index=1), rollout_paused("inconclusive")
        )
        asked = given(*IN_STEPS, analysis_recorded("inconclusive", step_index=1), rollout_paused("inconclusive"))
        asked.when(resume_rollout()).then(rollout_resumed())
        asked.when(abort_rollout(archive=False)).then(completed("aborted"))

    def test_or_what_the_policy_makes_of_it(self) -> None:
        for policy, end in (
            (replace(BY_ERRORS, on_inconclusive="proceed"), WON),
            (RolloutPolicy(on_inconclusive="abort"), (completed("aborted"), archived("v2"))),
        ):
            given(*PROVEN, rollout_started(policy=policy)).when(record_analysis("inconclusive")).then(
                analysis_recorded("inconclusive"), *end
            )

    def test_going_on_all_the_same_needs_one_of_several(self) -> None:
        policy = replace(AFTER_SHADOW, on_inconclusive="proceed")
        rivals = given(*RIVALS, rollout_started(SHADOW, "v2", "v3", policy=policy))
        rivals.when(record_analysis("inconclusive")).then_refused("invalid-value", "which candidate")
        rivals.when(record_analysis("inconclusive", model_version="v3")).then(
            analysis_recorded("inconclusive", model_version="v3"),
            completed("promoted", model_version="v3"),
            promoted("v3", "v1"),
        )

    def test_the_same_evidence_again_is_nothing(self) -> None:
        baked = given(*BAKING, analysis_recorded("inconclusive", 5))
        baked.when(record_analysis("failed", 5)).then_nothing("watermark 5")
        baked.when(record_analysis("failed", 4)).then_nothing("watermark 5")

    def test_nothing_but_harm_where_nothing_is_analysed(self) -> None:
        given(*AT_PAUSE).when(record_analysis()).then_refused("illegal-step", "without analysis")
        given(*IN_CANARY, rollout_paused()).when(record_analysis()).then_refused("illegal-step", "is paused")

    def test_of_another_step(self) -> None:
        given(*AT_PAUSE).when(record_analysis("failed", step_index=1)).then_refused("conflict", "is at 3")

    def test_of_the_last_step_while_it_bakes(self) -> None:
        stepped = (*PROVEN, rollout_started(progressive(analysis()), policy=STRICT), step_entered(0))
        baking = (*stepped, completed("promoted", model_version="v2", bake_seconds=300), promoted("v2", "v1"))
        given(*baking).when(record_analysis("failed", step_index=0)).then_refused("conflict", "is at none")

    def test_of_a_stranger_or_without_sense(self) -> None:
        given(*IN_CANARY).when(record_analysis(model_version="v1")).then_refused("invalid-value", "no candidate")
        broken = EVIDENCE[0].__class__(
            metric="reward", model_version="v2", outcome="failed", count=1, value=float("nan")
        )
        given(*IN_CANARY).when(record_analysis(evidence=(broken,))).then_refused("invalid-value", "value")
        given(*IN_CANARY).when(record_analysis(evidence=EVIDENCE * 33)).then_refused("invalid-value", "0 to 32")
