"""What others wrote into the log: told of, but no failure, and it hides nothing; and what somebody knows of."""

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import msgspec
import pytest

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_events.log_stream import LOG_STREAM, LogBegun
from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.audit.audit import (
    NothingFoundError,
    acknowledge,
    export_log,
    verify_export,
    verify_log,
    verify_records,
)
from hotswap_stream.application.audit.findings import Finding
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.registry import Registry
from tests.support.samples.registry import MODEL, LogBuilder, archived, in_envelope, promoted, register, staged, trained


def forged(sequence: int, previous: str = "e" * 64, **attributes: str) -> bytes:
    return REGISTRY_CODEC.encode(in_envelope(staged("v1"), sequence=sequence, previous=previous, **attributes))


def places(findings: tuple[Finding, ...]) -> list[tuple[str, int]]:
    return [(finding.damage, finding.offset) for finding in findings]


def by_malice(records: list[LogRecord], offset: int) -> list[LogRecord]:
    value = (records[offset].value or b"").replace(b'"actor":"alice"', b'"actor":"malice"')
    return [*records[:offset], msgspec.structs.replace(records[offset], value=value), *records[offset + 1 :]]


@pytest.mark.parametrize("sequence", [1, 2, 3, 4, 9])
def test_a_changed_actor_is_found_behind_a_forged_event(sequence: int) -> None:
    """One forged event failed every audit for ever, and nothing behind it in its stream was judged any more."""
    log = LogBuilder().append(trained("v1")).append(trained("v2")).append_value(forged(sequence))
    log.append(promoted("v1", forced=True)).append(staged("v2")).append(archived("v2"))
    report = verify_records(log.records)
    assert report.ok, report.findings
    assert places(report.notices) == [("stray", 2)]
    assert places(verify_records(by_malice(log.records, 4)).findings) == [("changed", 4)]


@pytest.mark.parametrize("names_it", [False, True], ids=["made up", "written after it"])
def test_a_changed_event_that_two_raced_to_follow_is_named_behind_a_forged_one(names_it: bool) -> None:
    """Two that were written after the same event show it more surely than one; that hid it."""
    log = LogBuilder().append(trained("v1")).append(trained("v2"))
    head = log.head()[1]
    log.append_value(forged(1, head if names_it else "e" * 64, id="forged"))
    log.append(promoted("v1", forced=True))
    log.append_value(forged(3, head, id="loser", causationid="race")).append(staged("v2"))
    assert verify_records(log.records).ok
    assert ("changed", 1) in places(verify_records(by_malice(log.records, 1)).findings)


def test_a_changed_link_is_named_behind_a_forged_event() -> None:
    """Only the event before it was named, as if that one had been changed."""
    log = LogBuilder().append(trained("v1")).append(trained("v2")).append_value(forged(1))
    log.append(staged("v2")).append(archived("v1")).append(trained("v3"))
    value = log.records[3].value or b""
    at = value.index(b'"previous":"') + len(b'"previous":"')
    changed = value[:at] + (b"0" if value[at : at + 1] != b"0" else b"1") + value[at + 1 :]
    records = [*log.records[:3], msgspec.structs.replace(log.records[3], value=changed), *log.records[4:]]
    assert places(verify_records(records).findings) == [("changed", 1), ("changed", 2), ("changed", 3)]


def test_a_forged_event_at_the_end_fails_until_the_stream_goes_on() -> None:
    """It cannot be told from the last event of a stream whose former one was changed."""
    log = LogBuilder().append(trained("v1")).append(trained("v2")).append_value(forged(3))
    assert places(verify_records(log.records).findings) == [("changed", 1)]
    log.append(staged("v1"))
    assert verify_records(log.records).ok


def test_events_written_after_one_another_are_no_strays() -> None:
    log = LogBuilder().append(trained("v1"))
    one = forged(5)
    log.append_value(one).append_value(forged(6, digest_of(one))).append(staged("v1")).append(archived("v1"))
    assert places(verify_records(log.records).findings) == [("dropped", 1)]


def test_an_event_that_stands_before_its_former_one_is_no_stray() -> None:
    log = LogBuilder().append(trained("v1")).append(trained("v2")).append(staged("v2"))
    one, two, three = log.records
    records = [msgspec.structs.replace(record, offset=at) for at, record in enumerate((one, three, two))]
    assert places(verify_records(records).findings) == [("reordered", 1)]


def test_a_gap_in_the_offsets_is_found_and_what_is_behind_it_judged() -> None:
    """A transaction's marker leaves one: it stopped the audit there."""
    log = LogBuilder().append(trained("v1"))
    log.append_value(b"a marker").append(trained("v2")).append(staged("v1")).append(archived("v1"))
    records = [record for record in log.records if record.offset != 1]
    assert places(verify_records(records).findings) == [("dropped", 1)]
    tampered = by_malice(records, 1)
    assert places(verify_records(tampered).findings) == [("dropped", 1), ("changed", 2)]


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    started = Registry(log, clock=SystemClock(), ids=RandomIds(), source="/test", begins_log=True)
    await started.start()
    yield started
    await started.stop()


async def known(registry: Registry, offset: int, digest: str, **fields: str) -> None:
    names: dict[str, Any] = {"actor": "bob", "reason": "a test", "command_id": f"{offset}", **fields}
    await acknowledge(registry, offset=offset, digest=digest, **names)


async def test_a_finding_that_is_acknowledged_fails_no_more(registry: Registry) -> None:
    assert (await registry.handle(register("v1"))).offset == 1
    value = forged(7)
    await registry.log.append(MODEL.encode(), [value, forged(8, digest_of(value))])
    (finding,) = (await verify_log(registry.log)).findings
    assert (finding.offset, finding.digest) == (2, digest_of(value))
    with pytest.raises(NothingFoundError, match="it does at 2"):
        await known(registry, 1, digest_of(value))
    for digest in ("f" * 64, digest_of(value)[:11], "", "none"):
        with pytest.raises(NothingFoundError, match="has the digest"):
            await known(registry, 2, digest)
    await known(registry, 2, digest_of(value)[:12])
    report = await verify_log(registry.log)
    assert report.ok, report.findings
    (acknowledged,) = report.acknowledged
    assert (acknowledged.finding, acknowledged.actor, acknowledged.reason) == (finding, "bob", "a test")
    end = await registry.log.end_offset()
    await known(registry, 2, digest_of(value))
    assert await registry.log.end_offset() == end, "known already"
    assert (await registry.handle(register("v2"))).status == "accepted"


async def test_another_record_in_the_place_of_an_acknowledged_one_fails(registry: Registry) -> None:
    value = forged(7)
    await registry.log.append(MODEL.encode(), [value, forged(8, digest_of(value))])
    await known(registry, 1, digest_of(value))
    records = [record async for page in registry.log.read(0, 9) for record in page]
    assert verify_records(records).ok
    assert not verify_records(by_malice(records, 1)).ok


async def test_a_notice_can_be_acknowledged(registry: Registry) -> None:
    await registry.log.append(MODEL.encode(), [b"garbage"])
    (notice,) = (await verify_log(registry.log)).notices
    await known(registry, 1, notice.digest or "")
    report = await verify_log(registry.log)
    assert (report.notices, len(report.acknowledged)) == ((), 1)


async def test_the_log_s_own_stream_is_audited_too(registry: Registry) -> None:
    begun = in_envelope(LogBegun(log_id="late"), subject=LOG_STREAM)
    await registry.log.append(LOG_STREAM.encode(), [REGISTRY_CODEC.encode(begun)])
    await registry.log.append(MODEL.encode(), [b"garbage"])
    await known(registry, 2, digest_of(b"garbage"))
    report = await verify_log(registry.log)
    assert (report.ok, report.conflicts, report.heads[LOG_STREAM].sequence) == (True, 1, 2)
    assert registry.fold.log.begun is not None
    assert registry.fold.log.begun.log_id != "late"
    assert registry.fold.streams == {}
    records = [record async for page in registry.log.read(0, 9) for record in page]
    value = (records[0].value or b"").replace(b"/test", b"/tost", 1)
    assert places(verify_records([msgspec.structs.replace(records[0], value=value), *records[1:]]).findings) == [
        ("changed", 0)
    ]


async def test_an_export_tells_the_same(registry: Registry) -> None:
    value = forged(7)
    await registry.log.append(MODEL.encode(), [value, forged(8, digest_of(value))])
    await registry.log.append(b"other", [b"garbage"])
    await known(registry, 1, digest_of(value))
    file = BytesIO()
    await export_log(registry.log, file)
    report = verify_export(BytesIO(file.getvalue()))
    assert (report.ok, len(report.notices), len(report.acknowledged)) == (True, 1, 1)
    assert report == await verify_log(registry.log)
