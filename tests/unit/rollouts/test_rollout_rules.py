"""Commands of people on a rollout that goes on, and what ends one from outside."""

from typing import Any

import pytest

from hotswap_events.commands import AnyCommand
from hotswap_events.registry.events import RegistryEvent
from hotswap_events.rollouts.strategy import RolloutPolicy
from tests.support.decider_specification import given
from tests.support.samples.registry import (
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
from tests.support.samples.rollout_course import AT_PAUSE, BAKING, ENDED, IN_CANARY, IN_STEPS, PROVEN, RIVALS
from tests.support.samples.rollouts import (
    CANARY,
    SHADOW,
    abort_rollout,
    advance_rollout,
    bake_ended,
    completed,
    delete_artifact,
    pause_rollout,
    pause_step,
    progressive,
    promote_rollout,
    record_analysis,
    resume_rollout,
    rollout_paused,
    rollout_resumed,
    rollout_started,
    step_entered,
    weights_set,
)


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
