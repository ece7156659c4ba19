"""What is left of records in hand when a process ends, and what the next one makes of it."""

import asyncio
from pathlib import Path

import pytest

from hotswap_stream.agents.progress.marks import DEATHS_MAX, FAILURES_MAX, ReadingMarks
from hotswap_stream.agents.record_care import RecordCare
from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.errors import LogUnavailableError
from tests.support.stages.agent_in_memory import TOPICS, KeepingPublisher, command_record


def opened(folder: Path) -> ReadingMarks:
    marks = ReadingMarks(folder / "home" / "agents" / "1.reading")
    marks.open()
    return marks


async def die_with(folder: Path, *records: InboundRecord) -> None:
    """A process that ends while these are in hand: nobody is told of anything."""
    marks = opened(folder)
    for record in records[:1] if marks.careful else records:
        await marks.in_hand(record).__aenter__()


async def test_a_record_that_was_in_hand_at_two_deaths_is_not_handled_again(tmp_path: Path) -> None:
    record = command_record(b"deadly", offset=7)
    for deaths in range(DEATHS_MAX):
        suspect = opened(tmp_path).suspect(record)
        assert (0 if suspect is None else suspect.deaths) == deaths
        await die_with(tmp_path, record)
    marks, publisher = opened(tmp_path), KeepingPublisher()
    handled: list[int] = []

    async def handle(each: InboundRecord) -> None:
        handled.append(each.offset)

    care = RecordCare(publisher, TOPICS, marks=marks).of(handle)
    await care(command_record(b"before", offset=6))
    await care(record)
    await care(command_record(b"behind", offset=8))
    assert handled == [6, 8]
    assert len(publisher.on(TOPICS.dead_letters)) == 1
    assert not marks.careful
    marks.close()
    assert opened(tmp_path).suspect(record) is None


async def test_of_several_in_hand_only_the_deadly_one_is_put_aside(tmp_path: Path) -> None:
    """After the first death they are handled one at a time, so that the second one names one of them."""
    deadly, innocent = command_record(b"deadly", offset=3), command_record(b"innocent", offset=4)
    await die_with(tmp_path, innocent, deadly)
    await die_with(tmp_path, deadly, innocent)
    marks = opened(tmp_path)
    found = marks.suspect(deadly), marks.suspect(innocent)
    assert [suspect is not None and suspect.quarantined for suspect in found] == [True, False]


async def test_one_at_a_time_means_one_at_a_time(tmp_path: Path) -> None:
    first, second = command_record(b"1", offset=1), command_record(b"2", offset=2)
    await die_with(tmp_path, first)
    marks, order = opened(tmp_path), list[str]()

    async def handle(record: InboundRecord) -> None:
        async with marks.in_hand(record):
            order.append(f"{record.offset} begins")
            await asyncio.sleep(0)
            order.append(f"{record.offset} ends")

    await asyncio.gather(handle(first), handle(second))
    assert order == ["1 begins", "1 ends", "2 begins", "2 ends"]


async def test_an_outage_puts_nothing_aside_soon(tmp_path: Path) -> None:
    record = command_record(b"unlucky")

    async def handle(_record: InboundRecord) -> None:
        raise LogUnavailableError("Kafka is away")

    for failures in range(FAILURES_MAX):
        marks = opened(tmp_path)
        suspect = marks.suspect(record)
        assert suspect is None or (suspect.failures, suspect.quarantined) == (failures, False)
        with pytest.raises(LogUnavailableError):
            await RecordCare(KeepingPublisher(), TOPICS, marks=marks).of(handle)(record)
        marks.close()
    suspect = opened(tmp_path).suspect(record)
    assert suspect is not None
    assert suspect.quarantined


async def test_a_stop_is_held_against_no_record(tmp_path: Path) -> None:
    record, marks = command_record(b"slow"), opened(tmp_path)

    async def handle() -> None:
        async with marks.in_hand(record):
            await asyncio.Event().wait()

    task = asyncio.create_task(handle())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    marks.close()
    assert opened(tmp_path).suspect(record) is None


async def test_without_a_folder_records_are_handled_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    marks, record = opened(tmp_path), command_record(b"x")
    async with marks.in_hand(record):
        assert marks.suspect(record) is None


async def test_files_that_somebody_damaged_are_begun_anew(tmp_path: Path) -> None:
    await die_with(tmp_path, command_record(b"x"))
    opened(tmp_path)
    for file in (tmp_path / "home" / "agents").iterdir():
        file.write_bytes(b"\x01\xff" * 2_000)
    marks = opened(tmp_path)
    async with marks.in_hand(command_record(b"x")):
        pass
