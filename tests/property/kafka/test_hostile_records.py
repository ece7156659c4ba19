"""Records no correct writer wrote, in between those of correct ones: nothing raises, nothing else changes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hotswap_events.codec import REGISTRY_CODEC, UnknownEvent, UnreadableEvent
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.fold import Applied, RegistryFold, Void
from tests.support.examples import examples
from tests.support.histories.histories import MODELS, Intent, Writer, histories, hostile_values


def extends_a_head(fold: RegistryFold, value: bytes | None) -> bool:
    """Whether the value would count: by chance it may be just what a correct writer could append."""
    event = REGISTRY_CODEC.decode(value)
    if isinstance(event, UnreadableEvent):
        return False
    header = event.header if isinstance(event, UnknownEvent) else event
    stream = fold.streams.get(header.subject)
    return header.sequence == fold.state(header.subject).sequence + 1 and (
        header.previous == (stream.head_digest if stream else "0" * 64)
    )


@given(histories, st.data())
def test_void_records_change_nothing_and_void_nothing(intents: list[Intent], data: st.DataObject) -> None:
    clean, disturbed = Writer(), Writer()
    for intent in intents:
        clean.handle(intent)
        if data.draw(st.booleans()):
            known = [record.value for record in disturbed.records if record.value is not None]
            known = [value for value in known if not isinstance(REGISTRY_CODEC.decode(value), UnreadableEvent)]
            known = [value for value in known if not isinstance(REGISTRY_CODEC.decode(value), UnknownEvent)]
            value = data.draw(hostile_values(known[-5:]))
            if not extends_a_head(disturbed.fold, value):
                before = {name: disturbed.fold.state(name).copy() for name in MODELS}
                disturbed.append_value(value)
                assert {name: disturbed.fold.state(name) for name in MODELS} == before
        disturbed.handle(intent)
    assert set(disturbed.fold.streams) == set(clean.fold.streams)
    for name in MODELS:
        assert disturbed.fold.state(name) == clean.fold.state(name)


@settings(max_examples=examples(300))
@given(st.lists(st.none() | st.binary(max_size=300) | st.text(max_size=200).map(str.encode), max_size=20))
def test_random_records_are_void_and_never_raise(values: list[bytes | None]) -> None:
    fold = RegistryFold()
    for offset, value in enumerate(values):
        outcome = fold.apply(LogRecord(offset, 0, None, value))
        assert isinstance(outcome, Void)
        assert outcome.kind == "unreadable"
    assert fold.streams == {}


@given(histories.filter(bool), st.data())
def test_an_event_cut_or_changed_anywhere_never_raises(intents: list[Intent], data: st.DataObject) -> None:
    writer = Writer().handle_all(intents)
    if not writer.records:
        return
    value = writer.records[data.draw(st.integers(0, len(writer.records) - 1))].value or b""
    fold = RegistryFold()
    offset = 0
    for position in data.draw(st.lists(st.integers(0, len(value) - 1), max_size=20)):
        for damaged in (value[:position], value[:position] + b"\x00" + value[position + 1 :]):
            fold.apply(LogRecord(offset, 0, None, damaged))
            offset += 1


@given(histories, histories)
def test_a_log_written_late_onto_another_is_void_where_streams_exist(mine: list[Intent], theirs: list[Intent]) -> None:
    """A writer that slept through all of my history appends what it decided without it."""
    log = Writer().handle_all(mine)
    states = {name: log.fold.state(name).copy() for name in MODELS}
    counted_before = log.fold.applied_count
    heads = {name: stream.head_digest for name, stream in log.fold.streams.items()}
    late = [record for record in Writer().handle_all(theirs).records if (record.key or b"").decode() in heads]
    if any(record.value in {own.value for own in log.records} for record in late):
        return  # both began alike: then the late one may even go on where mine ended
    for record in late:
        log.append_value(record.value, record.key)
    assert log.fold.applied_count == counted_before
    assert {name: log.fold.state(name) for name in MODELS} == states


@given(histories)
def test_replaying_the_whole_log_behind_itself_changes_nothing(intents: list[Intent]) -> None:
    writer = Writer().handle_all(intents)
    states = {name: writer.fold.state(name).copy() for name in MODELS}
    for record in tuple(writer.records):
        outcome = writer.fold.apply(LogRecord(writer.fold.next_offset, 0, record.key, record.value))
        assert not isinstance(outcome, Applied)
    assert {name: writer.fold.state(name) for name in MODELS} == states
