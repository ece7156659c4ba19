"""The comparison of `fleet_changes`: a bare member of a consumer group on librdkafka that sends back what it reads.

    python -m benchmarks.bare_member BOOTSTRAP_SERVERS REQUEST_TOPIC RESPONSE_TOPIC NAME

Static, `range`, and nothing else: no model, no checkpoint, the group's commits say where to go on. It leaves on SIGTERM
as a dynamic member would, because librdkafka's static ones do not leave.
"""

import asyncio
import signal
import sys

from confluent_kafka import Consumer, Producer, TopicPartition

from hotswap_events import headers as names
from hotswap_stream.kafka.leave_group import leave_group

GROUP = "bench.bare-members"


def answer(servers: str, request_topic: str, response_topic: str, name: str) -> None:
    """Send back until terminated."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": GROUP,
            "group.instance.id": name,
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 500,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
        }
    )
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 0, "enable.idempotence": True})
    places: dict[int, int] = {}
    running = True

    def commit() -> None:
        producer.flush(5)
        if places:
            consumer.commit(
                offsets=[TopicPartition(request_topic, part, place) for part, place in places.items()],
                asynchronous=False,
            )

    def revoked(_consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        commit()
        places.clear()

    def stop(_signal: int, _frame: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    consumer.subscribe([request_topic], on_revoke=revoked)
    while running:
        message = consumer.poll(0.05)
        producer.poll(0)
        if message is None or message.error() is not None:
            continue
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        headers: list[tuple[str, str | bytes | None]] = [(names.REQUEST_OFFSET, b"%d" % offset), ("worker", name)]
        producer.produce(response_topic, message.value(), partition=partition, headers=headers)
        places[partition] = offset + 1
    commit()
    consumer.close()
    asyncio.run(leave_group({"bootstrap_servers": servers}, GROUP, name))


if __name__ == "__main__":
    answer(*sys.argv[1:5])
