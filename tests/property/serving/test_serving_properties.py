"""What holds for circuits, their policy and the off switch, whatever is asked of them, and for the route they make."""

from hypothesis import given

from hotswap_events.commands import AnyCommand
from hotswap_stream.application.registry.fold import RegistryFold
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.deciding.legal_steps import circuit_steps
from hotswap_stream.domain.serving.request_plan import request_plan
from hotswap_stream.domain.serving.route import Route, circuit_of, fallback_of, route, route_to
from hotswap_stream.domain.state.model import ModelState
from tests.support.examples import enough, fixed, try_until_enough
from tests.support.histories.histories import MODELS, Intent, Writer, all_histories, serving_histories
from tests.support.samples.serving import close_circuit, disable, enable, half_open_circuit, open_circuit


def _step_commands(model_version: str, model_name: str) -> dict[str, AnyCommand]:
    return {
        "open circuit": open_circuit(model_version, model_name=model_name, without_fallback=True),
        "half-open circuit": half_open_circuit(model_version, model_name=model_name),
        "reset circuit": close_circuit(model_version, model_name=model_name),
    }


@given(serving_histories)
def test_the_table_of_legal_steps_says_what_decide_does(intents: list[Intent]) -> None:
    writer = Writer().handle_all(intents)
    for name in MODELS:
        state = writer.fold.state(name)
        for model_version, version in state.versions.items():
            legal = circuit_steps(version, circuit_of(state, version).position)
            for step, command in _step_commands(model_version, name).items():
                decision = decide(state, command)
                yields_events = isinstance(decision, Accepted) and bool(decision.events)
                assert yields_events == (step in legal), (step, legal, decision)


@given(serving_histories)
def test_the_route_leads_to_a_version_that_may_answer(intents: list[Intent]) -> None:
    writer = Writer()
    for intent in intents:
        writer.handle(intent)
        state = writer.fold.state(intent.model_name)
        for target in (state.active_version, *state.versions):
            _assert_sound(state, route_to(state, target), target)
        assert route(state) == route_to(state, state.active_version)


def _assert_sound(state: ModelState, way: Route, target: str | None) -> None:
    assert (way.answered_by is None) == (way.refused_because is not None)
    if state.serving.disabled:
        assert way == Route(None, refused_because="model-disabled")
        return
    if target is None:
        assert way == Route(None, refused_because="no-active-version")
        return
    position = circuit_of(state, state.versions[target]).position
    assert way.probed == (target if position == "half-open" else None)
    if position == "closed":
        assert way == Route(target)
        return
    assert way.answered_by != target
    assert way.answered_by == fallback_of(state, target)
    if way.answered_by is None:
        assert way.refused_because == "circuit-open"
    else:
        assert way.fallback_for == target
        stand_in = state.versions[way.answered_by]
        assert stand_in.stage != "archived"
        assert circuit_of(state, stand_in).position == "closed"


@given(all_histories)
def test_the_route_offset_is_that_of_the_event_that_last_changed_the_plan(intents: list[Intent]) -> None:
    records = Writer().handle_all(intents).records
    fold = RegistryFold()
    offsets: dict[str, int] = dict.fromkeys(MODELS, -1)
    for record in records:
        before = {name: request_plan(fold.state(name)) for name in MODELS}
        active_before = {name: fold.state(name).active_version for name in MODELS}
        fold.apply(record)
        for name, stream in fold.streams.items():
            if request_plan(stream.state) != before[name]:
                offsets[name] = record.offset
            assert stream.route_offset == offsets[name]
            if stream.state.active_version != active_before[name]:
                assert stream.active_offset == record.offset


@given(serving_histories)
def test_no_two_circuit_states_of_a_model_share_their_sequence(intents: list[Intent]) -> None:
    """Command ids of workers are made of it."""
    writer = Writer()
    seen: dict[tuple[str, int], tuple[str, object]] = {}
    for intent in intents:
        writer.handle(intent)
        state = writer.fold.state(intent.model_name)
        for name, version in state.versions.items():
            circuit = circuit_of(state, version)
            assert seen.setdefault((intent.model_name, circuit.since_sequence), (name, circuit)) == (name, circuit)


@given(serving_histories)
def test_what_enters_production_starts_with_a_closed_circuit(intents: list[Intent]) -> None:
    writer = Writer()
    for intent in intents:
        before = writer.fold.state(intent.model_name).active_version
        writer.handle(intent)
        state = writer.fold.state(intent.model_name)
        if state.active is not None and state.active_version != before:
            assert circuit_of(state, state.active).position == "closed"
            assert circuit_of(state, state.active).openings == 0


@given(serving_histories)
def test_disabled_and_enabled_alternate(intents: list[Intent]) -> None:
    writer = Writer().handle_all(intents)
    for name in MODELS:
        state = writer.fold.state(name)
        if not state.exists:
            continue
        off, on = decide(state, disable(model_name=name)), decide(state, enable(model_name=name))
        assert isinstance(off, Accepted)
        assert isinstance(on, Accepted)
        assert (bool(off.events), bool(on.events)) == (not state.serving.disabled, state.serving.disabled)


def test_the_strategies_reach_what_they_are_for() -> None:
    """Random commands are worth nothing if no circuit ever moves: count over fixed examples."""
    seen: set[str] = set()
    wanted = {
        *("closed", "open", "half-open", "opened twice", "policy", "fallback"),
        *("model-disabled", "no-active-version", "circuit-open"),
    }

    @fixed(3_000)
    @given(serving_histories)
    def explore(intents: list[Intent]) -> None:
        writer = Writer()
        for intent in intents:
            writer.handle(intent)
            state = writer.fold.state(intent.model_name)
            serving, way = state.serving, route(state)
            seen.update(circuit.position for circuit in serving.circuits.values())
            seen.update({"policy"} if serving.policy else ())
            seen.update({"fallback"} if way.fallback_for else ())
            seen.update({way.refused_because} if way.refused_because else ())
            seen.update({"opened twice"} if any(circuit.openings > 1 for circuit in serving.circuits.values()) else ())
        enough(seen >= wanted)

    try_until_enough(explore)
    assert seen == wanted
