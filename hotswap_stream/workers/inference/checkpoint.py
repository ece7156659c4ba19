"""Answers are the checkpoint: where to go on in a partition, read from the answers that are there.

The highest request offset in the tail of the answers, or the group's committed offset, whichever is larger: a zombie
may have filled the tail with low offsets (all void), and the commit may lag behind the answers.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from hotswap_events import headers as header_names

_log = structlog.get_logger(__name__)

TAIL_RECORDS = 2_000
"""Answers looked at per partition."""
_POLL_MS = 500


def request_offset_of(record: "ConsumerRecord[Any, Any]") -> int | None:
    """The request offset an answer names, or None if it is not one of ours."""
    for name, value in record.headers:
        if name == header_names.REQUEST_OFFSET and value is not None:
            try:
                return int(value)
            except ValueError:
                return None
    return None


async def last_answered(client_options: Mapping[str, Any], topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """Partition → highest request offset answered in its tail; partitions without answers are left out."""
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    if not wanted:
        return {}
    consumer = AIOKafkaConsumer(**client_options, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(wanted)
        begins = await consumer.beginning_offsets(wanted)
        ends = await consumer.end_offsets(wanted)
        open_ends = {}
        for partition in wanted:
            start = max(begins[partition], ends[partition] - TAIL_RECORDS)
            consumer.seek(partition, start)
            if start < ends[partition]:
                open_ends[partition] = ends[partition]
            else:
                consumer.pause(partition)
        highest: dict[int, int] = {}
        while open_ends:
            for partition, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                for record in records:
                    offset = request_offset_of(record)
                    if offset is not None:
                        highest[partition.partition] = max(offset, highest.get(partition.partition, -1))
            for partition in [p for p, end in open_ends.items() if await consumer.position(p) >= end]:
                del open_ends[partition]
                consumer.pause(partition)
        return highest
    finally:
        await consumer.stop()


def resume_offset(*, committed: int | None, last_answered: int | None, begin: int, end: int) -> int:
    """The first request without an answer. Kept within the topic's `begin` and `end`, in case it was made anew."""
    wanted = max(0 if committed is None else committed, 0 if last_answered is None else last_answered + 1)
    if wanted > end:
        _log.warning("checkpoint_beyond_end", wanted=wanted, end=end)
    return min(max(wanted, begin), end)
