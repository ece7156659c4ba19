"""A bare consumer of one partition: a line for each record, with its offset, its append time and when it was seen.

    python -m benchmarks.event_watch BOOTSTRAP_SERVERS TOPIC START

Milliseconds since 1970. Runs until terminated.
"""

import sys
import time
import uuid

from confluent_kafka import Consumer, TopicPartition


def watch(servers: str, topic: str, start: int) -> None:
    """Write lines for ever."""
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": f"watch-{uuid.uuid4().hex}", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, 0, start)])
    while True:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            print(message.offset(), message.timestamp()[1], time.time() * 1000, flush=True)


if __name__ == "__main__":
    watch(sys.argv[1], sys.argv[2], int(sys.argv[3]))
