"""Which records count: the fold over records a correct writer wrote, and over all others."""

import pytest

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.fold import Applied, AppliedUnknown, RegistryFold, Void
from tests.support.samples.registry import (
    MODEL,
    LogBuilder,
    archived,
    in_envelope,
    promoted,
    rolled_back,
    staged,
    trained,
)


def fold_of(records: list[LogRecord]) -> tuple[RegistryFold, list[object]]:
    fold = RegistryFold()
    return fold, [fold.apply(record) for record in records]


def newer(*, sequence: int, previous: str) -> bytes:
    """An event only a newer release can read."""
    value = REGISTRY_CODEC.encode(in_envelope(staged("v1"), sequence=sequence, previous=previous))
    return value.replace(b"hotswap.model.staged.v1", b"hotswap.model.frozen.v1")


def test_streams_are_told_apart_by_subject() -> None:
    log = LogBuilder().append(trained("v1")).append(trained("v1"), subject="other").append(promoted("v1"))
    fold, outcomes = fold_of(log.records)
    assert [type(outcome) for outcome in outcomes] == [Applied] * 3
    assert fold.state(MODEL).active_version == "v1"
    assert fold.state("other").active_version is None
    assert (fold.applied_count, fold.void_count, fold.next_offset) == (3, 0, 3)


def test_a_stream_knows_its_head_and_what_chose_the_active_version() -> None:
    log = LogBuilder().append(trained("v1")).append(promoted("v1")).append(trained("v2"))
    stream = fold_of(log.records)[0].streams[MODEL]
    assert stream.head_digest == log.head()[1] == digest_of(log.records[2].value or b"")
    assert (stream.offset, stream.active_offset) == (2, 1)
    assert stream.changed_timestamp_ms == log.records[2].timestamp_ms


def test_a_loser_is_void() -> None:
    log = LogBuilder().append(trained("v1")).append(promoted("v1"))
    log.append_value(
        REGISTRY_CODEC.encode(in_envelope(archived("v1"), sequence=2, previous=digest_of(log.records[0].value or b"")))
    )
    fold, outcomes = fold_of(log.records)
    assert outcomes[2] == Void("sequence 2 does not extend 'digits', which is at 2", "cause-digits-2", "conflict")
    assert fold.streams[MODEL].offset == 1


def test_the_right_sequence_behind_the_wrong_event_is_void() -> None:
    log = LogBuilder().append(trained("v1"))
    log.append_value(REGISTRY_CODEC.encode(in_envelope(staged("v1"), sequence=2, previous="f" * 64)))
    assert fold_of(log.records)[1][1] == Void(
        "previous is not the digest of event 1 of 'digits'", "cause-digits-2", "conflict"
    )


def test_what_contradicts_the_state_is_void_and_the_stream_goes_on() -> None:
    log = LogBuilder().append(trained("v1"))
    log.append_value(REGISTRY_CODEC.encode(in_envelope(rolled_back("v1", "v0"), sequence=2, previous=log.head()[1])))
    log.append(staged("v1"))
    fold, outcomes = fold_of(log.records)
    assert isinstance(outcomes[1], Void)
    assert outcomes[1].kind == "contradiction"
    assert fold.state(MODEL).versions["v1"].stage == "staging"


def test_a_first_event_that_contradicts_makes_no_stream() -> None:
    log = LogBuilder().append_value(REGISTRY_CODEC.encode(in_envelope(promoted("v1"))))
    assert fold_of(log.records)[0].streams == {}


def test_an_event_of_a_newer_release_extends_its_stream() -> None:
    log = LogBuilder().append(trained("v1"))
    value = newer(sequence=2, previous=log.head()[1])
    log.append_value(value)
    log.append_value(REGISTRY_CODEC.encode(in_envelope(staged("v1"), sequence=3, previous=digest_of(value))))
    fold, outcomes = fold_of(log.records)
    assert [type(outcome) for outcome in outcomes] == [Applied, AppliedUnknown, Applied]
    assert fold.state(MODEL).unknown_event_type == "hotswap.model.frozen.v1"
    assert fold.state(MODEL).versions["v1"].stage == "staging"


def test_an_event_of_a_newer_release_can_be_void_or_the_first_of_its_stream() -> None:
    log = (
        LogBuilder()
        .append_value(newer(sequence=1, previous="0" * 64))
        .append_value(newer(sequence=1, previous="0" * 64))
    )
    fold, outcomes = fold_of(log.records)
    assert [type(outcome) for outcome in outcomes] == [AppliedUnknown, Void]
    assert fold.state(MODEL).sequence == 1


def test_what_only_a_newer_release_could_judge_stays_on_the_chain() -> None:
    log = LogBuilder().append(trained("v1"))
    value = newer(sequence=2, previous=log.head()[1])
    log.append_value(value)
    contradiction = REGISTRY_CODEC.encode(in_envelope(promoted("v1", "v9"), sequence=3, previous=digest_of(value)))
    log.append_value(contradiction)
    log.append_value(REGISTRY_CODEC.encode(in_envelope(staged("v1"), sequence=4, previous=digest_of(contradiction))))
    fold, outcomes = fold_of(log.records)
    assert isinstance(outcomes[3], Applied)
    assert fold.state(MODEL).sequence == 4
    assert fold.state(MODEL).active_version is None


def test_offsets_may_have_gaps_but_never_go_back() -> None:
    log = LogBuilder().append(trained("v1")).append(staged("v1")).append(promoted("v1"))
    fold = RegistryFold()
    fold.apply(log.records[0])
    with pytest.raises(ValueError, match="was folded before"):
        fold.apply(log.records[0])
    skipped = log.records[1]
    fold.apply(LogRecord(7, skipped.timestamp_ms, skipped.key, skipped.value))
    assert fold.next_offset == 8


def test_the_state_of_a_model_without_events_is_empty() -> None:
    fold = RegistryFold()
    assert not fold.state("nobody").exists
    assert fold.streams == {}
