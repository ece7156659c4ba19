"""Ask a served model with nothing but a Kafka client.

    python examples/ask_a_model.py localhost:9092 digits

A request is one record on `hotswap.requests.<model>`, JSON as in the Open Inference Protocol v2. Its answer comes on
`hotswap.responses.<model>`, in the partition of the same number, and names the request's offset in a header. Another
header proves that a worker wrote it: anybody may write to a topic, so what has no such tag is passed over.
"""

import argparse
import asyncio
import json
from hashlib import blake2b
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

REQUEST_OFFSET, ANSWER_TAG = "hotswap-request-offset", "hotswap-answer-tag"
PREFIX = "hotswap"
SECONDS_MAX = 30.0


def tag_of(prefix: str, secret: str, model_name: str, partition: int, offset: int) -> bytes:
    """Return the tag of the answer to one request. `secret` is the workers' HOTSWAP_ANSWERS_KEY, or empty."""
    key = blake2b(f"hotswap-answers\0{prefix}\0{secret}".encode()).digest()
    eight = blake2b(f"{model_name}\0{partition}\0{offset // 8}".encode(), key=key).hexdigest()
    return eight[16 * (offset % 8) :][:16].encode()


async def ask(
    servers: str, model_name: str, inputs: list[dict[str, Any]], prefix: str = PREFIX, secret: str = ""
) -> dict[str, Any]:
    """Send one request and return its answer, which may be an error answer. Raise TimeoutError after 30 s."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    try:
        await producer.start()
        await consumer.start()
        responses = f"{prefix}.responses.{model_name}"
        requests = f"{prefix}.requests.{model_name}"
        partitions = [TopicPartition(responses, number) for number in await producer.partitions_for(requests)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        request = json.dumps({"inputs": inputs}).encode()
        sent = await producer.send_and_wait(requests, request, headers=[("content-type", b"application/json")])
        wanted = tag_of(prefix, secret, model_name, sent.partition, sent.offset)
        async with asyncio.timeout(SECONDS_MAX):
            async for record in consumer:
                headers = dict(record.headers)
                named = record.partition == sent.partition and headers.get(REQUEST_OFFSET) == b"%d" % sent.offset
                if named and headers.get(ANSWER_TAG) == wanted:
                    answer: dict[str, Any] = json.loads(record.value)
                    return answer
    finally:
        await consumer.stop()
        await producer.stop()
    raise TimeoutError(f"no answer within {SECONDS_MAX} s")


def a_handwritten_one() -> list[dict[str, Any]]:
    """Return a vertical stroke: one image of 28 × 28 pixels, each from 0 (paper) to 1 (ink)."""
    image = [[1.0 if 12 <= column <= 15 and 4 <= row <= 23 else 0.0 for column in range(28)] for row in range(28)]
    return [{"name": "image", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [[image]]}]


def main() -> None:
    """Ask, and print the answer."""
    parser = argparse.ArgumentParser(description="Ask a served model for a digit.")
    parser.add_argument("servers", help="host:port of a Kafka broker")
    parser.add_argument("model_name")
    parser.add_argument("--answers-key", default="", help="the workers' HOTSWAP_ANSWERS_KEY, if it is set")
    arguments = parser.parse_args()
    answer = asyncio.run(
        ask(arguments.servers, arguments.model_name, a_handwritten_one(), secret=arguments.answers_key)
    )
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main()
