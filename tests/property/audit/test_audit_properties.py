"""Audit of logs as several writers leave them: whole ones pass, and damage is found and named wherever it is."""

import json
from collections.abc import Sequence
from io import BytesIO

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.envelope import Envelope
from hotswap_stream.application.audit.audit import verify_export, verify_records
from hotswap_stream.application.audit.export import ExportWriter, read_export
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.fold import Applied, RegistryFold
from tests.support.histories.histories import MODELS, contended_logs
from tests.support.samples.registry import in_envelope, staged


def counted_events(records: Sequence[LogRecord]) -> list[tuple[int, Envelope]]:
    """Offset and event of every record that counts."""
    fold = RegistryFold()
    outcomes = [(record.offset, fold.apply(record)) for record in records]
    return [(offset, outcome.event) for offset, outcome in outcomes if isinstance(outcome, Applied)]


def covered_offsets(records: Sequence[LogRecord], *, successors: int = 1) -> list[int]:
    """Offsets of the events that count and have that many successors that count: what the chain itself protects."""
    streams: dict[str, list[int]] = {}
    for offset, event in counted_events(records):
        streams.setdefault(event.subject, []).append(offset)
    return [offset for offsets in streams.values() for offset in offsets[:-successors]]


def renumbered(records: Sequence[LogRecord]) -> list[LogRecord]:
    """As a forger would leave them: no gap in the offsets."""
    return [msgspec.structs.replace(record, offset=offset) for offset, record in enumerate(records)]


def changed(value: bytes, position: int, by: int) -> bytes:
    position %= len(value)
    return value[:position] + bytes([(value[position] + by) % 256]) + value[position + 1 :]


def exported(records: Sequence[LogRecord]) -> bytes:
    writer = ExportWriter()
    return b"".join([*map(writer.line, records), writer.last_line()])


@given(contended_logs)
def test_what_writers_wrote_passes(records: list[LogRecord]) -> None:
    report = verify_records(records)
    assert (report.findings, report.notices) == ((), ())
    assert report.ok == bool(records)
    fold = RegistryFold()
    for record in records:
        fold.apply(record)
    assert (report.records, report.applied, report.conflicts) == (len(records), fold.applied_count, fold.void_count)
    assert {name: head.digest for name, head in report.heads.items()} == {
        name: stream.head_digest for name, stream in fold.streams.items()
    }


@given(contended_logs, st.data())
def test_any_changed_byte_of_a_covered_event_is_named(records: list[LogRecord], data: st.DataObject) -> None:
    covered = covered_offsets(records, successors=2)
    assume(covered)
    offset = data.draw(st.sampled_from(covered))
    value = records[offset].value or b""
    damaged = changed(value, data.draw(st.integers(0, len(value) - 1)), data.draw(st.integers(1, 255)))
    records[offset] = msgspec.structs.replace(records[offset], value=damaged)
    found = {finding.offset for finding in verify_records(records).findings}
    assert offset in found, (found, damaged)


@given(contended_logs, st.data())
def test_a_dropped_event_is_named_even_if_the_offsets_are_made_up(
    records: list[LogRecord], data: st.DataObject
) -> None:
    covered = covered_offsets(records, successors=2)
    assume(covered)
    offset = data.draw(st.sampled_from(covered))
    event = REGISTRY_CODEC.decode(records[offset].value)
    assert isinstance(event, Envelope)
    left = [record for record in records if record.offset != offset]
    first = verify_records(left).first
    assert first is not None
    assert (first.damage, first.offset) == ("dropped", offset)
    # All that may have done it are named, and one of those that lost may stand before the place that was emptied.
    forged = verify_records(renumbered(left)).findings
    assert (event.subject, event.sequence) in {(finding.stream, finding.sequence) for finding in forged}, forged


@given(contended_logs, st.data())
def test_two_swapped_events_of_a_stream_are_named_even_if_the_offsets_are_made_up(
    records: list[LogRecord], data: st.DataObject
) -> None:
    events = counted_events(records)
    assume(events)
    subject = data.draw(st.sampled_from(sorted({event.subject for _, event in events})))
    offsets = [offset for offset, event in events if event.subject == subject]
    assume(len(offsets) > 1)
    one, other = sorted(data.draw(st.lists(st.sampled_from(offsets), min_size=2, max_size=2, unique=True)))
    records[one], records[other] = records[other], records[one]
    first = verify_records(records).first
    assert first is not None
    assert (first.damage, first.offset) == ("reordered", one)
    forged = verify_records(renumbered(records)).first
    assert forged is not None
    assert forged.damage in ("reordered", "dropped")
    assert forged.offset == one, forged


@given(contended_logs, st.data())
def test_any_record_made_into_anything_never_raises(records: list[LogRecord], data: st.DataObject) -> None:
    assume(records)
    offset = data.draw(st.integers(0, len(records) - 1))
    value = data.draw(st.none() | st.binary(max_size=50))
    key = data.draw(st.none() | st.binary(max_size=5))
    records[offset] = LogRecord(offset, 0, key, value)
    report = verify_records(records)
    assert min(finding.offset for finding in (*report.findings, *report.notices)) <= offset


forgeries = st.builds(
    in_envelope,
    st.just(staged("v1")),
    subject=st.sampled_from(MODELS),
    sequence=st.integers(1, 40),
    previous=st.binary(min_size=32, max_size=32).filter(any).map(bytes.hex),
    id=st.just("forged"),
)
"""Events that name a former event that is not there, as anybody can write."""


def between_decisions(records: Sequence[LogRecord]) -> list[int]:
    """Where a record can come in: a decision is one batch."""
    events = [REGISTRY_CODEC.decode(record.value) for record in records]
    causes = [event.causationid if isinstance(event, Envelope) else None for event in events]
    inside = {at for at in range(1, len(records)) if causes[at] == causes[at - 1]}
    return [at for at in range(len(records) + 1) if at not in inside]


@given(contended_logs, forgeries, st.data())
def test_a_forged_event_fails_nothing_once_the_stream_goes_on(
    records: list[LogRecord], forgery: Envelope, data: st.DataObject
) -> None:
    offset = data.draw(st.sampled_from(between_decisions(records)))
    forged = LogRecord(offset, 0, forgery.subject.encode(), REGISTRY_CODEC.encode(forgery))
    records = renumbered([*records[:offset], forged, *records[offset:]])
    goes_on = any(at > offset and event.subject == forgery.subject for at, event in counted_events(records))
    report = verify_records(records)
    if goes_on:
        assert report.ok, report.findings
    assert {"forged"} >= {found.event_id for found in report.notices}
    assert len(report.findings) + len(report.notices) == 1


@given(contended_logs, forgeries, st.data())
def test_a_forged_event_hides_no_changed_byte(records: list[LogRecord], forgery: Envelope, data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(between_decisions(records)))
    forged = LogRecord(at, 0, forgery.subject.encode(), REGISTRY_CODEC.encode(forgery))
    records = renumbered([*records[:at], forged, *records[at:]])
    covered = covered_offsets(records, successors=2)
    assume(covered)
    offset = data.draw(st.sampled_from(covered))
    value = records[offset].value or b""
    damaged = changed(value, data.draw(st.integers(0, len(value) - 1)), data.draw(st.integers(1, 255)))
    records[offset] = msgspec.structs.replace(records[offset], value=damaged)
    found = {finding.offset for finding in verify_records(records).findings}
    assert offset in found, (found, damaged)


@given(contended_logs)
def test_an_export_reads_back_and_passes(records: list[LogRecord]) -> None:
    content = exported(records)
    assert list(read_export(BytesIO(content))) == records
    found = verify_export(BytesIO(content))
    assert replace(found, seal=None) == verify_records(records)
    assert found.seal == json.loads(content.splitlines()[-1])["sha256"]


@given(
    st.lists(
        st.tuples(st.integers(-(2**60), 2**60), st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=60))
    )
)
def test_any_bytes_survive_an_export(contents: list[tuple[int, bytes | None, bytes | None]]) -> None:
    records = [LogRecord(offset, *content) for offset, content in enumerate(contents)]
    assert list(read_export(BytesIO(exported(records)))) == records


@given(contended_logs, st.integers(0), st.integers(1, 255))
def test_any_changed_byte_of_an_export_is_noticed_and_its_line_named(
    records: list[LogRecord], position: int, by: int
) -> None:
    content = exported(records)
    position %= len(content)
    first = verify_export(BytesIO(changed(content, position, by))).first
    assert first is not None
    assert first.offset == content[:position].count(b"\n"), first


@given(contended_logs, st.data())
def test_a_dropped_line_is_named(records: list[LogRecord], data: st.DataObject) -> None:
    lines = exported(records).splitlines(keepends=True)
    dropped = data.draw(st.integers(0, len(lines) - 1))
    first = verify_export(BytesIO(b"".join(lines[:dropped] + lines[dropped + 1 :]))).first
    assert first is not None
    assert first.offset == dropped
    assert first.damage == ("dropped" if dropped < len(records) else "cut-off")


@given(contended_logs, st.data())
def test_two_swapped_lines_are_named(records: list[LogRecord], data: st.DataObject) -> None:
    lines = exported(records).splitlines(keepends=True)
    assume(len(lines) > 1)
    one, other = sorted(data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True)))
    lines[one], lines[other] = lines[other], lines[one]
    first = verify_export(BytesIO(b"".join(lines))).first
    assert first is not None
    assert (first.damage, first.offset) == ("reordered", one), first


@given(contended_logs, st.integers(0))
def test_an_export_cut_anywhere_is_noticed(records: list[LogRecord], position: int) -> None:
    content = exported(records)
    cut = content[: position % len(content)]
    first = verify_export(BytesIO(cut)).first
    assert first is not None
    assert first.offset == cut.count(b"\n")


@given(st.binary(max_size=200))
def test_no_file_that_is_not_an_export_passes(content: bytes) -> None:
    assert not verify_export(BytesIO(content)).ok
