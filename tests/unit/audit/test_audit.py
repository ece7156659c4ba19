"""Audit by examples: legitimate losers pass, and each kind of damage is told and named."""

from collections.abc import Callable
from hashlib import sha256
from io import BytesIO

import msgspec
import pytest

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.audit.audit import export_log, verify_export, verify_log, verify_records
from hotswap_stream.application.audit.export import ExportDamagedError, ExportWriter, read_export
from hotswap_stream.application.audit.findings import AuditReport, Finding, StreamHead
from hotswap_stream.application.log.port import LogRecord
from tests.support.samples.registry import LogBuilder, archived, in_envelope, promoted, staged, trained, validated


def sample_log() -> LogBuilder:
    """Offsets 0 to 6: two streams, and at offset 3 the loser of a race for sequence 3 of `digits`."""
    log = LogBuilder()
    log.append(trained("v1")).append(trained("a"), subject="other")
    stale_head = log.head()
    log.append(validated("v1"))
    late = in_envelope(archived("v1"), sequence=2, previous=stale_head[1], causationid="late", id="loser")
    log.append_value(REGISTRY_CODEC.encode(late))
    log.append(promoted("v1")).append(trained("v2")).append(staged("v2"))
    return log


def first_of(records: list[LogRecord]) -> Finding:
    first = verify_records(records).first
    assert first is not None
    return first


def noticed(records: list[LogRecord]) -> list[tuple[str, int, str | None]]:
    """Damage, offset and event id of every notice of a log that passes."""
    report = verify_records(records)
    assert report.ok, report.findings
    return [(notice.damage, notice.offset, notice.event_id) for notice in report.notices]


def replaced(records: list[LogRecord], offset: int, old: bytes, new: bytes) -> list[LogRecord]:
    value = records[offset].value or b""
    assert value.count(old) == 1
    changed = msgspec.structs.replace(records[offset], value=value.replace(old, new))
    return [*records[:offset], changed, *records[offset + 1 :]]


def renumbered(records: list[LogRecord]) -> list[LogRecord]:
    return [msgspec.structs.replace(record, offset=offset) for offset, record in enumerate(records)]


def test_a_whole_log_passes_and_its_heads_are_told() -> None:
    log = sample_log()
    report = verify_records(log.records)
    assert report == AuditReport(
        records=7,
        applied=6,
        conflicts=1,
        heads={
            "digits": StreamHead(5, 6, log.head()[1]),
            "other": StreamHead(1, 1, log.head("other")[1]),
        },
    )
    assert report.ok


def test_an_empty_log_does_not_hold() -> None:
    """An audit of 0 records said that every stream's chain holds."""
    report = verify_records([])
    assert report.findings == ()
    assert not report.ok


class TestLegitimateVoids:
    def test_a_decision_of_two_events_that_came_second(self) -> None:
        log = LogBuilder().append(trained("v1"))
        head = log.head()[1]
        log.append(staged("v1"))
        first = REGISTRY_CODEC.encode(in_envelope(validated("v1"), sequence=2, previous=head, causationid="two"))
        second = in_envelope(archived("v1"), sequence=3, previous=digest_of(first), causationid="two")
        log.append_value(first).append_value(REGISTRY_CODEC.encode(second))
        log.append(promoted("v1"))
        report = verify_records(log.records)
        assert report.ok, report.findings
        assert report.conflicts == 2

    def test_two_that_began_the_same_model(self) -> None:
        log = LogBuilder().append(trained("v1"))
        log.append_value(REGISTRY_CODEC.encode(in_envelope(trained("v1"), causationid="second", id="second")))
        assert verify_records(log.records).ok

    def test_a_record_appended_twice(self) -> None:
        log = LogBuilder().append(trained("v1"))
        log.append_value(log.records[0].value)
        log.append(staged("v1"))
        log.append_value(log.records[0].value)
        assert verify_records(log.records).ok

    def test_events_of_a_newer_release(self) -> None:
        log = LogBuilder().append(trained("v1"))
        value = REGISTRY_CODEC.encode(in_envelope(staged("v1"), sequence=2, previous=log.head()[1]))
        value = value.replace(b"staged.v1", b"frozen.v1")
        log.append_value(value)
        log.append_value(REGISTRY_CODEC.encode(in_envelope(staged("v1"), sequence=3, previous=digest_of(value))))
        assert verify_records(log.records).ok


class TestDamage:
    def test_changed(self) -> None:
        first = first_of(replaced(sample_log().records, 2, b"0.97", b"0.98"))
        value = replaced(sample_log().records, 2, b"0.97", b"0.98")[2].value
        assert first == Finding(
            damage="changed",
            offset=2,
            stream="digits",
            sequence=2,
            event_id="event-digits-2",
            digest=digest_of(value or b""),
            detail="is not what event 3 at offset 4 (id event-digits-3) was written after",
        )
        assert str(first).startswith("offset 2, 'digits' event 2 (id event-digits-2): changed: is not what")

    @pytest.mark.parametrize(
        ("old", "new", "damage"),
        [
            (b'"sequence":3', b'"sequence":4', "changed"),
            (b'"sequence":3', b'"sequence":2', "changed"),
            (b'"sequence":3', b'"sequence":9', "changed"),
            (b'"previous":"', b'"previous":"0', "changed"),
            (b'"subject":"digits"', b'"subject":"Digits"', "changed"),
            (b'"specversion":"1.0"', b'"specversion":"1.1"', "unreadable"),
            (b'"model_version":"v1"', b'"model_version":"v7"', "contradiction"),
            (b"hotswap.model.promoted.v1", b"hotswap.model.promoted.v7", "changed"),
        ],
    )
    def test_whatever_is_changed_in_an_event_it_is_the_one_named(self, old: bytes, new: bytes, damage: str) -> None:
        report = verify_records(replaced(sample_log().records, 4, old, new))
        assert [(finding.damage, finding.offset) for finding in report.findings] == [(damage, 4)]

    def test_a_changed_loser(self) -> None:
        records = sample_log().records
        stale_head = digest_of(records[0].value or b"").encode()
        assert noticed(replaced(records, 3, stale_head, b"e" * 64)) == [("stray", 3, "loser")]

    def test_a_wrong_key(self) -> None:
        records = sample_log().records
        records[4] = msgspec.structs.replace(records[4], key=b"other")
        first = first_of(records)
        assert (first.damage, first.offset, first.stream) == ("changed", 4, "digits")
        assert "key" in first.detail

    def test_dropped(self) -> None:
        records = sample_log().records
        del records[4]
        first = first_of(records)
        assert (first.damage, first.offset, first.detail) == ("dropped", 4, "offset 4 is missing")

    def test_dropped_and_renumbered(self) -> None:
        records = sample_log().records
        del records[4]
        assert first_of(renumbered(records)) == Finding(
            damage="dropped",
            offset=4,
            stream="digits",
            sequence=3,
            digest=digest_of(records[4].value or b""),
            detail="event 3 is missing; event 4 (id event-digits-4) was written after them",
        )

    def test_several_dropped_and_renumbered(self) -> None:
        records = sample_log().records
        del records[2:6]
        first = first_of(renumbered(records))
        assert (first.sequence, first.detail[:25]) == (2, "events 2 to 4 are missing")

    def test_the_winner_dropped_so_that_the_loser_wins(self) -> None:
        records = sample_log().records
        del records[2]
        first = first_of(renumbered(records))
        assert (first.damage, first.offset, first.sequence, first.event_id) == ("changed", 2, 2, "loser")

    def test_a_log_that_does_not_begin_at_its_beginning(self) -> None:
        first = first_of(sample_log().records[2:])
        assert (first.damage, first.offset, first.detail) == ("dropped", 0, "offsets 0 to 1 are missing")

    def test_reordered(self) -> None:
        records = sample_log().records
        records[4], records[5] = records[5], records[4]
        first = first_of(records)
        assert (first.damage, first.offset, first.sequence) == ("reordered", 4, 3)

    def test_reordered_and_renumbered(self) -> None:
        records = sample_log().records
        records[4], records[5] = records[5], records[4]
        first = first_of(renumbered(records))
        assert (first.damage, first.offset, first.sequence) == ("reordered", 4, 4)
        assert "before the event it was written after, which is at offset 5" in first.detail

    def test_loser_and_winner_reordered_and_renumbered(self) -> None:
        records = sample_log().records
        records[2], records[3] = records[3], records[2]
        first = first_of(renumbered(records))
        assert (first.damage, first.offset, first.event_id) == ("reordered", 2, "loser")

    def test_a_record_twice_at_the_same_offset(self) -> None:
        records = sample_log().records
        first = first_of([*records[:3], records[2], *records[3:]])
        assert (first.damage, first.offset) == ("reordered", 3)

    @pytest.mark.parametrize("value", [None, b"", b"garbage"])
    def test_a_record_that_is_no_event(self, value: bytes | None) -> None:
        log = sample_log().append_value(value)
        log.append(promoted("v2", "v1"))
        assert noticed(log.records) == [("unreadable", 7, None)]

    def test_an_event_that_cannot_be_true(self) -> None:
        log = sample_log()
        forged = in_envelope(promoted("v2"), sequence=6, previous=log.head()[1], id="forged")
        log.append_value(REGISTRY_CODEC.encode(forged))
        log.append(promoted("v2", "v1"))
        assert noticed(log.records) == [("contradiction", 7, "forged")]

    def test_an_event_that_follows_nothing_there_is(self) -> None:
        log = sample_log()
        log.append_value(REGISTRY_CODEC.encode(in_envelope(staged("v1"), sequence=6, previous="e" * 64, id="odd")))
        log.append(promoted("v2", "v1"))
        assert noticed(log.records) == [("stray", 7, "odd")]

    def test_damage_in_one_stream_leaves_the_others_judged(self) -> None:
        log = sample_log()
        log.append(staged("a"), subject="other").append(promoted("a", forced=True), subject="other")
        records = replaced(replaced(log.records, 0, b"110248", b"110249"), 7, b"alice", b"malice")
        findings = verify_records(records).findings
        assert [(finding.offset, finding.stream) for finding in findings] == [(0, "digits"), (7, "other")]


class TestWhatTheLogCannotTell:
    """Nothing follows the end of a stream: a cut tail and a changed last event need heads noted down elsewhere."""

    @pytest.mark.parametrize(
        "damage",
        [
            lambda records: records[:-1],
            lambda records: replaced(records, 6, b"alice", b"malice"),
            lambda records: renumbered([record for record in records if record.key != b"other"]),
        ],
        ids=["tail cut off", "last event changed", "stream gone"],
    )
    def test_only_the_heads_show_it(self, damage: Callable[[list[LogRecord]], list[LogRecord]]) -> None:
        records = sample_log().records
        report = verify_records(damage(records))
        assert report.ok
        assert report.heads != verify_records(records).heads


def exported(records: list[LogRecord]) -> bytes:
    writer = ExportWriter()
    return b"".join([*map(writer.line, records), writer.last_line()])


class TestExport:
    def test_lines_are_readable(self) -> None:
        lines = exported(sample_log().records).splitlines()
        first = msgspec.json.decode(lines[0])
        assert list(first) == ["offset", "timestamp_ms", "key", "value", "sha256"]
        assert first["value"].encode() == sample_log().records[0].value
        assert msgspec.json.decode(lines[-1]).keys() == {"format", "records", "sha256"}

    def test_the_seals_can_be_checked_without_this_program(self) -> None:
        former = "0" * 64
        for line in exported(sample_log().records).splitlines():
            content, seal = line[:-77] + b"}", line[-66:-2].decode()
            assert msgspec.json.decode(line)["sha256"] == seal
            assert sha256(former.encode() + content).hexdigest() == seal
            former = seal

    def test_the_last_event_of_a_stream_is_covered_too(self) -> None:
        content = exported(sample_log().records)
        first = verify_export(BytesIO(content.replace(b"event-digits-5", b"event-digits-6"))).first
        assert first is not None
        assert (first.damage, first.offset, first.event_id) == ("changed", 6, "event-digits-6")

    def test_every_single_byte_is_covered(self) -> None:
        content = exported(LogBuilder().append(trained("v1")).append(staged("v1")).records)
        for position in range(len(content)):
            for by in (1, 128):
                damaged = bytearray(content)
                damaged[position] = (damaged[position] + by) % 256
                first = verify_export(BytesIO(damaged)).first
                assert first is not None, (position, by)
                assert first.offset == content[:position].count(b"\n")

    @pytest.mark.parametrize(
        ("old", "new", "damage", "offset", "detail"),
        [
            (b'{"offset":3,', b'{"offset":5,', "changed", 3, "its offset was changed to 5"),
            (b'{"offset":3,', b'{"offset":2,', "changed", 3, "its offset was changed to 2"),
            (b'{"offset":3,', b'{"offset": 3,', "changed", 3, "not as it was written"),
            (b'{"offset":3,', b'{"offset":3,"extra":1,', "changed", 3, "neither a record nor the last line"),
            (b'{"offset":3,', b'{"offset":"3",', "changed", 3, "neither a record nor the last line"),
            (b'"records":7', b'"records":8', "changed", 7, "last line"),
            (b'"records":7', b'"records":6', "changed", 7, "last line"),
            (b"registry-export.v1", b"registry-export.v2", "changed", 7, "last line"),
        ],
    )
    def test_what_is_told(self, old: bytes, new: bytes, damage: str, offset: int, detail: str) -> None:
        content = exported(sample_log().records)
        assert content.count(old) == 1
        first = verify_export(BytesIO(content.replace(old, new))).first
        assert first is not None
        assert (first.damage, first.offset) == (damage, offset)
        assert detail in first.detail

    def test_lines_behind_the_last_one(self) -> None:
        content = exported(sample_log().records)
        first = verify_export(BytesIO(content + b"\n")).first
        assert first is not None
        assert first.detail == "the last line stands before others"

    def test_not_utf8_is_kept_exactly(self) -> None:
        records = [LogRecord(0, 1, b"\xff", b"\x00\xfe"), LogRecord(1, 2, None, None), LogRecord(2, 3, b"", b"")]
        content = exported(records)
        assert list(read_export(BytesIO(content))) == records
        assert b'"key_base64":"/w==","value_base64":"AP4="' in content

    def test_a_text_may_not_hide_behind_base64(self) -> None:
        record = sample_log().records[0]
        writer = ExportWriter()
        line = writer.line(record)
        hidden = line.replace(b'"key":"digits"', b'"key_base64":"ZGlnaXRz"')
        with pytest.raises(ExportDamagedError):
            list(read_export(BytesIO(hidden)))

    def test_a_line_no_record_needs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hotswap_stream.application.audit.export.LINE_BYTES_MAX", 100)
        with pytest.raises(ExportDamagedError, match="more than 100 bytes"):
            list(read_export(BytesIO(exported(sample_log().records))))

    def test_an_empty_file(self) -> None:
        first = verify_export(BytesIO(b"")).first
        assert first is not None
        assert (first.damage, first.offset) == ("cut-off", 0)

    def test_damage_a_forger_sealed_again_is_found_by_the_chain(self) -> None:
        content = exported(replaced(sample_log().records, 4, b"alice", b"malice"))
        first = verify_export(BytesIO(content)).first
        assert first is not None
        assert (first.damage, first.offset, first.sequence) == ("changed", 4, 3)


async def test_a_log_is_verified_and_exported_to_its_end() -> None:
    shared = MemoryRegistry(SystemClock())
    log = MemoryRegistryLog(shared)
    await log.start()
    for record in sample_log().records:
        await log.append(record.key or b"", [record.value or b""])
    assert (await verify_log(log)).ok
    file = BytesIO()
    writer = await export_log(log, file)
    assert writer.records == 7
    last_line = f'{{"format":"hotswap.registry-export.v1","records":7,"sha256":"{writer.sha256}"}}\n'
    assert file.getvalue().endswith(last_line.encode())
    file.seek(0)
    assert verify_export(file) == await verify_log(log)


class TestOffsetsWithoutRecords:
    """Transactions leave offsets that hold no record for anybody."""

    @staticmethod
    def moved(records: list[LogRecord], by: int) -> list[LogRecord]:
        return [msgspec.structs.replace(record, offset=record.offset + by) for record in records]

    def exported(self, gap: range) -> bytes:
        records = sample_log().records
        writer = ExportWriter()
        lines = [writer.line(record) for record in records[: gap.start]]
        lines += [writer.passed(gap)]
        lines += [writer.line(record) for record in self.moved(records[gap.start :], len(gap))]
        return b"".join([*lines, writer.last_line()])

    def test_an_export_tells_of_them(self) -> None:
        report = verify_export(BytesIO(self.exported(range(3, 5))))
        assert report.ok, report.findings
        assert report.records == 7

    def test_an_export_whose_gap_was_widened_is_damaged(self) -> None:
        forged = self.exported(range(3, 5)).replace(b'"to":5', b'"to":6')
        first = verify_export(BytesIO(forged)).first
        assert first is not None
        assert (first.damage, first.offset) == ("changed", 3)

    def test_a_gap_that_nobody_explained_is_a_dropped_record(self) -> None:
        records = sample_log().records
        first = first_of([*records[:3], *self.moved(records[3:], 1)])
        assert (first.damage, first.offset) == ("dropped", 3)
