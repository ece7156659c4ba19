"""Refusals and turns of the rules that few histories lead to, each once."""

from datetime import UTC, datetime, timedelta

import pytest

from hotswap_events.registry.events import RegistryEvent
from hotswap_events.rollouts.strategy import RolloutPolicy
from hotswap_events.training.policy import FreezeWindow, ScheduleTrigger
from hotswap_stream.domain.dataset_rules import NAMES_MAX
from hotswap_stream.domain.deciding.legal_steps import accepted_steps
from hotswap_stream.domain.evolve import evolve, evolve_unknown_in_place
from hotswap_stream.domain.rollouts.plan import arms_of, moves_from, success
from hotswap_stream.domain.serving.unanswered import why_nothing_stands_in
from hotswap_stream.domain.statistics.block_bets import log_block_e
from hotswap_stream.domain.statistics.means import MeanComparison
from hotswap_stream.domain.statistics.samples import Counts
from hotswap_stream.domain.triggers.calendar import TIMES_MAX, frozen_until, times_between
from tests.support.decider_specification import Given, given, state_after
from tests.support.samples.alerts import alert_policy_set, snooze_alert
from tests.support.samples.datasets import record_dataset
from tests.support.samples.emergencies import set_back
from tests.support.samples.registry import archived, in_envelope, promoted, rolled_back, trained
from tests.support.samples.rollout_course import AT_PAUSE, ENDED, IN_CANARY, PROVEN
from tests.support.samples.rollouts import (
    CANARY,
    ab,
    advance_rollout,
    artifact_deleted,
    change_strategy,
    pause_step,
    progressive,
    rollout_paused,
    rollout_started,
    start_rollout,
    step_entered,
)
from tests.support.samples.serving import opened, policy_set
from tests.support.samples.training import claim, request

V2 = (trained("v1"), promoted("v1"), trained("v2"), promoted("v2", "v1"))


class TestRollouts:
    def test_no_candidate_without_its_artifact(self) -> None:
        gone = (*PROVEN, archived("v2"), artifact_deleted("v2"))
        given(*gone).when(start_rollout(CANARY, "v2")).then_refused("illegal-step", "lost its artifact to a clean-up")

    def test_no_change_to_a_strategy_that_cannot_be(self) -> None:
        given(*IN_CANARY).when(change_strategy(ab(v1=5_000, v2=4_000))).then_refused("invalid-value", "9000")

    def test_what_is_left_is_started_by_force(self) -> None:
        left = given(*ENDED, archived("v2"), trained("v3"))
        left.when(advance_rollout()).then_refused("illegal-step", legal=("start with forced",))

    def test_only_a_progressive_one_has_steps_to_move_through(self) -> None:
        state = state_after(*IN_CANARY)
        assert state.rollout is not None
        with pytest.raises(TypeError, match="r1 has no steps"):
            moves_from(state, state.rollout, 0)

    def test_the_weights_of_a_progressive_one_are_those_of_its_step(self) -> None:
        rollout = state_after(*AT_PAUSE).rollout
        assert rollout is not None
        assert [arm.weight for arm in arms_of(rollout.strategy, rollout)] == [5_000, 5_000]

    def test_one_that_waits_for_a_person_is_not_told_to_wait_again(self) -> None:
        started = rollout_started(progressive(pause_step(60)), policy=RolloutPolicy(auto_promote=False))
        running = state_after(*PROVEN, started, step_entered(0))
        waiting = state_after(*PROVEN, started, step_entered(0), rollout_paused())
        assert running.rollout is not None
        assert waiting.rollout is not None
        assert success(running, running.rollout, "v2", ()) == (rollout_paused("waiting-for-promotion"),)
        assert success(waiting, waiting.rollout, "v2", ()) == ()


class TestEmergencies:
    def test_a_rollout_ends_with_what_sets_its_model_back(self) -> None:
        state = state_after(*IN_CANARY, set_back("v2", "v1"))
        assert (state.active_version, state.rollout) == ("v2", None)
        assert [ended.status for ended in state.rollout_history] == ["superseded"]

    def test_a_model_that_is_back_already_stays_as_it_is(self) -> None:
        before = state_after(*PROVEN)
        after = state_after(*PROVEN, set_back("v1", "v2"))
        assert (after.active_version, after.versions) == (before.active_version, before.versions)
        assert after.production_history == before.production_history


class TestVersions:
    def test_a_roll_back_after_a_roll_back_names_what_it_leaves(self) -> None:
        history = (*V2, trained("v3"), promoted("v3", "v2"), rolled_back("v2", "v3"))
        state = state_after(*history)
        assert state.active is not None
        assert accepted_steps(state, state.active) == ("roll back from v2",)

    def test_what_nobody_knows_to_fold_is_passed_over_where_a_newer_release_wrote(self) -> None:
        """An event that contradicts what is known of the state need not contradict what is not known."""
        state = state_after(*V2)
        evolve_unknown_in_place(state, "hotswap.model.cloned.v1", state.sequence + 1, "of-tomorrow")
        sequence = state.sequence + 1
        for event in (opened("v9"), promoted("v9", "v2")):
            after = evolve(state, in_envelope(event, sequence=sequence))
            assert (after.sequence, after.active_version) == (sequence, "v2")

    @pytest.mark.parametrize(
        ("events", "version", "why"),
        [
            ((*V2, opened("v2")), "v1", "the active version would stand in, and the circuit of v2 is open"),
            # The policy names v1 as the fallback of the active version; v3 has nothing to do with it.
            (
                (*V2, trained("v3"), policy_set(), opened("v2")),
                "v3",
                "the active version would stand in, and the circuit of v2 is open",
            ),
            ((*V2, policy_set(), archived("v1")), "v2", "the serving policy's fallback is v1, and v1 is archived"),
            (
                (*V2, policy_set(), opened("v1")),
                "v2",
                "the serving policy's fallback is v1, and the circuit of v1 is open",
            ),
            (
                (trained("v1"), promoted("v1"), policy_set()),
                "v1",
                "the serving policy's fallback is v1, and that is the version itself",
            ),
            ((trained("v1"),), "v1", "the active version would stand in, and there is no such version"),
        ],
    )
    def test_why_nothing_stands_in(self, events: tuple[RegistryEvent, ...], version: str, why: str) -> None:
        state = state_after(*events)
        assert why_nothing_stands_in(state, version) == why


class TestOthers:
    def test_there_is_a_most_of_names_of_datasets(self) -> None:
        state = state_after(*V2)
        state.dataset_names.update({f"name-{number}": "sha256:0" for number in range(NAMES_MAX)})
        Given(state).when(record_dataset(dataset_name="one-more")).then_refused(
            "invalid-value", f"{NAMES_MAX} names of datasets, the most there may be"
        )

    def test_a_rule_that_is_not_there_is_not_snoozed(self) -> None:
        given(*V2, alert_policy_set()).when(snooze_alert("fail")).then_refused(
            "unknown-rule", "'fail'", legal=("slow", "failing")
        )

    def test_a_runner_has_a_name(self) -> None:
        asked = given(*V2).when(request()).decision
        requested = asked.events[0]  # type: ignore[union-attr]
        given(*V2, requested).when(claim(runner="rm -rf /")).then_refused("invalid-value", "runner 'rm -rf /'")

    def test_times_of_a_schedule_are_listed_to_a_limit(self) -> None:
        begin = datetime(2026, 1, 1, tzinfo=UTC)
        every_minute = ScheduleTrigger(cron="* * * * *")
        assert len(times_between(every_minute, begin, begin + timedelta(days=30))) == TIMES_MAX

    def test_in_the_repeated_hour_no_time_comes_twice(self) -> None:
        """2:30 comes at 0:30 UTC that night; from 1:15 UTC on, when clocks show 2:15 again, it has been."""
        nightly = ScheduleTrigger(cron="30 2 * * *", timezone="Europe/Berlin")
        again = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)
        assert times_between(nightly, again, again + timedelta(hours=12)) == []
        assert len(times_between(nightly, again - timedelta(hours=1), again)) == 1

    def test_a_window_without_times_freezes_nothing(self) -> None:
        assert frozen_until((FreezeWindow(),), datetime(2026, 1, 1, tzinfo=UTC)) is None

    def test_no_bet_is_made_on_a_rate_that_cannot_be(self) -> None:
        assert log_block_e(Counts(99, 100), Counts(50, 100), 0.99, 0.2, 0.3) == 0.0

    def test_a_share_and_a_margin_do_not_go_together(self) -> None:
        assert MeanComparison(margin=0.0, scale=0.95).scale == 0.95
        with pytest.raises(ValueError, match="and then no margin"):
            MeanComparison(margin=0.1, scale=0.95)
