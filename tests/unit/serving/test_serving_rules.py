"""Circuits, their policy and the off switch: what each command leads to, what is refused, and what contradicts."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from hotswap_events.registry.events import RegistryEvent
from hotswap_events.serving.control import ModelDisabled, ModelEnabled, ServingPolicy
from hotswap_stream.domain.evolve import IllegalEventError
from hotswap_stream.domain.serving.route import Route, circuit_of, route, route_to
from tests.support.decider_specification import given, state_after
from tests.support.samples.registry import archive, archived, promoted, rolled_back, staged, trained
from tests.support.samples.serving import (
    FAIL_FAST,
    FIGURES,
    STRICT,
    close_circuit,
    closed,
    disable,
    enable,
    half_open_circuit,
    half_opened,
    open_circuit,
    opened,
    policy_set,
    set_serving_policy,
)

V1 = (trained("v1"), promoted("v1"))
V2 = (*V1, trained("v2"), promoted("v2", "v1"))


class TestPolicy:
    def test_is_set_and_not_set_twice(self) -> None:
        given(*V1).when(set_serving_policy()).then(policy_set())
        given(*V1, policy_set()).when(set_serving_policy()).then_nothing("holds already")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"error_rate_max": 1.01}, "a share from 0 to 1"),
            ({"error_rate_max": math.nan}, "a share from 0 to 1"),
            ({"latency_ms_max": 0.0}, "milliseconds"),
            ({"latency_ms_max": math.inf}, "milliseconds"),
            ({"slow_share_max": -0.1}, "a share from 0 to 1"),
            ({"window_seconds": 0.5}, "from 1 to 86,400"),
            ({"window_answers_max": 9}, "answers, from 10"),
            ({"answers_min": 0}, "answers, from 1"),
            ({"answers_min": 1_001}, "could never hold enough"),
            ({"open_seconds": 0.0}, "from 0.1"),
            ({"probes": 0}, "requests, from 1"),
            ({"probe_share": 0.0}, "a share from 0.0001"),
            ({"fallback_version": None}, "say in fallback_version which"),
            ({"fallback": "former"}, "needs fallback 'version'"),
        ],
    )
    def test_has_limits(self, changes: dict[str, Any], words: str) -> None:
        given(*V1).when(set_serving_policy(replace(STRICT, **changes))).then_refused("invalid-value", words)

    def test_the_fallback_must_exist_and_be_in_play(self) -> None:
        given(*V1).when(set_serving_policy(replace(STRICT, fallback_version="v9"))).then_refused(
            "unknown-version", "'v9'", legal=("v1",)
        )
        given(*V2, archived("v1")).when(set_serving_policy()).then_refused("illegal-step", "is archived")


class TestOpen:
    def test_by_hand_says_what_answers_instead(self) -> None:
        outcome = given(*V2).when(open_circuit("v2"))
        outcome.then(opened("v2"))
        outcome.and_says("v1 answers for v2")

    @pytest.mark.parametrize(
        ("events", "version", "words", "legal"),
        [
            (V1, "v1", "there is none", ()),
            ((*V2, policy_set(FAIL_FAST)), "v2", "wants no fallback", ("v1",)),
            ((*V2, opened("v2")), "v1", "requests of v2, which it answers", ()),
            ((*V2, archived("v1")), "v2", "there is none", ()),
            ((*V2, opened("v1")), "v2", "the circuit of v1 is open", ()),
            ((*V2, ModelDisabled(), trained("v3"), policy_set(FAIL_FAST)), "v2", "no fallback", ("v3", "v1")),
        ],
    )
    def test_by_hand_is_refused_where_nothing_would_answer(
        self, events: tuple[RegistryEvent, ...], version: str, words: str, legal: tuple[str, ...]
    ) -> None:
        stand_ins = tuple(f"set serving policy with fallback_version {name}" for name in legal)
        given(*events).when(open_circuit(version)).then_refused(
            "illegal-step",
            words,
            "without_fallback",
            legal=(*stand_ins, "open circuit with without_fallback", "disable"),
        )
        outcome = given(*events).when(open_circuit(version, without_fallback=True))
        outcome.then(opened(version))

    def test_what_answers_for_another_stays_in_play(self) -> None:
        events = (*V2, opened("v2"))
        given(*events).when(archive("v1")).then_refused(
            "illegal-step", "answers for 'v2'", legal=("reset circuit of v2", "promote", "switch", "disable")
        )
        given(*events).when(set_serving_policy(FAIL_FAST)).then_refused(
            "illegal-step", "'v2'", "wants no fallback", legal=("reset circuit", "disable")
        )
        given(*V2).when(archive("v1")).then(archived("v1"))

    def test_a_policy_says_that_its_fallback_is_missing(self) -> None:
        given(*V1).when(set_serving_policy(ServingPolicy(probes=3))).and_says(
            "nothing could stand in for v1", "is none"
        )
        given(*V1).when(set_serving_policy()).and_says("that is the version itself")

    def test_by_a_worker_with_its_figures(self) -> None:
        command = open_circuit("v2", "error-rate", figures=FIGURES, worker="worker-1")
        given(*V2).when(command).then(opened("v2", "error-rate", figures=FIGURES, worker="worker-1"))

    def test_by_a_worker_only_if_something_can_take_over_or_nothing_shall(self) -> None:
        given(*V1).when(open_circuit("v1", "error-rate")).then_nothing("no version can take over from 'v1'")
        given(*V1, policy_set(FAIL_FAST)).when(open_circuit("v1", "error-rate")).then(opened("v1", "error-rate"))
        given(*V2, opened("v1")).when(open_circuit("v2", "latency")).then_nothing("no version can take over")

    def test_once(self) -> None:
        given(*V2, opened("v2")).when(open_circuit("v2", since_sequence=1)).then_nothing("open already")

    def test_again_when_a_probe_failed(self) -> None:
        events = (*V2, opened("v2"), half_opened("v2"))
        given(*events).when(open_circuit("v2", "probe-failed")).then(opened("v2", "probe-failed"))
        given(*V2).when(open_circuit("v2", "probe-failed")).then_refused(
            "illegal-step", "no probes", legal=("open circuit",)
        )

    def test_not_on_what_was_measured_in_another_state(self) -> None:
        state = state_after(*V2)
        since = circuit_of(state, state.versions["v2"]).since_sequence
        assert since == state.sequence
        given(*V2).when(open_circuit("v2", "latency", since_sequence=since)).then(opened("v2", "latency"))
        given(*V2, opened("v2"), closed("v2")).when(open_circuit("v2", since_sequence=since)).then_refused(
            "conflict", f"as of sequence {since}", "closed since 6"
        )

    def test_not_of_an_archived_version(self) -> None:
        given(*V2, archived("v1")).when(open_circuit("v1")).then_refused("illegal-step", "is archived")

    def test_limits_on_what_is_measured(self) -> None:
        given(*V2).when(open_circuit("v2", figures={"x": math.nan})).then_refused("invalid-value", "finite")
        given(*V2).when(open_circuit("v2", worker="w" * 513)).then_refused("invalid-value", "circuit.worker")

    def test_unknown_version(self) -> None:
        for command in (open_circuit("v9"), half_open_circuit("v9"), close_circuit("v9")):
            given(*V2).when(command).then_refused("unknown-version", "'v9'", legal=("v2", "v1"))


class TestHalfOpenAndClose:
    def test_an_open_one_is_tried(self) -> None:
        given(*V2, opened("v2")).when(half_open_circuit("v2")).then(half_opened("v2"))
        given(*V2, opened("v2"), half_opened("v2")).when(half_open_circuit("v2")).then_nothing("half-open already")
        given(*V2).when(half_open_circuit("v2")).then_refused("illegal-step", "closed", legal=("open circuit",))
        given(*V2, opened("v2")).when(half_open_circuit("v2", since_sequence=1)).then_refused("conflict")

    def test_a_half_open_one_closes_when_its_probes_passed(self) -> None:
        command = close_circuit("v2", "probes-passed", worker="worker-1")
        given(*V2, opened("v2"), half_opened("v2")).when(command).then(closed("v2", "probes-passed", worker="worker-1"))
        given(*V2, opened("v2")).when(command).then_refused(
            "illegal-step", "no probes", legal=("half-open circuit", "reset circuit")
        )

    def test_by_hand_from_anywhere(self) -> None:
        given(*V2, opened("v2")).when(close_circuit("v2")).then(closed("v2"))
        given(*V2, opened("v2"), half_opened("v2")).when(close_circuit("v2")).then(closed("v2"))
        given(*V2).when(close_circuit("v2")).then_nothing("closed already")
        given(*V2, opened("v2")).when(close_circuit("v2", since_sequence=1)).then_refused("conflict")


class TestOffSwitch:
    def test_off_and_on(self) -> None:
        given(*V1).when(disable()).then(ModelDisabled())
        given(*V1, ModelDisabled()).when(disable()).then_nothing("disabled already")
        given(*V1, ModelDisabled()).when(enable()).then(ModelEnabled())
        given(*V1).when(enable()).then_nothing("enabled already")

    def test_of_a_model_that_does_not_exist(self) -> None:
        given().when(disable()).then_refused("unknown-model")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (policy_set(replace(STRICT, fallback_version="v9")), "no version 'v9'"),
        (opened("v9"), "no version 'v9'"),
        (half_opened("v2"), "closed, not open"),
        (closed("v2"), "closed, not open or half-open"),
        (ModelEnabled(), "is not disabled"),
    ],
)
def test_an_event_that_contradicts_the_state(event: RegistryEvent, words: str) -> None:
    with pytest.raises(IllegalEventError, match=words):
        state_after(*V2, event)


def test_opened_or_disabled_twice_contradicts() -> None:
    with pytest.raises(IllegalEventError, match="is open, not closed or half-open"):
        state_after(*V2, opened("v2"), opened("v2"))
    with pytest.raises(IllegalEventError, match="disabled already"):
        state_after(*V2, ModelDisabled(), ModelDisabled())


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((trained("v1"),), Route(None, refused_because="no-active-version")),
        (V2, Route("v2")),
        ((*V2, opened("v1")), Route("v2")),
        ((*V2, opened("v2")), Route("v1", "v2")),
        ((*V2, opened("v2"), half_opened("v2")), Route("v1", "v2", "v2")),
        ((*V2, opened("v2"), closed("v2")), Route("v2")),
        ((*V2, opened("v2"), rolled_back("v1", "v2")), Route("v1")),
        ((*V2, opened("v2"), opened("v1")), Route(None, None, None, "circuit-open")),
        ((*V2, opened("v2"), archived("v1")), Route(None, None, None, "circuit-open")),
        ((*V2, policy_set(FAIL_FAST), opened("v2"), half_opened("v2")), Route(None, None, "v2", "circuit-open")),
        ((*V2, opened("v2"), ModelDisabled()), Route(None, refused_because="model-disabled")),
    ],
)
def test_the_route(events: tuple[RegistryEvent, ...], expected: Route) -> None:
    assert route(state_after(*events)) == expected


def test_a_named_fallback_stands_in() -> None:
    policy = ServingPolicy(fallback="version", fallback_version="heuristic")
    events = (trained("heuristic"), *V2, policy_set(policy), opened("v2"))
    assert route(state_after(*events)) == Route("heuristic", "v2")


def test_the_active_version_stands_in_for_any_other() -> None:
    state = state_after(*V2, trained("v3"), staged("v3"), opened("v3"))
    assert route_to(state, "v3") == Route("v2", "v3")
    assert route(state) == Route("v2")


def test_entering_production_resets() -> None:
    state = state_after(*V2, opened("v2"), rolled_back("v1", "v2"), promoted("v2", "v1", forced=True))
    circuit = circuit_of(state, state.versions["v2"])
    assert (circuit.position, circuit.openings, circuit.since_sequence) == ("closed", 0, state.sequence)
