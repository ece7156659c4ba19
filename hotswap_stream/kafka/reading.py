"""Reading partitions to an end, by the consumer's position.

Not every offset holds a record for a reader: transactions leave markers, those that were aborted leave their records,
and compaction leaves holes. So "read to the end" never means "the record before the end was seen", but that the
consumer's position has reached it. The end is that of a consumer of committed records: where a transaction is open, its
first record; nothing after it can be read before the transaction ends.
"""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from time import monotonic
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from hotswap_stream.errors import LogUnavailableError

POLL_MS = 200
STALL_SECONDS_MAX = 20.0
"""How long a partition may stand still before its end."""

Record: TypeAlias = "ConsumerRecord[Any, Any]"


async def read_to(
    consumer: AIOKafkaConsumer,
    ends: Mapping[TopicPartition, int],
    *,
    poll_ms: int = POLL_MS,
    records_max: int | None = None,
    stall_seconds_max: float = STALL_SECONDS_MAX,
) -> AsyncGenerator[tuple[TopicPartition, list[Record]], None]:
    """Read partitions that are assigned to the consumer, from its positions on, up to and without these ends.

    Args:
        consumer: Has these partitions assigned.
        ends: Partition → the offset to stop before.
        poll_ms: How long one question may wait for records.
        records_max: Records of one page at most; None: as the consumer was set up.
        stall_seconds_max: How long a partition may stand still before its end.

    Yields:
        A partition and its next records, in the order of their offsets, never empty.

    Raises:
        KafkaError: The cluster cannot be read.
        LogUnavailableError: No partition moved for `stall_seconds_max`.
    """
    waiting = await _short_of(consumer, ends, ends)
    seen: dict[TopicPartition, int] = {}
    moved_s = monotonic()
    while waiting:
        fetched = await consumer.getmany(*waiting, timeout_ms=poll_ms, max_records=records_max)
        for partition, records in fetched.items():
            before_the_end = [record for record in records if record.offset < ends[partition]]
            if before_the_end:
                yield partition, before_the_end
        waiting = await _short_of(consumer, waiting, ends)
        if waiting != seen:
            seen, moved_s = waiting, monotonic()
        elif monotonic() - moved_s > stall_seconds_max:
            raise LogUnavailableError(
                "; ".join(
                    f"partition {part.partition} of {part.topic!r} stands at offset {position} of {ends[part]}"
                    for part, position in sorted(waiting.items())
                )
                + f" for {stall_seconds_max:g} s"
            )


async def read_all(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], *, poll_ms: int = POLL_MS
) -> AsyncGenerator[tuple[TopicPartition, list[Record]], None]:
    """Read all that the partitions hold now, from their first records on; see `read_to`.

    They are assigned to the consumer, and stay so: whoever reads on gets what comes after that. An end is asked for
    once, at the start.
    """
    consumer.assign(list(partitions))
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(list(partitions))
    async with aclosing(read_to(consumer, ends, poll_ms=poll_ms)) as pages:
        async for page in pages:
            yield page


async def _short_of(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Return the partitions whose end is not reached, and where the consumer stands in each."""
    positions = {partition: await consumer.position(partition) for partition in partitions}
    return {partition: position for partition, position in positions.items() if position < ends[partition]}


async def first_records(
    consumer: AIOKafkaConsumer, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Find the first record of each partition from its start on and before its end. It assigns them to the consumer.

    Returns:
        Partition → offset of that record; partitions that have none there are left out.

    Raises:
        KafkaError: The cluster cannot be read.
        LogUnavailableError: Nothing moved for `STALL_SECONDS_MAX`.
    """
    # Never without a place at once: a consumer that is looking for its own place may not stop.
    consumer.assign(list(starts))
    for partition, start in starts.items():
        consumer.seek(partition, start)
    found: dict[TopicPartition, int] = {}
    async for partition, records in read_to(consumer, {part: ends[part] for part in starts}, records_max=1):
        found[partition] = records[0].offset
        consumer.seek(partition, ends[partition])
    return found


def first_open_offset(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """Return where a transaction begins that is open and holds back all records after it, as the last fetch told.

    None: there is none. The consumer must have the partition assigned.
    """
    stable, end = consumer.last_stable_offset(partition), consumer.highwater(partition)
    if stable is None or end is None or not 0 <= stable < end:
        return None
    return int(stable)
