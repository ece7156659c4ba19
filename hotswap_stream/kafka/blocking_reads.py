"""Reading partitions to an end with librdkafka, in a thread that may block."""

from collections.abc import Iterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from hotswap_stream.kafka.unreadable_batches import ReadOn

READ_SECONDS_MAX = 10.0
"""The longest wait for the next records before an end."""
_POLL_SECONDS = 1.0
_READ_RECORDS = 1_000


def read_to_ends(
    consumer: Consumer, starts: Sequence[TopicPartition], ends: Mapping[int, int], read_on: ReadOn, *, what: str
) -> Iterator[list[Message]]:
    """Read partitions of one topic until the end of each is reached. Look after each yield whether to go on.

    Args:
        consumer: One that is told the end of a partition (`enable.partition.eof`); it is assigned the partitions.
        starts: The partitions, with the offsets to begin at.
        ends: Partition → the offset before which to stop, where that is not the end of the partition.
        read_on: Asked about what cannot be read: whether the consumer goes on after it.
        what: What is read, for the error: "… cannot be read".

    Yields:
        Messages without errors, in the order of each partition; none when nothing came for a second.

    Raises:
        KafkaException: The topic cannot be read, or nothing came for `READ_SECONDS_MAX`.
    """
    waiting = {start.partition for start in starts}
    consumer.assign(list(starts))
    idle = 0
    while waiting:
        # `consume` comes back when it has as many as it was asked for, or when the time is over: so wait for one alone.
        messages = consumer.consume(1, _POLL_SECONDS)
        if messages:
            messages += consumer.consume(_READ_RECORDS, 0)
        idle = 0 if messages else idle + 1
        if idle * _POLL_SECONDS > READ_SECONDS_MAX:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{what} cannot be read"))
        yield list(_readable(consumer, messages, waiting, ends, read_on))
    consumer.unassign()


def _readable(
    consumer: Consumer, messages: Sequence[Message], waiting: set[int], ends: Mapping[int, int], read_on: ReadOn
) -> Iterator[Message]:
    """Yield the messages before the ends; the partitions whose end they reach go out of `waiting`."""
    for message in messages:
        error, partition, offset = message.error(), message.partition(), message.offset()
        if partition is None:
            continue
        if error is None:
            end = ends.get(partition)
            if end is None or offset is None or offset < end:
                yield message
            if end is not None and (offset is None or offset >= end - 1):
                waiting.discard(partition)
        elif error.code() == KafkaError._PARTITION_EOF:  # the client's public name for it
            waiting.discard(partition)
        elif partition in waiting and not read_on(consumer, message) and not error.retriable():
            raise KafkaException(error)
