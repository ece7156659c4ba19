"""What holds for every history with rollouts in it: their invariants, what is legal, and who keeps which version."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_events.commands import AnyCommand
from hotswap_events.rollouts.strategy import WEIGHT_TOTAL, CanaryStrategy
from hotswap_stream.application.swap.plan import HoldLimits, versions_to_hold
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.evolve import evolve
from hotswap_stream.domain.rollouts.refusals import legal_rollout_steps
from hotswap_stream.domain.rollouts.routing import arm_of, wrong_weights
from hotswap_stream.domain.rollouts.traffic import in_fleet_part, is_shadowed, traffic
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.rollout import RolloutState, versions_of
from tests.support.decider_specification import state_after
from tests.support.examples import enough, fixed, try_until_enough
from tests.support.histories.histories import MODELS, Intent, Writer, histories
from tests.support.samples.registry import MODEL, in_envelope
from tests.support.samples.rollout_course import PROVEN, RIVALS
from tests.support.samples.rollouts import (
    ab,
    abort_rollout,
    advance_rollout,
    change_strategy,
    fleet,
    pause_rollout,
    promote_rollout,
    resume_rollout,
    rollout_started,
    start_rollout,
)

weights = st.integers(0, WEIGHT_TOTAL)
keys = st.lists(st.binary(min_size=1, max_size=12), min_size=20, max_size=60)


def assert_sound(state: ModelState) -> None:
    """A current rollout compares what is active with what is still in play, and splits all of the traffic."""
    rollout = state.rollout
    if rollout is not None:
        assert rollout.status in ("running", "paused", "baking")
        expected = rollout.promoted_version if rollout.status == "baking" else rollout.baseline_version
        assert state.active_version == expected
        assert not any(state.versions[name].artifact_deleted for name in versions_of(rollout))
        if rollout.status != "baking":
            assert all(state.versions[name].stage != "archived" for name in rollout.candidates)
        assert [arm.model_version for arm in rollout.arms] == [rollout.baseline_version, *rollout.candidates]
    split = traffic(state)
    if state.active_version is None:
        assert split.arms == ()
    else:
        assert split.arms[0].model_version == state.active_version
        for worker in ("worker-1", "worker-2"):
            assert wrong_weights(split.weights_on(worker)) is None
    held = versions_to_hold(state, (), HoldLimits(memory_bytes_max=10**12))
    assert {arm.model_version for arm in split.arms} | {*split.shadows} <= {version.model_version for version in held}


@given(histories)
def test_rollouts_stay_sound_behind_every_decision(intents: list[Intent]) -> None:
    writer = Writer()
    for intent in intents:
        before = writer.fold.state(intent.model_name).copy()
        writer.handle(intent)
        after = writer.fold.state(intent.model_name)
        assert_sound(after)
        assert after.rollouts_total >= before.rollouts_total
        for ended in after.rollout_history:
            assert ended.status in ("promoted", "aborted", "superseded", "rolled-back")
            assert ended.ended_sequence is not None


@given(histories)
def test_no_rollout_ends_without_a_trace(intents: list[Intent]) -> None:
    writer = Writer()
    for intent in intents:
        before = writer.fold.state(intent.model_name).rollout
        writer.handle(intent)
        state = writer.fold.state(intent.model_name)
        if before is not None and (state.rollout is None or state.rollout.rollout_id != before.rollout_id):
            assert before.rollout_id in [ended.rollout_id for ended in state.rollout_history]


def _step_commands(state: ModelState, rollout: RolloutState | None) -> dict[str, AnyCommand]:
    """The plainest command for each step."""
    others = [name for name in state.versions if name != state.active_version]
    name = state.model_name
    candidate = rollout.candidates[-1] if rollout is not None else (others or ["v9"])[0]
    return {
        "start": start_rollout(fleet(1, "worker-9"), candidate, model_name=name, forced=True),
        "advance": advance_rollout(model_name=name),
        "pause": pause_rollout(model_name=name),
        "resume": resume_rollout(model_name=name),
        "promote": promote_rollout(model_name=name, forced=True, model_version=rollout and rollout.promoted_version),
        "abort": abort_rollout(model_name=name),
        "set-strategy": change_strategy(fleet(1, "worker-9"), candidate, model_name=name, forced=True),
    }


@given(histories)
def test_the_table_of_legal_rollout_steps_says_what_decide_does(intents: list[Intent]) -> None:
    state = Writer().handle_all(intents).fold.state(MODELS[0])
    rollout = state.rollout
    if rollout is None or (len(rollout.candidates) > 1 and rollout.status != "baking"):
        return
    legal = legal_rollout_steps(rollout)
    for step, command in _step_commands(state, rollout).items():
        if step == "start" and rollout.status == "baking":
            continue  # it also needs a version to try
        decision = decide(state, command)
        assert (isinstance(decision, Accepted) and bool(decision.events)) == (step in legal), (step, legal, decision)


def _split_of(state: ModelState, key: bytes) -> str:
    split = traffic(state)
    return split.arms[arm_of(key, split.salt, split.weights_on("worker-1"))].model_version


def _after(state: ModelState, command: AnyCommand) -> ModelState:
    decision = decide(state, command)
    assert isinstance(decision, Accepted), decision
    for data in decision.events:
        state = evolve(state, in_envelope(data, subject=MODEL, sequence=state.sequence + 1))
    return state


@given(weights, weights, keys)
def test_raising_the_share_keeps_every_user_who_was_in(one: int, other: int, users: list[bytes]) -> None:
    low, high = sorted((one, other))
    state = _after(state_after(*PROVEN), start_rollout(CanaryStrategy(weight=low), "v2"))
    raised = _after(state, change_strategy(CanaryStrategy(weight=high)))
    was_in = [user for user in users if _split_of(state, user) == "v2"]
    assert all(_split_of(raised, user) == "v2" for user in was_in)


@given(st.integers(0, 5_000), st.integers(0, 5_000), st.integers(0, 5_000), keys)
def test_raising_one_arm_moves_nobody_out_of_another(one: int, other: int, third: int, users: list[bytes]) -> None:
    low, high = sorted((one, other))
    before = _after(state_after(*RIVALS), start_rollout(ab(v1=10_000 - low - third, v2=low, v3=third)))
    raised = _after(before, change_strategy(ab(v1=10_000 - high - third, v2=high, v3=third)))
    for user in users:
        if (was := _split_of(before, user)) != "v1":
            assert _split_of(raised, user) == was


@given(weights, weights, st.lists(st.text(min_size=1, max_size=12), min_size=5, max_size=40))
def test_raising_the_part_of_the_fleet_keeps_every_worker(one: int, other: int, workers: list[str]) -> None:
    low, high = (
        traffic(state_after(*PROVEN, rollout_started(fleet(share, "named")))) for share in sorted((one, other))
    )
    assert in_fleet_part(low, "named")
    assert low.weights_on("named") == (0, WEIGHT_TOTAL)
    assert all(in_fleet_part(high, worker) for worker in workers if in_fleet_part(low, worker))


@given(histories, keys)
def test_shadows_see_nothing_unless_there_are_some(intents: list[Intent], users: list[bytes]) -> None:
    for stream in Writer().handle_all(intents).fold.streams.values():
        split = traffic(stream.state)
        seen = sum(is_shadowed(split, user) for user in users)
        assert seen == 0 or split.shadows
        assert seen == len(users) or split.shadow_share < WEIGHT_TOTAL


WANTED = {
    "running", "paused", "baking", "promoted", "aborted", "superseded", "rolled-back", "analysed", "stepped",
    "cleaned up", "FixedStrategy", "ShadowStrategy", "CanaryStrategy", "AbStrategy", "ProgressiveStrategy",
    "FleetStrategy",
}  # fmt: skip
"""What histories of rollouts are for."""


@pytest.mark.slow
def test_the_histories_reach_what_they_are_for() -> None:
    """Random commands are worth nothing if no rollout ever gets anywhere: count over fixed examples."""
    seen: set[str] = set()

    @fixed(15_000)
    @given(histories)
    def explore(intents: list[Intent]) -> None:
        writer = Writer()
        for intent in intents:
            writer.handle(intent)
            state = writer.fold.state(intent.model_name)
            if state.rollout is not None:
                seen.add(state.rollout.status)
                seen.add(type(state.rollout.strategy).__name__)
                if state.rollout.analyses:
                    seen.add("analysed")
                if state.rollout.step_index:
                    seen.add("stepped")
            seen.update(ended.status for ended in state.rollout_history)
            if any(version.artifact_deleted for version in state.versions.values()):
                seen.add("cleaned up")
        enough(seen >= WANTED)

    try_until_enough(explore)
    assert seen == WANTED
