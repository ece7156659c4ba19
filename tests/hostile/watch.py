"""Follows topics from their first record on, whatever is in them, for whoever waits for a record."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition
from msgspec import Struct

from tests.torture.topic_reading import LOG_LEVEL

_PAGE_RECORDS = 500
_PAGE_SECONDS = 0.1
VALUE_BYTES_MAX = 64 * 1024
"""Longer ones are kept without their value: none of ours is."""
_DECODERS = (msgspec.json.Decoder(), msgspec.msgpack.Decoder())


class Seen(Struct, frozen=True, kw_only=True, gc=False):
    """A record as it lies in its topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes | None]

    def number(self, header: str) -> int | None:
        """The header as a whole number; None where it is none."""
        found = self.headers.get(header)
        return int(found) if found is not None and found.isdigit() and len(found) < 20 else None

    def text(self, header: str) -> str:
        """The header as text."""
        return (self.headers.get(header) or b"").decode(errors="replace")

    def body(self) -> dict[str, Any]:
        """The value as an object; empty where it is none."""
        for decoder in _DECODERS:
            try:
                found = decoder.decode(self.value or b"")
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
                continue
            if isinstance(found, dict):
                return found
        return {}


class TopicWatch:
    """Reads what is committed, in a thread. A context manager. `hostile`: where not to look again."""

    def __init__(
        self, bootstrap_servers: str, topics: dict[str, int], hostile: dict[tuple[str, int], set[int]]
    ) -> None:
        self.records: dict[str, list[Seen]] = {topic: [] for topic in topics}
        self._hostile = hostile
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "hostile-watch",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "log_level": LOG_LEVEL,
            }
        )
        places = [TopicPartition(topic, number, 0) for topic, count in topics.items() for number in range(count)]
        self._consumer.assign(places)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="hostile-watch", daemon=True)

    def __enter__(self) -> "TopicWatch":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._consumer.close()

    def good(self, topic: str) -> Iterable[Seen]:
        """Records that were not written by us to do harm, oldest first."""
        for record in list(self.records[topic]):
            if record.offset not in self._hostile.get((topic, record.partition), ()):
                yield record

    def newest(self, topic: str, true: Callable[[Seen], bool]) -> Seen | None:
        """The newest good record that fits."""
        hostile = self._hostile
        for record in reversed(list(self.records[topic])):
            if record.offset not in hostile.get((topic, record.partition), ()) and true(record):
                return record
        return None

    def _read(self) -> None:
        while not self._stopped.is_set():
            for message in self._consumer.consume(_PAGE_RECORDS, _PAGE_SECONDS):
                self._take(message)

    def _take(self, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._BAD_COMPRESSION and topic is not None and partition is not None:
                # A batch that unpacks to more than this client takes: it lies where we wrote it.
                behind = max(self._hostile.get((topic, partition), {-1})) + 1
                self._consumer.seek(TopicPartition(topic, partition, behind))
            return
        if topic is None or partition is None or offset is None:
            return
        value = message.value()
        headers = message.headers() or []
        pairs = headers.items() if isinstance(headers, dict) else headers
        self.records[topic].append(
            Seen(
                partition=partition,
                offset=offset,
                key=(message.key() or b"")[:1_000] or None,
                value=value if value is None or len(value) <= VALUE_BYTES_MAX else None,
                headers={
                    name: found if found is None or isinstance(found, bytes) else found.encode()
                    for name, found in pairs
                    if found is None or len(found) <= VALUE_BYTES_MAX
                },
            )
        )
