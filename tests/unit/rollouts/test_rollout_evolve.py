"""What the events of rollouts mean, what they contradict, and the times a rollout is measured by."""

from datetime import timedelta
from typing import Any

import pytest

from hotswap_events.registry.events import RegistryEvent
from hotswap_events.rollouts.strategy import CanaryStrategy
from hotswap_stream.application.swap.plan import HoldLimits, versions_to_hold
from hotswap_stream.domain.evolve import IllegalEventError, evolve_in_place
from hotswap_stream.domain.rollouts.traffic import FleetPart, traffic
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.rollout import ANALYSES_KEPT_MAX, ROLLOUTS_KEPT_MAX, RolloutState, seconds_in_phase
from tests.support.decider_specification import state_after
from tests.support.samples.registry import (
    EPOCH,
    archived,
    in_envelope,
    promoted,
    rolled_back,
    staged,
    trained,
    validated,
)
from tests.support.samples.rollout_course import AT_PAUSE, BAKING, ENDED, IN_CANARY, IN_STEPS, PROVEN
from tests.support.samples.rollouts import (
    SHADOW,
    STRICT,
    analysis,
    analysis_recorded,
    arms,
    artifact_deleted,
    bake_ended,
    completed,
    fleet,
    pause_step,
    progressive,
    rollout_paused,
    rollout_resumed,
    rollout_started,
    step_entered,
    strategy_changed,
    validation_policy_set,
    weights_set,
)


@pytest.mark.parametrize(
    ("events", "event", "words"),
    [
        (IN_CANARY, rollout_started(SHADOW, rollout_id="r2"), "must end first"),
        (ENDED, rollout_started(SHADOW), "not the next"),
        (PROVEN, rollout_started(SHADOW, baseline="v9"), "not the active version"),
        (PROVEN, rollout_started(SHADOW, "v9"), "no version 'v9'"),
        (PROVEN, rollout_started(SHADOW, "v1"), "candidates v1"),
        (PROVEN, rollout_started(SHADOW, "v2", "v2"), "candidates v2, v2"),
        ((*PROVEN, archived("v2")), rollout_started(SHADOW), "out of play"),
        (PROVEN, weights_set(v1=10_000, v2=0), "the current one is 'none'"),
        (IN_CANARY, weights_set("r2", v1=10_000, v2=0), "the current one is 'r1'"),
        (IN_CANARY, weights_set(v2=500, v1=9_500), "not the baseline and the candidates"),
        (IN_CANARY, weights_set(v1=9_500, v2=501), "do not sum to 10000"),
        (IN_CANARY, weights_set(v1=10_001, v2=-1), "do not sum to 10000"),
        (IN_CANARY, step_entered(0), "no step 0"),
        (IN_STEPS, step_entered(5), "no step 5"),
        (IN_STEPS, step_entered(-1), "no step -1"),
        (IN_CANARY, rollout_resumed(), "is running, not paused"),
        ((*IN_CANARY, rollout_paused()), rollout_paused(), "is paused, not running"),
        ((*IN_CANARY, analysis_recorded("inconclusive", 5)), analysis_recorded("failed", 5), "not above 5"),
        (IN_CANARY, completed("promoted", model_version="v1"), "no candidate"),
        (BAKING, completed("aborted"), "is baking"),
        (IN_CANARY, bake_ended(), "not baking"),
        (IN_CANARY, promoted("v2", "v1"), "must end first"),
        (BAKING, rolled_back("v1", "v2"), "must end first"),
        (IN_CANARY, archived("v2"), "must end first"),
        (BAKING, archived("v1"), "must end first"),
        (BAKING, strategy_changed(SHADOW), "is baking"),
        (PROVEN, artifact_deleted("v2"), "only archived versions"),
        (PROVEN, artifact_deleted("v1"), "only archived versions"),
        ((*PROVEN, archived("v2"), artifact_deleted("v2")), staged("v2"), "was deleted"),
        ((*PROVEN, archived("v2"), artifact_deleted("v2")), promoted("v2", "v1", forced=True), "was deleted"),
        ((*PROVEN, archived("v2"), artifact_deleted("v2")), rollout_started(SHADOW), "out of play"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_event_that_contradicts_the_state_changes_nothing(events: Any, event: RegistryEvent, words: str) -> None:
    state = state_after(*events)
    before = state.copy()
    with pytest.raises(IllegalEventError, match=words):
        evolve_in_place(state, in_envelope(event, sequence=state.sequence + 1))
    assert state == before


def current(*events: RegistryEvent) -> RolloutState:
    rollout = state_after(*events).rollout
    assert rollout is not None
    return rollout


def at(sequence: int) -> Any:
    """The time of the event with this sequence: each is one second behind the last."""
    return EPOCH + timedelta(seconds=sequence)


def test_a_pause_step_does_not_count_the_time_it_stood_still() -> None:
    waiting = (*PROVEN, rollout_started(progressive(pause_step(60), analysis())), step_entered(0))
    assert seconds_in_phase(current(*waiting), at(17)) == 10.0
    paused = (*waiting, rollout_paused())
    assert seconds_in_phase(current(*paused), at(1_000)) == 1.0
    resumed = (*paused, rollout_resumed())
    assert seconds_in_phase(current(*resumed), at(19)) == 11.0


def test_an_analysis_begins_anew_when_it_is_resumed() -> None:
    resumed = (*IN_STEPS, rollout_paused(), rollout_resumed())
    assert seconds_in_phase(current(*resumed), at(len(resumed) + 5)) == 5.0


def test_a_bake_is_measured_from_the_promotion() -> None:
    assert seconds_in_phase(current(*BAKING), at(100)) == 100 - (len(BAKING) - 1)


def test_what_is_remembered_is_bounded() -> None:
    state = state_after(*IN_CANARY)
    for watermark in range(ANALYSES_KEPT_MAX + 5):
        recorded = analysis_recorded("inconclusive", watermark)
        evolve_in_place(state, in_envelope(recorded, sequence=state.sequence + 1))
    assert state.rollout is not None
    assert [entry.watermark for entry in state.rollout.analyses] == list(range(5, ANALYSES_KEPT_MAX + 5))
    for number in range(1, ROLLOUTS_KEPT_MAX + 4):
        for event in (
            completed(rollout_id=f"r{number}"),
            rollout_started(SHADOW, rollout_id=f"r{number + 1}"),
        ):
            evolve_in_place(state, in_envelope(event, sequence=state.sequence + 1))
    assert [ended.rollout_id for ended in state.rollout_history] == [
        f"r{number}" for number in range(4, ROLLOUTS_KEPT_MAX + 4)
    ]
    assert state.rollouts_total == ROLLOUTS_KEPT_MAX + 4


def test_the_policy_of_a_model_is_kept() -> None:
    policy = validation_policy_set().policy
    assert state_after(*PROVEN, validation_policy_set()).validation_policy == policy


class TestTraffic:
    def test_without_a_rollout_all_of_it_goes_to_the_active_version(self) -> None:
        assert traffic(ModelState("digits")).arms == ()
        assert traffic(state_after(*PROVEN)).arms == arms(v1=10_000)
        assert traffic(state_after(*ENDED)).arms == arms(v1=10_000)
        assert traffic(state_after(*BAKING)).arms == arms(v2=10_000)

    def test_a_pause_leaves_it_as_it_is(self) -> None:
        split = traffic(state_after(*AT_PAUSE, rollout_paused()))
        assert (split.arms, split.salt, split.rollout_id) == (arms(v1=5_000, v2=5_000), "digits/r1", "r1")

    def test_shadows(self) -> None:
        split = traffic(state_after(*PROVEN, rollout_started(SHADOW)))
        assert (split.arms, split.shadows, split.shadow_share) == (arms(v1=10_000, v2=0), ("v2",), 2_500)

    def test_a_part_of_the_fleet(self) -> None:
        split = traffic(state_after(*PROVEN, rollout_started(fleet(0, "worker-1"))))
        assert split.fleet == FleetPart(0, ("worker-1",))
        assert (split.weights_on("worker-1"), split.weights_on("worker-2")) == ((0, 10_000), (10_000, 0))

    def test_the_versions_of_a_rollout_are_loaded_ahead(self) -> None:
        assert _held(ModelState("digits")) == ()
        assert _held(state_after(*IN_CANARY)) == ("v1", "v2")
        assert _held(state_after(*BAKING)) == ("v2", "v1")
        third = (*BAKING, bake_ended(), trained("v3"), validated("v3", baseline=("v2", 0.97)))
        started = rollout_started(CanaryStrategy(weight=1), "v3", rollout_id="r2", baseline="v2", policy=STRICT)
        assert _held(state_after(*third, started)) == ("v2", "v3", "v1")


def _held(state: ModelState) -> tuple[str, ...]:
    held = versions_to_hold(state, (), HoldLimits(memory_bytes_max=10**12))
    return tuple(version.model_version for version in held)
