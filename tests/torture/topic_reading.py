"""Topics read from the first record to the end they have now, one partition at a time."""

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

PAGE_RECORDS = 1_000
RETRY_SECONDS = 0.5
ASK_SECONDS = 10.0
TIMEOUT_S = 30.0
"""Without a record for so long a topic counts as unreadable."""
_PAGE_S = 0.1
_QUEUE_KIB_MAX = 16 * 1024
LOG_LEVEL = 2
"""The level of the Kafka client's own log: that brokers go away is meant here."""


class TopicUnreadableError(RuntimeError):
    """A topic is missing, was cut at its beginning, or gives no records."""


def headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    """The headers of a record; none where a name is no UTF-8."""
    try:
        found = message.headers() or []
        message.offset()  # the client leaves its error pending; whatever is called next raises it
    except (UnicodeDecodeError, SystemError):
        return []
    pairs = found.items() if isinstance(found, dict) else found
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]


class TopicReader:
    """Reads with one consumer that is in no group and commits nothing. A context manager."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._consumer = self._connected()

    def _connected(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": "torture-check",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": _QUEUE_KIB_MAX,
                "log_level": LOG_LEVEL,
            }
        )

    def __enter__(self) -> "TopicReader":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._consumer.close()

    def partition_count(self, topic: str) -> int:
        """TopicUnreadableError if there is no such topic."""
        try:
            found = self._consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        except KafkaException as error:
            raise TopicUnreadableError(f"topics cannot be listed: {error}") from error
        if found.error is not None:
            raise TopicUnreadableError(f"topic {topic!r}: {found.error}")
        return len(found.partitions)

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset behind the last record. TopicUnreadableError if the first one is gone."""
        give_up = time.monotonic() + TIMEOUT_S
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ASK_SECONDS)
                break
            except KafkaException as error:
                # A leader may still be on the move after the last fault.
                # This question's errors never say that they may pass, `NOT_LEADER` neither.
                if time.monotonic() > give_up:
                    raise TopicUnreadableError(f"{topic} {partition}: {error}") from error
                time.sleep(RETRY_SECONDS)
                # Another client: this one may go on asking the one that led before, whatever it is told meanwhile.
                self._consumer.close()
                self._consumer = self._connected()
        if low != 0:
            raise TopicUnreadableError(
                f"{topic} {partition} begins at {low}: records were deleted, nothing can be proved"
            )
        return high

    def records(self, topic: str, partition: int, end_offset: int) -> Iterator[Message]:
        """All records before `end_offset`."""
        if end_offset == 0:
            return
        self._consumer.assign([TopicPartition(topic, partition, 0)])
        position, deadline = 0, time.monotonic() + TIMEOUT_S
        while position < end_offset:
            # It waits until it has a whole page: at the end of a partition that would be for ever.
            page = self._consumer.consume(PAGE_RECORDS, _PAGE_S)
            if page:
                deadline = time.monotonic() + TIMEOUT_S
            elif time.monotonic() > deadline:
                raise TopicUnreadableError(f"{topic} {partition} gives no record from {position} on")
            for message in page:
                error = message.error()
                if error is not None:
                    if error.retriable() or error.code() == KafkaError._TRANSPORT:
                        continue
                    raise TopicUnreadableError(f"{topic} {partition} from {position} on: {error}")
                offset = message.offset()
                if offset is None or offset >= end_offset:
                    continue
                position = offset + 1
                yield message
        self._consumer.unassign()
