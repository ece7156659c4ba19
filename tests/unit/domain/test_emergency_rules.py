"""What stays possible after an event of a newer release, and what such an event may say of itself."""

from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_events.commands import AnyCommand
from hotswap_events.envelope import GENESIS
from hotswap_events.log_stream import LOG_STREAM, LogBegun
from hotswap_events.registry.emergency import ModelSetBack, ModelShutOff
from hotswap_events.registry.events import RegistryEvent
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.fold import Applied, AppliedToLog, AppliedUnknown, RegistryFold, Void
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.emergency_rules import emergency
from hotswap_stream.domain.evolve import evolve, evolve_unknown_in_place
from hotswap_stream.domain.state.model import ModelState
from tests.support.decider_specification import Given, state_after
from tests.support.histories.histories import Intent, Writer, all_histories
from tests.support.samples.emergencies import set_back
from tests.support.samples.registry import (
    LogBuilder,
    archive,
    artifact_of,
    in_envelope,
    promote,
    promoted,
    register,
    roll_back,
    staged,
    switch,
    trained,
)
from tests.support.samples.serving import disable, enable

V2_ACTIVE = (
    trained("v1"),
    promoted("v1", forced=True),
    trained("v2"),
    promoted("v2", "v1", forced=True),
    trained("v3"),
)
FUTURE = "hotswap.model.future.v9"


def behind_the_unknown(*events: RegistryEvent) -> Given:
    state = state_after(*events)
    evolve_unknown_in_place(state, FUTURE, state.sequence + 1, "newer")
    return Given(state)


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (roll_back("load-failed", "v2"), set_back("v1", "v2", "load-failed")),
        (roll_back("emergency"), set_back("v1", "v2", "emergency")),
        (switch("v1"), set_back("v1")),
        (switch("v2"), set_back("v2")),
        (disable(), ModelShutOff()),
    ],
    ids=["no worker can load it", "roll back", "switch", "switch to what seems active", "disable"],
)
def test_the_way_back_stays_open(command: AnyCommand, event: RegistryEvent) -> None:
    """An event of a newer release blocked even an emergency rollback."""
    behind_the_unknown(*V2_ACTIVE).when(command).then(event)


@pytest.mark.parametrize(
    "command", [promote("v3"), switch("v3"), switch("v9"), register("v4"), archive("v1"), enable()], ids=repr
)
def test_all_else_is_for_the_newer_release(command: AnyCommand) -> None:
    assert emergency(behind_the_unknown(*V2_ACTIVE).state, command) is None


def test_a_rollback_needs_somewhere_to_go() -> None:
    assert emergency(behind_the_unknown(trained("v1"), promoted("v1", forced=True)).state, roll_back()) is None
    behind_the_unknown(*V2_ACTIVE).when(roll_back(from_version="v3")).then_refused("conflict", "as far as", "switch to")


def test_guards_hold_there_too() -> None:
    given = behind_the_unknown(*V2_ACTIVE)
    given.when(switch("v1", expected_sequence=2)).then_refused("sequence-mismatch")
    given.when(switch("v1", command_id="newer")).then_nothing("applied before")


def test_what_it_means() -> None:
    state = state_after(*V2_ACTIVE, ModelSetBack(model_version="v1", artifact_digest=artifact_of("v1").digest))
    assert (state.active_version, state.versions["v2"].stage, state.former_version) == ("v1", "superseded", "v2")
    state = state_after(*V2_ACTIVE, set_back("v1", "v2"), ModelShutOff(), ModelShutOff())
    assert (state.versions["v2"].stage, state.serving.disabled) == ("archived", True)
    assert state_after(*V2_ACTIVE, set_back("v9")).active_version == "v2"


@for_all(all_histories, st.sampled_from(["v1", "v2", "blue", "none"]), st.booleans())
def test_these_events_contradict_no_state(intents: list[Intent], model_version: str, off: bool) -> None:
    """Else readers that know more than their writer would take them for void, and part from the others for good."""
    for name, stream in Writer().handle_all(intents).fold.streams.items():
        state = stream.state
        event: RegistryEvent = ModelShutOff() if off else set_back(model_version, state.active_version)
        version = state.versions.get(model_version)
        if not off and version is not None:
            event = ModelSetBack(model_version=model_version, artifact_digest=version.artifact.digest)
        after = evolve(state, in_envelope(event, sequence=state.sequence + 1, subject=name))
        assert after.sequence == state.sequence + 1
        in_production = [each.model_version for each in after.versions.values() if each.stage == "production"]
        assert in_production == ([] if after.active_version is None else [after.active_version])
        if off:
            assert after.serving.disabled
        elif version is not None and not version.artifact_deleted:
            assert (after.active_version, after.rollout) == (model_version, None)


def unknown(log: LogBuilder, **attributes: Any) -> bytes:
    sequence, previous = log.head()
    event = in_envelope(staged("v1"), sequence=sequence + 1, previous=previous, **attributes)
    return REGISTRY_CODEC.encode(event).replace(b"hotswap.model.staged.v1", FUTURE.encode())


@pytest.mark.parametrize(
    ("ignorable", "blocks"), [(True, False), (False, True), ("true", True), (1, True), ([], True), (None, True)]
)
def test_only_an_event_that_says_so_may_be_ignored(ignorable: Any, blocks: bool) -> None:
    log = LogBuilder().append(trained("v1"))
    value = unknown(log, ignorable=ignorable)
    log.append_value(value)
    fold = RegistryFold()
    outcomes = [fold.apply(record) for record in log.records]
    assert isinstance(outcomes[1], AppliedUnknown), "it counts for every reader, whatever it says of itself"
    state = fold.state("digits")
    assert (state.sequence, state.unknown_event_type) == (2, FUTURE if blocks else None)
    decision = decide(state, register("v2"))
    assert isinstance(decision, Accepted)
    contradiction = in_envelope(promoted("v1", "v7"), sequence=3, previous=digest_of(value))
    outcome = fold.apply(LogRecord(2, 0, b"digits", REGISTRY_CODEC.encode(contradiction)))
    assert isinstance(outcome, Applied if blocks else Void)


def test_events_do_not_say_what_they_did_not_say_before() -> None:
    assert b"ignorable" not in REGISTRY_CODEC.encode(in_envelope(staged("v1")))
    event = in_envelope(staged("v1"), ignorable=True)
    assert REGISTRY_CODEC.decode(REGISTRY_CODEC.encode(event)) == event


class TestTheLogsOwnStream:
    def test_it_is_no_model(self) -> None:
        fold = RegistryFold()
        begun = REGISTRY_CODEC.encode(in_envelope(LogBegun(log_id="x"), subject=LOG_STREAM))
        assert isinstance(fold.apply(LogRecord(0, 0, LOG_STREAM.encode(), begun)), AppliedToLog)
        again = fold.apply(LogRecord(1, 0, LOG_STREAM.encode(), begun))
        assert isinstance(again, Void)
        assert (again.kind, fold.log.sequence, fold.streams) == ("conflict", 1, {})
        assert fold.log.begun == LogBegun(log_id="x")

    @pytest.mark.parametrize("type_name", ["hotswap.model.staged.v1", "hotswap.log.future.v9"])
    def test_what_it_does_not_know_counts_there(self, type_name: str) -> None:
        value = REGISTRY_CODEC.encode(in_envelope(staged("v1"), subject=LOG_STREAM))
        fold = RegistryFold()
        outcome = fold.apply(
            LogRecord(0, 0, LOG_STREAM.encode(), value.replace(b"hotswap.model.staged.v1", type_name.encode()))
        )
        assert isinstance(outcome, AppliedToLog)
        assert (fold.log.sequence, fold.log.begun, fold.streams) == (1, None, {})

    def test_its_events_mean_nothing_to_a_model(self) -> None:
        state = ModelState("digits")
        after = evolve(state, in_envelope(LogBegun(log_id="x")))
        assert (after.sequence, after.versions) == (1, {})
        fold = RegistryFold()
        value = REGISTRY_CODEC.encode(in_envelope(LogBegun(log_id="x"), previous=GENESIS))
        assert isinstance(fold.apply(LogRecord(0, 0, b"digits", value)), Applied)
