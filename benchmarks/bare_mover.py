"""The same client moving the same bytes with no model: what it reads goes away, answers of the right size are written.

    python -m benchmarks.bare_mover BOOTSTRAP_SERVERS REQUEST_TOPIC RESPONSE_TOPIC ANSWER_BYTES START…

One `START` per partition: the offset to begin at. Nothing is decoded, computed, checked or committed. Answers are
acknowledged by all replicas, each once and in order, as the worker's are. Runs until terminated.
"""

import sys
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.streams import place_of
from hotswap_events import headers as names
from hotswap_events.inference.messages import MSGPACK_CONTENT_TYPE

READ_MAX = 500
LINGER_MS = 5
IN_FLIGHT_MAX = 10_000


def move(servers: str, request_topic: str, response_topic: str, answer_bytes: int, starts: list[int]) -> None:
    """Write one answer per request until terminated."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"mover-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "fetch.queue.backoff.ms": 5,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": LINGER_MS,
            "queue.buffering.max.messages": 10 * IN_FLIGHT_MAX,
        }
    )
    consumer.assign([TopicPartition(request_topic, number, start) for number, start in enumerate(starts)])
    answer = bytes(answer_bytes)
    content_type = (names.CONTENT_TYPE, MSGPACK_CONTENT_TYPE.encode())
    tag = (names.ANSWER_TAG, bytes(16))
    while True:
        for message in consumer.consume(READ_MAX, 0.1):
            partition, offset = place_of(message)
            message.value()
            headers: list[tuple[str, str | bytes | None]] = [
                content_type,
                (names.REQUEST_OFFSET, b"%d" % offset),
                (names.STATUS, b"ok"),
                tag,
            ]
            producer.produce(response_topic, answer, message.key(), partition, headers=headers)
        producer.poll(0)
        while len(producer) > IN_FLIGHT_MAX:
            producer.poll(0.01)


if __name__ == "__main__":
    move(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), [int(start) for start in sys.argv[5:]])
