"""What holds for every sequence of commands, legal or not, whoever sends them and however often."""

import pytest
from hypothesis import given

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import AnyCommand, Refusal
from hotswap_events.envelope import Envelope
from hotswap_stream.application.registry.fold import Applied, RegistryFold
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.deciding.legal_steps import legal_steps
from hotswap_stream.domain.evolve import evolve, evolve_in_place
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.standing_in import leaves_unanswered
from tests.support.examples import enough, fixed, try_until_enough
from tests.support.histories.histories import MODELS, Intent, Writer, all_histories, histories
from tests.support.samples.registry import archive, in_envelope, promote, roll_back, stage, switch, validate


@given(all_histories)
def test_the_fold_is_deterministic(intents: list[Intent]) -> None:
    writer = Writer().handle_all(intents)
    again = RegistryFold()
    for record in writer.records:
        assert isinstance(again.apply(record), Applied)
    assert again.streams == writer.fold.streams


@given(all_histories)
def test_evolve_is_evolve_in_place_on_a_copy(intents: list[Intent]) -> None:
    states = {name: ModelState(name) for name in MODELS}
    in_place = {name: ModelState(name) for name in MODELS}
    for record in Writer().handle_all(intents).records:
        event = REGISTRY_CODEC.decode(record.value)
        assert isinstance(event, Envelope)
        before = states[event.subject]
        kept = before.copy()
        states[event.subject] = evolve(before, event)
        assert before == kept
        evolve_in_place(in_place[event.subject], event)
    assert states == in_place


@given(all_histories)
def test_a_retried_command_yields_nothing(intents: list[Intent]) -> None:
    writer = Writer()
    accepted: list[AnyCommand] = []
    for intent in intents:
        command, decision = writer.handle(intent)
        if isinstance(decision, Accepted) and decision.events:
            accepted.append(command)
    for command in accepted:
        again = decide(writer.fold.state(command.model_name), command)
        assert isinstance(again, Accepted)
        assert again.events == ()


@given(all_histories)
def test_a_refusal_changes_nothing_and_says_why(intents: list[Intent]) -> None:
    writer = Writer()
    for intent in intents:
        count, before = len(writer.records), writer.fold.state(intent.model_name).copy()
        command, decision = writer.handle(intent)
        if isinstance(decision, Refusal):
            assert len(writer.records) == count
            assert writer.fold.state(intent.model_name) == before
            assert command.command_id not in before.command_ids
            assert decision.reason


@given(all_histories)
def test_never_two_active_versions_and_never_none_after_one_was_active(intents: list[Intent]) -> None:
    writer = Writer()
    for intent in intents:
        was_active = writer.fold.state(intent.model_name).active_version
        writer.handle(intent)
        state = writer.fold.state(intent.model_name)
        in_production = [name for name, version in state.versions.items() if version.stage == "production"]
        assert in_production == ([] if state.active_version is None else [state.active_version])
        assert was_active is None or state.active_version is not None


@given(all_histories)
def test_what_was_in_production_is_never_forgotten(intents: list[Intent]) -> None:
    writer = Writer()
    for intent in intents:
        before = writer.fold.state(intent.model_name).copy()
        writer.handle(intent)
        after = writer.fold.state(intent.model_name)
        for name, version in before.versions.items():
            kept = after.versions[name]
            assert kept.production_sequences[: len(version.production_sequences)] == version.production_sequences
            assert (kept.artifact, kept.registered_sequence) == (version.artifact, version.registered_sequence)
        assert after.production_history[: len(before.production_history)] == before.production_history
        assert before.command_ids.items() <= after.command_ids.items()
        entered = sorted(position for version in after.versions.values() for position in version.production_sequences)
        assert len(entered) == len(after.production_history)
        if after.former_version is not None:
            assert after.versions[after.former_version].was_in_production


@given(all_histories)
def test_streams_do_not_touch_each_other(intents: list[Intent]) -> None:
    together = Writer().handle_all(intents)
    for name in MODELS:
        alone = Writer().handle_all([intent for intent in intents if intent.model_name == name])
        assert alone.fold.state(name) == together.fold.state(name)


def _step_commands(state: ModelState, model_version: str) -> dict[str, AnyCommand]:
    """The plainest command for each step of the table."""
    name = state.model_name
    active = state.active_version
    return {
        "validate": validate(model_version, baseline=None if active is None else (active, 0.97), model_name=name),
        "stage": stage(model_version, model_name=name),
        "promote": promote(model_version, model_name=name),
        "switch": switch(model_version, model_name=name),
        "archive": archive(model_version, model_name=name),
        "roll back": roll_back(from_version=model_version, model_name=name),
    }


@given(histories)
def test_the_table_of_legal_steps_says_what_decide_does(intents: list[Intent]) -> None:
    writer = Writer().handle_all(intents)
    for name in MODELS:
        state = writer.fold.state(name)
        for model_version, version in state.versions.items():
            legal = legal_steps(state, version)
            for step, command in _step_commands(state, model_version).items():
                decision = decide(state, command)
                yields_events = isinstance(decision, Accepted) and bool(decision.events)
                stands_in = step == "archive" and leaves_unanswered(state, version) is not None
                assert yields_events == (step in legal and not stands_in), (step, version.stage, legal, decision)


@given(histories)
def test_a_step_that_is_done_already_is_no_refusal(intents: list[Intent]) -> None:
    writer = Writer().handle_all(intents)
    for name in MODELS:
        for model_version in tuple(writer.fold.state(name).versions):
            for step in (stage, promote, switch, archive):
                state = writer.fold.state(name)
                decision = decide(state, step(model_version, model_name=name))
                if isinstance(decision, Accepted) and len(decision.events) == 1:
                    after = evolve(state, in_envelope(decision.events[0], subject=name, sequence=state.sequence + 1))
                    again = decide(after, step(model_version, model_name=name))
                    assert isinstance(again, Accepted)
                    assert again.events == ()


@pytest.mark.slow
@pytest.mark.parametrize("model_name", MODELS)
def test_the_strategies_reach_what_they_are_for(model_name: str) -> None:
    """Random commands are worth nothing if they never get anything into production: count over fixed examples."""
    seen: set[str] = set()
    wanted = {"none", "staging", "production", "superseded", "archived", "long history", "runs"}

    @fixed(5_000)
    @given(histories)
    def explore(intents: list[Intent]) -> None:
        state = Writer().handle_all(intents).fold.state(model_name)
        seen.update(version.stage for version in state.versions.values())
        if len(state.production_history) >= 3:
            seen.add("long history")
        if state.runs:
            seen.add("runs")
        enough(seen >= wanted)

    try_until_enough(explore)
    assert seen == wanted
