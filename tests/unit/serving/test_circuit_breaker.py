"""The window that trips, the probes that close it again, and the commands that come of both."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hotswap_events.commands import AnyCommand
from hotswap_events.registry.events import ModelArchived
from hotswap_events.serving.commands import CloseCircuit, HalfOpenCircuit, OpenCircuit
from hotswap_events.serving.control import (
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    ServingPolicy,
    ServingPolicySet,
)
from hotswap_stream.application.serving.breaker import BUCKETS, REPEAT_SECONDS, AnswerWindow, CircuitBreaker, ProbePlan
from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.state.model import ModelState
from tests.support.decider_specification import state_after
from tests.support.samples.registry import EPOCH, promoted, trained, validated

POLICY = ServingPolicy(
    error_rate_max=0.2,
    latency_ms_max=50.0,
    slow_share_max=0.1,
    window_seconds=10.0,
    answers_min=20,
    open_seconds=5.0,
    probes=3,
    probe_share=0.25,
)
TWO_VERSIONS = (
    trained("v1"),
    validated("v1"),
    promoted("v1"),
    trained("v2"),
    validated("v2", baseline=("v1", 0.97)),
    promoted("v2", "v1"),
    ServingPolicySet(policy=POLICY),
)


class TestWindow:
    def test_too_few_answers_say_nothing(self) -> None:
        window = AnswerWindow(POLICY)
        window.add(19, 19, 0, 0.0)
        assert window.trip() is None
        window.add(1, 1, 0, 0.0)
        trip = window.trip()
        assert trip is not None
        assert trip.cause == "error-rate"
        assert trip.figures == {"error_rate": 1.0, "error_rate_max": 0.2, "answers": 20}

    def test_what_is_allowed_does_not_trip(self) -> None:
        window = AnswerWindow(POLICY)
        window.add(100, 20, 10, 0.0)
        assert window.trip() is None
        window.add(1, 1, 0, 0.0)
        assert window.trip() is not None

    def test_slow_answers(self) -> None:
        window = AnswerWindow(POLICY)
        window.add(100, 0, 11, 0.0)
        trip = window.trip()
        assert trip is not None
        assert trip.cause == "latency"
        assert trip.figures["slow_share"] == 0.11

    @pytest.mark.parametrize("errors", [0, 1], ids=["slow", "failing"])
    def test_what_the_policy_does_not_name_never_trips(self, errors: int) -> None:
        window = AnswerWindow(replace(POLICY, error_rate_max=None, latency_ms_max=None))
        window.add(100, 100 * errors, 100 * (1 - errors), 0.0)
        assert window.trip() is None

    def test_old_answers_leave_the_window(self) -> None:
        window = AnswerWindow(POLICY)
        window.add(100, 100, 0, 0.0)
        window.add(30, 0, 0, 9.0)
        assert window.trip() is not None
        window.add(30, 0, 0, 10.5)
        assert window.trip() is None

    def test_so_do_more_answers_than_count(self) -> None:
        window = AnswerWindow(replace(POLICY, window_answers_max=100))
        window.add(100, 100, 0, 0.0)
        window.add(100, 0, 0, 0.0)
        assert window.trip() is None

    def test_it_stays_small(self) -> None:
        window = AnswerWindow(replace(POLICY, window_answers_max=1_000))
        for step in range(10_000):
            window.add(7, step % 2, 0, step / 100)
            assert len(window._buckets) <= 2 * BUCKETS + 2


class TestBreaker:
    def test_versions_are_counted_apart(self) -> None:
        breaker = CircuitBreaker(POLICY)
        assert breaker.observe("v1", answers=100, errors=0, slow=0, now_s=0.0) is None
        assert breaker.observe("v2", answers=100, errors=100, slow=0, now_s=0.0) is not None
        assert breaker.observe("v1", answers=100, errors=0, slow=0, now_s=0.0) is None

    def test_a_trip_is_said_again_while_nothing_comes_of_it(self) -> None:
        breaker = CircuitBreaker(POLICY)
        said = [
            breaker.observe("v2", answers=50, errors=50, slow=0, now_s=second / 2) is not None
            for second in range(int(4 * REPEAT_SECONDS))
        ]
        assert [index / 2 for index, was in enumerate(said) if was] == [0.0, REPEAT_SECONDS]

    def test_reset_forgets(self) -> None:
        breaker = CircuitBreaker(POLICY)
        breaker.observe("v2", answers=100, errors=100, slow=0, now_s=0.0)
        breaker.reset("v2")
        assert breaker.observe("v2", answers=19, errors=19, slow=0, now_s=0.0) is None


class TestProbePlan:
    def test_every_nth_request_is_one_until_enough_are_under_way(self) -> None:
        plan = ProbePlan(POLICY)
        assert plan.pick(6) == (0, 4)
        assert plan.pick(1) == ()
        assert plan.pick(10) == (1,)
        assert plan.pick(100) == ()

    def test_batch_borders_do_not_matter(self) -> None:
        plan = ProbePlan(replace(POLICY, probes=100))
        picked = [offset for offset in range(40) for _ in plan.pick(1)]
        assert picked == list(range(0, 40, 4))

    def test_enough_passes_close(self) -> None:
        plan = ProbePlan(POLICY)
        plan.pick(9)
        assert plan.observe(passed=2) is None
        assert plan.observe(passed=1) == "close"
        assert plan.pick(100) == ()

    def test_one_failure_reopens(self) -> None:
        plan = ProbePlan(POLICY)
        plan.pick(9)
        assert plan.observe(passed=2, failed=1) == "reopen"
        assert plan.pick(100) == ()

    def test_lost_probes_are_sent_again(self) -> None:
        plan = ProbePlan(POLICY)
        plan.pick(9)
        assert plan.observe(lost=3) is None
        assert len(plan.pick(100)) == 3

    def test_the_next_request_is_a_probe_when_one_of_many_skipped_was_lost(self) -> None:
        """It was one at a negative place: another request was the probe, or the batch could not be answered."""
        plan = ProbePlan(POLICY)
        plan.pick(20)
        plan.observe(lost=3)
        assert plan.pick(1) == (0,)

    def test_what_was_under_way_is_forgotten(self) -> None:
        plan = ProbePlan(POLICY)
        plan.pick(9)
        plan.observe(passed=1)
        plan.forget_under_way()
        assert plan.pick(9) == (3, 7)
        assert plan.observe(passed=2) == "close"

    @given(
        share=st.floats(0.01, 1.0),
        probes=st.integers(1, 20),
        steps=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20), st.integers(0, 20)), max_size=30),
    )
    def test_probes_are_requests_that_there_are_each_once(
        self, share: float, probes: int, steps: list[tuple[int, int, int]]
    ) -> None:
        plan = ProbePlan(replace(POLICY, probe_share=share, probes=probes))
        under_way = 0
        for requests, passed, lost in steps:
            picked = plan.pick(requests)
            assert list(picked) == sorted(set(picked))
            assert all(0 <= index < requests for index in picked)
            under_way += len(picked)
            assert plan.passed + under_way <= probes
            passed = min(passed, under_way)
            lost = min(lost, under_way - passed)
            plan.observe(passed=passed, lost=lost)
            under_way -= passed + lost


def applied(state: ModelState, command: AnyCommand | None) -> tuple[type, ...]:
    """The types of the events that the command leads to."""
    assert command is not None
    decision = decide(state, command)
    assert isinstance(decision, Accepted), decision
    return tuple(type(data) for data in decision.events)


class TestGuard:
    def guard(self, state: ModelState) -> CircuitGuard:
        guard = CircuitGuard("digits", "worker-1")
        guard.update(state)
        return guard

    def test_a_failing_version_is_taken_out(self) -> None:
        state = state_after(*TWO_VERSIONS)
        command = self.guard(state).observe("v2", answers=50, errors=50, slow=0, now_s=0.0)
        assert isinstance(command, OpenCircuit)
        assert command.figures["error_rate"] == 1.0
        assert applied(state, command) == (CircuitOpened,)

    def test_workers_that_see_the_same_send_the_same_command_id(self) -> None:
        state = state_after(*TWO_VERSIONS)
        one = self.guard(state).observe("v2", answers=50, errors=50, slow=0, now_s=0.0)
        other = self.guard(state).observe("v2", answers=70, errors=70, slow=0, now_s=9.0)
        assert one is not None
        assert other is not None
        assert one.command_id == other.command_id

    def test_the_next_episode_has_ids_of_its_own(self) -> None:
        first = state_after(*TWO_VERSIONS)
        later = state_after(
            *TWO_VERSIONS,
            CircuitOpened(model_version="v2", cause="error-rate"),
            CircuitClosed(model_version="v2", cause="operator"),
        )
        one = self.guard(first).observe("v2", answers=50, errors=50, slow=0, now_s=0.0)
        other = self.guard(later).observe("v2", answers=50, errors=50, slow=0, now_s=0.0)
        assert one is not None
        assert other is not None
        assert one.command_id != other.command_id
        assert applied(later, other) == (CircuitOpened,)

    def test_what_was_measured_before_a_reset_does_not_count_after_it(self) -> None:
        state = state_after(*TWO_VERSIONS)
        guard = self.guard(state)
        command = guard.observe("v2", answers=50, errors=50, slow=0, now_s=0.0)
        closed = state_after(
            *TWO_VERSIONS,
            CircuitOpened(model_version="v2", cause="operator"),
            CircuitClosed(model_version="v2", cause="operator"),
        )
        guard.update(closed)
        assert guard.observe("v2", answers=19, errors=19, slow=0, now_s=0.1) is None
        assert command is not None
        refused = decide(closed, command)
        assert not isinstance(refused, Accepted)
        assert refused.code == "conflict"

    def test_half_open_by_time(self) -> None:
        state = state_after(*TWO_VERSIONS, CircuitOpened(model_version="v2", cause="error-rate"))
        assert state.serving.circuits["v2"].opened_at == EPOCH + timedelta(seconds=state.sequence)
        guard = self.guard(state)
        assert guard.due(100.0) == []
        assert guard.due(104.9) == []
        (command,) = guard.due(105.0)
        assert isinstance(command, HalfOpenCircuit)
        assert applied(state, command) == (CircuitHalfOpened,)
        assert guard.due(106.0) == []
        assert len(guard.due(105.0 + REPEAT_SECONDS)) == 1

    @pytest.mark.parametrize("hours", [-1, 1])
    def test_half_open_whatever_the_clock_of_the_worker_that_opened_it(self, hours: int) -> None:
        """The others took the circuit of a worker whose clock was an hour ahead as open for an hour more."""
        state = state_after(*TWO_VERSIONS, CircuitOpened(model_version="v2", cause="error-rate"))
        circuit = state.serving.circuits["v2"]
        assert circuit.opened_at is not None
        moved = msgspec.structs.replace(circuit, opened_at=circuit.opened_at + timedelta(hours=hours))
        state.serving = msgspec.structs.replace(state.serving, circuits={**state.serving.circuits, "v2": moved})
        guard = self.guard(state)
        assert guard.due(100.0) == []
        assert len(guard.due(105.0)) == 1

    def half_open(self) -> ModelState:
        return state_after(
            *TWO_VERSIONS,
            CircuitOpened(model_version="v2", cause="error-rate"),
            CircuitHalfOpened(model_version="v2"),
        )

    def test_probes_that_pass_close(self) -> None:
        state = self.half_open()
        guard = self.guard(state)
        assert guard.pick_probes(9) == (0, 4, 8)
        assert guard.observe("v2", answers=2, errors=0, slow=0, now_s=0.0, probes=True) is None
        command = guard.observe("v2", answers=1, errors=0, slow=0, now_s=0.0, probes=True)
        assert isinstance(command, CloseCircuit)
        assert applied(state, command) == (CircuitClosed,)

    @pytest.mark.parametrize(("errors", "slow"), [(1, 0), (0, 1)])
    def test_a_probe_that_fails_or_is_slow_reopens(self, errors: int, slow: int) -> None:
        state = self.half_open()
        guard = self.guard(state)
        guard.pick_probes(9)
        command = guard.observe("v2", answers=3, errors=errors, slow=slow, now_s=0.0, probes=True)
        assert isinstance(command, OpenCircuit)
        assert command.cause == "probe-failed"
        assert applied(state, command) == (CircuitOpened,)

    def test_a_verdict_that_was_lost_comes_again(self) -> None:
        guard = self.guard(self.half_open())
        guard.pick_probes(9)
        first = guard.observe("v2", answers=3, errors=0, slow=0, now_s=0.0, probes=True)
        assert guard.due(1.0) == []
        assert guard.due(REPEAT_SECONDS) == [first]

    def test_late_answers_of_the_guarded_version_are_no_probes(self) -> None:
        guard = self.guard(self.half_open())
        assert guard.observe("v2", answers=100, errors=100, slow=0, now_s=0.0) is None

    def test_probes_that_could_not_be_sent_leave_room_for_others(self) -> None:
        guard = self.guard(self.half_open())
        guard.probes_lost(len(guard.pick_probes(9)))
        assert len(guard.pick_probes(9)) > 0

    def test_probes_that_were_dropped_with_all_that_was_being_answered_leave_room_for_others(self) -> None:
        guard = self.guard(self.half_open())
        guard.pick_probes(9)
        assert guard.pick_probes(100) == ()
        guard.drop_probes()
        assert guard.pick_probes(1) == (0,)

    def test_no_probes_while_nothing_is_half_open(self) -> None:
        guard = self.guard(state_after(*TWO_VERSIONS))
        assert guard.pick_probes(100) == ()
        assert guard.observe("v2", answers=1, errors=1, slow=0, now_s=0.0, probes=True) is None

    def test_a_version_that_is_archived_while_a_command_about_it_is_on_its_way(self) -> None:
        events = (*TWO_VERSIONS, CircuitOpened(model_version="v1", cause="error-rate"))
        state = state_after(*events)
        guard = self.guard(state)
        assert guard.due(100.0) == []
        assert len(guard.due(160.0)) == 1
        guard.update(state_after(*events, ModelArchived(model_version="v1")))
        assert guard.due(220.0) == []

    def test_a_version_it_does_not_know_is_passed_over(self) -> None:
        guard = CircuitGuard("digits", "worker-1")
        assert guard.observe("v9", answers=100, errors=100, slow=0, now_s=0.0) is None
