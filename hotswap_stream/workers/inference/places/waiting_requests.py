"""Whether requests really wait between a place and a partition's end: markers of transactions stand there, too."""

import math
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from hotswap_stream.kafka.librdkafka import tail_consumer

ASK_SECONDS_MAX = 2.0


class WaitingWatch:
    """Find that out beside the loop, one partition after the other: a leader that is away holds up nobody."""

    def __init__(self, options: Mapping[str, Any], worker: str, topic: str, *, again_seconds: float) -> None:
        """Make one. `again_seconds`: how long what was found out of a partition counts."""
        self._options, self._worker, self._topic = options, worker, topic
        self._again_seconds = again_seconds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="waiting-requests")
        self._asked: dict[int, tuple[int, int, Future[bool]]] = {}
        self._asked_s: dict[int, float] = {}

    def nothing(self, partition: int, place: int, end: int) -> bool:
        """Return whether it is known that no request waits from `place` on, up to `end`; find out if that is due."""
        asked = self._asked.get(partition)
        if asked is not None:
            asked_place, asked_end, found = asked
            if not found.done():
                return False
            del self._asked[partition]
            return (asked_place, asked_end) == (place, end) and found.result()
        now_s = time.monotonic()
        if now_s - self._asked_s.get(partition, -math.inf) >= self._again_seconds:
            self._asked_s[partition] = now_s
            found = self._thread.submit(nothing_waits, self._options, self._worker, self._topic, partition, place, end)
            self._asked[partition] = place, end, found
        return False

    def close(self) -> None:
        """Ask nothing more. Returns at once."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def nothing_waits(options: Mapping[str, Any], worker: str, topic: str, partition: int, place: int, end: int) -> bool:
    """Return whether there is no record for a worker from `place` on, up to `end`. Blocking, for a moment.

    False also where that cannot be known, and where an open transaction is in the way.
    """
    consumer = tail_consumer(options, f"{worker}-waiting")
    try:
        consumer.assign([TopicPartition(topic, partition, place)])
        message = consumer.poll(ASK_SECONDS_MAX)
        error = None if message is None else message.error()
        if message is None or error is None or error.code() != KafkaError._PARTITION_EOF:
            return False
        reached = message.offset()
        return reached is not None and reached >= end
    except KafkaException:
        return False
    finally:
        consumer.close()
