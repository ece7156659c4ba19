"""Which offsets of a partition a transaction left without a record for readers: its markers, and what it took back.

A client does not tell markers from records that are missing for another reason, so the batches themselves are looked
at, as the broker stores them.
"""

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import NotLeaderForPartitionError, OffsetOutOfRangeError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record import MemoryRecords

FETCH_BYTES_MAX = 4 * 1_048_576
FETCH_MS_MAX = 500
_READ_COMMITTED = 1


async def transaction_offsets(
    consumer: AIOKafkaConsumer, partition: TopicPartition, start_offset: int, end_offset: int
) -> Sequence[range]:
    """Return those of these offsets, in order, that batches of transactions take. KafkaError.

    None of the offsets from `start_offset` up to `end_offset` may have a record that the consumer is given.
    """
    found: list[range] = []
    position = start_offset
    while position < end_offset:
        batches = await _batches(consumer, partition, position)
        if not batches:
            break
        for offsets, transactional in batches:
            taken = range(max(offsets.start, position), min(offsets.stop, end_offset))
            if transactional and taken:
                found.append(taken)
            position = max(position, offsets.stop)
    return found


async def _batches(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> list[tuple[range, bool]]:
    """Return the offsets of some batches from this one on, and whether a transaction wrote each."""
    client: Any = consumer._client
    leader = client.cluster.leader_for_partition(partition)
    if leader is None or leader < 0:
        raise NotLeaderForPartitionError(partition)
    request = FetchRequest(
        FETCH_MS_MAX,
        1,
        FETCH_BYTES_MAX,
        _READ_COMMITTED,
        [(partition.topic, [(partition.partition, offset, FETCH_BYTES_MAX)])],
    )
    ((_topic, ((_number, error_code, *_facts, content),)),) = (await client.send(leader, request)).topics
    if error_code:
        error = for_code(error_code)
        if error is OffsetOutOfRangeError:
            return []
        raise error(partition)
    records = MemoryRecords(content or b"")
    found = []
    while records.has_next():
        batch = records.next_batch()
        found.append((range(batch.base_offset, batch.next_offset), batch.is_control_batch or batch.is_transactional))
    return found
