"""Requests at a steady rate, spread over all partitions, until terminated.

    python -m benchmarks.paced_load BOOTSTRAP_SERVERS TOPIC PARTITIONS RATE_PER_S ARCHITECTURE ARGUMENTS_JSON

Raw tensors of random numbers, without ids. What is late is sent at once, so that a pause here, or a broker that takes
nothing for a while, looks like a burst, and not like a lower rate. Each record's timestamp says when it was handed
over.
"""

import json
import sys
import time

from confluent_kafka import Producer

from benchmarks.worker_rounds import request_bodies
from hotswap_events import headers as names
from hotswap_events.inference.messages import MSGPACK_CONTENT_TYPE
from hotswap_stream.adapters.torch.modules.architectures import manifest_of

TICK_SECONDS = 0.001
DISTINCT = 64
BURST_MAX = 1_000


def send(servers: str, topic: str, partitions: int, rate_per_s: float, bodies: list[bytes]) -> None:
    """Send until terminated."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 0, "queue.buffering.max.messages": 100_000})
    headers: list[tuple[str, str | bytes | None]] = [(names.CONTENT_TYPE, MSGPACK_CONTENT_TYPE.encode())]
    began, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - began) * rate_per_s)
        for _ in range(min(due - sent, BURST_MAX)):
            try:
                producer.produce(topic, bodies[sent % len(bodies)], partition=sent % partitions, headers=headers)
            except BufferError:
                break
            sent += 1
        producer.poll(0)
        time.sleep(TICK_SECONDS)


if __name__ == "__main__":
    manifest = manifest_of(sys.argv[5], json.loads(sys.argv[6]))
    send(
        sys.argv[1],
        sys.argv[2],
        int(sys.argv[3]),
        float(sys.argv[4]),
        list(request_bodies(manifest, DISTINCT, prefix=None)),
    )
