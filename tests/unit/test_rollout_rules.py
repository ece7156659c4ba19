"""Every command on rollouts against `decide`, and what ends a rollout from outside."""

from typing import Any

import pytest

from hotswap_events.commands import AnyCommand
from hotswap_events.registry import RegistryEvent
from hotswap_events.rollout_strategy import MetricRule, RolloutPolicy, Strategy
from tests.registry_samples import (
    archive,
    archived,
    promote,
    promoted,
    roll_back,
    rolled_back,
    stage,
    staged,
    switch,
    trained,
    validate,
    validated,
)
from tests.rollout_samples import (
    CANARY,
    EVIDENCE,
    POLICY,
    SHADOW,
    STRICT,
    ab,
    abort_rollout,
    advance_rollout,
    analysis,
    analysis_recorded,
    bake_ended,
    change_strategy,
    completed,
    delete_artifact,
    fixed,
    fleet,
    pause_rollout,
    pause_step,
    progressive,
    promote_rollout,
    record_analysis,
    resume_rollout,
    rollout_paused,
    rollout_resumed,
    rollout_started,
    set_weight,
    start_rollout,
    step_entered,
    strategy_changed,
    weights_set,
)
from tests.unit.decider_specification import given

PROVEN = (
    trained("v1"),
    validated("v1"),
    promoted("v1"),
    trained("v2"),
    validated("v2", baseline=("v1", 0.97)),
)
"""v1 is active, v2 has passed validation."""

IN_CANARY = (*PROVEN, rollout_started(), weights_set(v1=9_500, v2=500))
IN_STEPS = (
    *PROVEN,
    rollout_started(progressive()),
    step_entered(0),
    weights_set(v1=9_500, v2=500),
    step_entered(1),
)
"""At the analysis behind 5 %."""

AT_PAUSE = (*IN_STEPS, step_entered(2), weights_set(v1=5_000, v2=5_000), step_entered(3))
BAKING = (
    *PROVEN,
    rollout_started(policy=STRICT),
    completed("promoted", model_version="v2", bake_seconds=300),
    promoted("v2", "v1"),
)
WON = (completed("promoted", model_version="v2"), promoted("v2", "v1"))
ENDED = (*IN_CANARY, completed("aborted"))
RIVALS = (*PROVEN, trained("v3"), validated("v3", baseline=("v1", 0.97)))


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
            "illegal-step", "no active version", legal=("promote", "switch")
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


class TestSteps:
    def test_advance_goes_to_the_next_step_that_waits(self) -> None:
        given(*IN_STEPS).when(advance_rollout(rollout_id="r1", step_index=1)).then(
            step_entered(2), weights_set(v1=5_000, v2=5_000), step_entered(3)
        )

    def test_behind_the_last_step_the_candidate_is_promoted(self) -> None:
        given(*AT_PAUSE).when(advance_rollout()).then(completed("promoted", model_version="v2"), promoted("v2", "v1"))

    def test_or_waits_for_a_person_if_the_policy_says_so(self) -> None:
        strategy = progressive(pause_step(60))
        policy = RolloutPolicy(auto_promote=False)
        at_end = (*PROVEN, rollout_started(strategy, policy=policy), step_entered(0))
        given(*at_end).when(advance_rollout()).then(step_entered(1), rollout_paused("waiting-for-promotion"))
        waiting = given(*at_end, step_entered(1), rollout_paused("waiting-for-promotion"))
        waiting.when(advance_rollout()).then_refused(
            "illegal-step", "all its steps", legal=("promote", "abort", "set-strategy")
        )
        waiting.when(resume_rollout()).then_refused("illegal-step", "person's word")
        waiting.when(promote_rollout()).then(completed("promoted", model_version="v2"), promoted("v2", "v1"))

    def test_of_two_who_advance_one_does(self) -> None:
        given(*AT_PAUSE).when(advance_rollout(rollout_id="r1", step_index=1)).then_refused(
            "conflict", "at step 1", "is at 3", "faster"
        )

    def test_advance_resumes(self) -> None:
        given(*IN_STEPS, rollout_paused()).when(advance_rollout()).then(
            rollout_resumed(), step_entered(2), weights_set(v1=5_000, v2=5_000), step_entered(3)
        )

    def test_only_a_progressive_one_has_steps(self) -> None:
        given(*IN_CANARY).when(advance_rollout()).then_refused("illegal-step", "no steps")

    def test_resume_leaves_a_pause_without_end(self) -> None:
        given(*AT_PAUSE).when(resume_rollout()).then(completed("promoted", model_version="v2"), promoted("v2", "v1"))
        given(*AT_PAUSE, rollout_paused()).when(resume_rollout()).then(
            rollout_resumed(), completed("promoted", model_version="v2"), promoted("v2", "v1")
        )


class TestPauseAndResume:
    def test_there_and_back(self) -> None:
        given(*IN_CANARY).when(pause_rollout()).then(rollout_paused())
        given(*IN_CANARY, rollout_paused()).when(resume_rollout()).then(rollout_resumed())

    def test_twice_is_nothing(self) -> None:
        given(*IN_CANARY, rollout_paused()).when(pause_rollout()).then_nothing("paused already")
        given(*IN_CANARY).when(resume_rollout()).then_nothing("running already")


class TestPromoteAndAbort:
    def test_promote(self) -> None:
        given(*IN_CANARY).when(promote_rollout()).then(completed("promoted", model_version="v2"), promoted("v2", "v1"))

    def test_promote_past_validation_needs_force(self) -> None:
        shadowed = given(*PROVEN, trained("v3"), rollout_started(SHADOW, "v3"))
        shadowed.when(promote_rollout()).then_refused("illegal-step", "not been validated")
        shadowed.when(promote_rollout(forced=True)).then(
            completed("promoted", model_version="v3"), promoted("v3", "v1", forced=True)
        )

    def test_promote_one_of_several(self) -> None:
        rivals = given(*RIVALS, rollout_started(SHADOW, "v2", "v3"))
        rivals.when(promote_rollout()).then_refused("invalid-value", "name one")
        rivals.when(promote_rollout(model_version="v1")).then_refused("invalid-value", "no candidate")
        rivals.when(promote_rollout(model_version="v3")).then(
            completed("promoted", model_version="v3"), promoted("v3", "v1")
        )

    def test_abort_archives_as_the_policy_says_or_as_asked(self) -> None:
        given(*IN_CANARY).when(abort_rollout()).then(completed("aborted"), archived("v2"))
        given(*IN_CANARY).when(abort_rollout(archive=False)).then(completed("aborted"))
        lenient = (*PROVEN, rollout_started(policy=RolloutPolicy(auto_archive=False)))
        given(*lenient).when(abort_rollout()).then(completed("aborted"))

    def test_while_it_bakes(self) -> None:
        given(*BAKING).when(promote_rollout()).then(bake_ended("kept"))
        given(*BAKING).when(abort_rollout()).then(bake_ended("rolled-back"), rolled_back("v1", "v2", "rollout"))

    @pytest.mark.parametrize("command", [advance_rollout, pause_rollout, resume_rollout])
    def test_a_bake_is_kept_or_aborted_and_nothing_else(self, command: Any) -> None:
        given(*BAKING).when(command()).then_refused("illegal-step", "is baking", legal=("promote", "abort", "start"))

    @pytest.mark.parametrize(
        "command",
        [advance_rollout, pause_rollout, resume_rollout, promote_rollout, abort_rollout, record_analysis],
    )
    def test_when_it_is_over(self, command: Any) -> None:
        given(*ENDED).when(command()).then_refused("illegal-step", "'r1'", "was aborted", legal=("start",))
        given(*ENDED).when(command(rollout_id="r1")).then_refused("conflict", "'r1'", "none is going on")
        given(*IN_CANARY).when(command(rollout_id="r7")).then_refused("conflict", "'r7'", "'r1' is running")


class TestChangeOfStrategy:
    def test_a_higher_share(self) -> None:
        strategy = CANARY.__class__(weight=2_500)
        given(*IN_CANARY).when(change_strategy(strategy)).then(
            strategy_changed(strategy), weights_set(v1=7_500, v2=2_500)
        )

    def test_from_shadow_to_steps(self) -> None:
        shadowed = (*PROVEN, rollout_started(SHADOW))
        given(*shadowed).when(change_strategy(progressive(), policy=STRICT)).then(
            strategy_changed(progressive(), policy=STRICT),
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

    def test_success_of_a_canary_promotes(self) -> None:
        given(*IN_CANARY).when(record_analysis()).then(
            analysis_recorded(), completed("promoted", model_version="v2"), promoted("v2", "v1")
        )

    def test_success_of_what_was_never_validated_waits_for_a_person(self) -> None:
        given(*PROVEN, trained("v3"), rollout_started(SHADOW, "v3")).when(record_analysis()).then(
            analysis_recorded(), rollout_paused("waiting-for-promotion")
        )

    def test_success_of_one_of_several(self) -> None:
        rivals = given(*RIVALS, rollout_started(SHADOW, "v2", "v3"))
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
            (RolloutPolicy(on_inconclusive="proceed"), WON),
            (RolloutPolicy(on_inconclusive="abort"), (completed("aborted"), archived("v2"))),
        ):
            given(*PROVEN, rollout_started(policy=policy)).when(record_analysis("inconclusive")).then(
                analysis_recorded("inconclusive"), *end
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


class TestWhatEndsARolloutFromOutside:
    @pytest.mark.parametrize(
        ("command", "events"),
        [
            (promote("v2"), (promoted("v2", "v1"),)),
            (switch("v2"), (promoted("v2", "v1", forced=True),)),
            (archive("v2"), (archived("v2"),)),
            (
                validate("v2", 0.1, ("v1", 0.97)),
                (validated("v2", "failed", 0.1, ("v1", 0.97)), archived("v2")),
            ),
        ],
        ids=["promote", "switch", "archive", "validate"],
    )
    def test_a_version_in_play_changed_by_hand(self, command: AnyCommand, events: tuple[RegistryEvent, ...]) -> None:
        given(*IN_CANARY).when(command).then(completed("superseded"), *events)

    def test_a_rollback_in_a_rollout(self) -> None:
        events = (*BAKING, bake_ended(), trained("v3"), validated("v3", baseline=("v2", 0.97)))
        second = rollout_started(CANARY, "v3", rollout_id="r2", baseline="v2")
        given(*events, second).when(roll_back()).then(completed("superseded", rollout_id="r2"), rolled_back("v1", "v2"))

    def test_in_a_bake(self) -> None:
        given(*BAKING).when(roll_back("emergency")).then(
            bake_ended("rolled-back"), rolled_back("v1", "v2", "emergency")
        )
        given(*BAKING).when(archive("v1")).then(bake_ended("superseded"), archived("v1"))

    def test_versions_that_are_not_in_play_change_as_they_like(self) -> None:
        given(*IN_CANARY, trained("v3")).when(archive("v3")).then(archived("v3"))
        given(*IN_CANARY).when(stage("v2")).then(staged("v2"))

    def test_the_artifacts_in_play_stay(self) -> None:
        given(*IN_CANARY).when(delete_artifact("v2")).then_refused("illegal-step", "in rollout r1")


def test_the_default_policy_is_the_one_of_the_samples() -> None:
    given(*PROVEN).when(start_rollout(SHADOW, "v2")).then(rollout_started(SHADOW, policy=POLICY))
