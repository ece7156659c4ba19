"""What every registry log must do, run against memory and against a real Kafka."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from time import monotonic, time

import pytest

from hotswap_stream.application.log.port import LogRecord, RegistryLog
from hotswap_stream.errors import DecisionTooLargeError, LogUnavailableError
from tests.support.stages.registry_logs import OpenLog, kafka_log, memory_log

DEADLINE_SECONDS = 60.0
NewLog = Callable[[], Awaitable[RegistryLog]]
"""Another process's access to the same log, started; stopped when the test ends."""


@pytest.fixture(params=["memory", "kafka"])
async def open_log(request: pytest.FixtureRequest, topic_prefix: str) -> OpenLog:
    if request.param == "memory":
        return memory_log()
    return await kafka_log(request.getfixturevalue("kafka"), topic_prefix)


@pytest.fixture
async def new_log(open_log: OpenLog) -> AsyncIterator[NewLog]:
    started: list[RegistryLog] = []

    async def start_one() -> RegistryLog:
        log = open_log()
        await log.start()
        started.append(log)
        return log

    yield start_one
    for log in started:
        await log.stop()


async def read(log: RegistryLog, start: int = 0, end: int = 1_000_000) -> list[LogRecord]:
    pages = [page async for page in log.read(start, end)]
    assert all(pages), "an empty page"
    return [record for page in pages for record in page]


async def follow(log: RegistryLog, start: int, count: int) -> list[LogRecord]:
    """The first `count` records from `start` on."""
    records: list[LogRecord] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        async with aclosing(log.follow(start)) as pages:  # type: ignore[type-var]
            async for page in pages:
                records.extend(page.records)
                assert page.next_offset == records[-1].offset + 1
                if len(records) >= count:
                    break
    return records[:count]


async def test_what_is_appended_reads_back(new_log: NewLog) -> None:
    log = await new_log()
    before_ms = int(time() * 1000)
    assert await log.end_offset() == 0
    assert await log.append(b"digits", [b"one"]) == 0
    assert await log.append(b"other", [b"two", b"\x00\xff"]) == 1
    assert await log.end_offset() == 3
    records = await read(log)
    assert [(record.offset, record.key, record.value) for record in records] == [
        (0, b"digits", b"one"),
        (1, b"other", b"two"),
        (2, b"other", b"\x00\xff"),
    ]
    timestamps = [record.timestamp_ms for record in records]
    assert timestamps == sorted(timestamps)
    assert before_ms - 1_000 <= timestamps[0] <= timestamps[-1] <= time() * 1000 + 1_000


async def test_another_process_reads_the_same(new_log: NewLog) -> None:
    one, other = await new_log(), await new_log()
    await one.append(b"digits", [b"one", b"two"])
    await other.append(b"digits", [b"three"])
    assert await read(one) == await read(other) == await read(await new_log())


async def test_a_batch_is_contiguous_whoever_else_appends(new_log: NewLog) -> None:
    logs = [await new_log(), await new_log()]

    async def write(writer: int, log: RegistryLog) -> dict[int, list[bytes]]:
        batches: dict[int, list[bytes]] = {}
        for number in range(20):
            values = [f"{writer}/{number}/{part}".encode() for part in range(3)]
            batches[await log.append(b"digits", values)] = values
        return batches

    written: dict[int, list[bytes]] = {}
    for batches in await asyncio.gather(*(write(writer, log) for writer, log in enumerate(logs) for _ in range(2))):
        assert written.keys().isdisjoint(batches)
        written.update(batches)
    values = [record.value for record in await read(logs[0])]
    assert len(values) == 2 * 2 * 20 * 3
    for first_offset, expected in written.items():
        assert values[first_offset : first_offset + 3] == expected


async def test_appends_at_once_on_one_log_all_get_their_own_offsets(new_log: NewLog) -> None:
    log = await new_log()
    offsets = await asyncio.gather(*(log.append(b"m", [str(number).encode()]) for number in range(50)))
    assert sorted(offsets) == list(range(50))
    values = [record.value for record in await read(log)]
    assert [values[offset] for offset in offsets] == [str(number).encode() for number in range(50)]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 5, [0, 1, 2, 3, 4]), (3, 5, [3, 4]), (1, 3, [1, 2]), (0, 99, [0, 1, 2, 3, 4]), (5, 99, []), (99, 999, [])],
)
async def test_replay_from_any_offset_to_any(new_log: NewLog, start: int, end: int, expected: list[int]) -> None:
    log = await new_log()
    await log.append(b"m", [str(number).encode() for number in range(5)])
    assert [record.offset for record in await read(log, start, end)] == expected


async def test_replay_of_nothing(new_log: NewLog) -> None:
    log = await new_log()
    assert await read(log) == []
    await log.append(b"m", [b"one"])
    assert await read(log, 1, 1) == []
    assert await read(log, 1, 0) == []
    assert await read(log, -5, 0) == []


async def test_replays_may_overlap(new_log: NewLog) -> None:
    log = await new_log()
    for number in range(30):
        await log.append(b"m", [str(number).encode()] * 20)
    everything = await read(log)
    assert [record.offset for record in everything] == list(range(600))
    at_once = await asyncio.gather(*(read(log, start, 600) for start in (0, 100, 599)))
    assert at_once == [everything, everything[100:], everything[599:]]


async def test_as_of_a_time(new_log: NewLog) -> None:
    log = await new_log()
    assert await log.offset_at(0) == 0
    await log.append(b"m", [b"one"])
    deadline = monotonic() + DEADLINE_SECONDS
    while True:  # until the log's clock has moved on by a millisecond
        await log.append(b"m", [b"more"])
        records = await read(log)
        timestamps = [record.timestamp_ms for record in records]
        if timestamps[-1] > timestamps[0] or monotonic() > deadline:
            break
    for timestamp_ms in {timestamps[0] - 1, *timestamps}:
        expected = sum(stamp <= timestamp_ms for stamp in timestamps)
        assert await log.offset_at(timestamp_ms) == expected
    assert await log.offset_at(-1_000) == 0
    assert await log.offset_at(0) == 0
    assert await log.offset_at(timestamps[-1] + 1_000_000) == len(records)


async def test_follow_goes_on_from_the_past_into_the_future(new_log: NewLog) -> None:
    writer, reader = await new_log(), await new_log()
    await writer.append(b"m", [b"0", b"1", b"2"])
    following = [asyncio.create_task(follow(log, 1, 4)) for log in (writer, reader)]
    for number in range(3, 5):
        await writer.append(b"m", [str(number).encode()])
    for task in following:
        assert [(record.offset, record.value) for record in await task] == [(1, b"1"), (2, b"2"), (3, b"3"), (4, b"4")]


async def test_follow_from_the_end_waits_for_what_comes(new_log: NewLog) -> None:
    log = await new_log()
    await log.append(b"m", [b"past"])
    following = asyncio.create_task(follow(log, await log.end_offset(), 1))
    await log.append(b"m", [b"future"])
    assert [record.value for record in await following] == [b"future"]


async def test_stop_ends_follow(new_log: NewLog) -> None:
    log = await new_log()
    await log.append(b"m", [b"one"])
    seen: list[LogRecord] = []
    saw_one = asyncio.Event()

    async def follow_for_ever() -> None:
        async for page in log.follow(0):
            seen.extend(page.records)
            saw_one.set()

    following = asyncio.create_task(follow_for_ever())
    async with asyncio.timeout(DEADLINE_SECONDS):
        await saw_one.wait()
        await log.stop()
        await following
    assert len(seen) == 1


async def test_a_follower_can_leave_at_any_moment(new_log: NewLog) -> None:
    log = await new_log()
    for number in range(20):
        waiting = asyncio.create_task(follow(log, 0, 1))
        await asyncio.sleep(number / 1_000)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    gc.collect()  # a connection left open is reported here
    assert await log.append(b"m", [b"one"]) == 0


@pytest.mark.parametrize("values", [[b"x" * 1_100_000], [b"x" * 400_000] * 3], ids=["one event", "several"])
async def test_a_decision_that_fits_no_batch_is_not_written_at_all(new_log: NewLog, values: Sequence[bytes]) -> None:
    log = await new_log()
    with pytest.raises(DecisionTooLargeError, match="bytes"):
        await log.append(b"m", values)
    assert await log.end_offset() == 0
    assert await log.append(b"m", [b"x" * 900_000]) == 0
    assert await log.append(b"m", [b"small"]) == 1


async def _every_use(log: RegistryLog) -> None:
    for use in (
        log.append(b"m", [b"one"]),
        log.end_offset(),
        log.offset_at(0),
        read(log),
        follow(log, 0, 1),
    ):
        with pytest.raises(LogUnavailableError):
            await use


async def test_use_before_start(open_log: OpenLog) -> None:
    await _every_use(open_log())


async def test_use_after_stop(new_log: NewLog) -> None:
    log = await new_log()
    await log.append(b"m", [b"one"])
    await log.stop()
    await _every_use(log)


async def test_a_stopped_log_can_be_stopped_again_and_started_again(new_log: NewLog) -> None:
    log = await new_log()
    await log.append(b"m", [b"one"])
    await log.stop()
    await log.stop()
    await log.start()
    assert await log.append(b"m", [b"two"]) == 1
    assert [record.value for record in await read(log)] == [b"one", b"two"]
    assert [record.value for record in await follow(log, 0, 2)] == [b"one", b"two"]


async def test_a_reader_reads_in_an_event_loop_of_its_own(new_log: NewLog) -> None:
    log = await new_log()
    await log.append(b"m", [b"one", b"two"])
    reader = log.reader()

    async def read_elsewhere() -> tuple[list[bytes | None], int]:
        await reader.start()
        try:
            with pytest.raises(LogUnavailableError, match="only reads"):
                await reader.append(b"m", [b"three"])
            return [record.value for record in await read(reader)], await reader.end_offset()
        finally:
            await reader.stop()

    assert await asyncio.to_thread(asyncio.run, read_elsewhere()) == ([b"one", b"two"], 2)
    assert await log.append(b"m", [b"three"]) == 2
