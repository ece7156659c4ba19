"""The comparison of `request_latency`: bare aiokafka on both sides of the broker.

    python -m benchmarks.bare_echo BOOTSTRAP_SERVERS REQUEST_TOPIC RESPONSE_TOPIC PARTITIONS

Run so it sends every record back as it came; `EchoTarget` is the other side, which matches answers by a number.
"""

import asyncio
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from hotswap_stream.client.load.drive import Outcome

NUMBER_BYTES = 8


async def echo(servers: str, request_topic: str, response_topic: str, partitions: int) -> None:
    """Send back what comes, until terminated; the first line says that it is ready."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=0, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=None, auto_offset_reset="latest")
    await producer.start()
    await consumer.start()
    consumer.assign([TopicPartition(request_topic, number) for number in range(partitions)])
    await consumer.seek_to_end()
    print("ready", flush=True)
    while True:
        for partition, records in (await consumer.getmany(timeout_ms=500)).items():
            for record in records:
                await producer.send(response_topic, record.value, partition=partition.partition)


class EchoTarget:
    """A LoadTarget: bare records of `body_bytes` with a number in front."""

    def __init__(self, servers: str, request_topic: str, response_topic: str, partitions: int, body_bytes: int) -> None:
        self._topics, self._partitions = (request_topic, response_topic), partitions
        self._body = bytes(body_bytes)
        self._producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=0, acks="all", enable_idempotence=True)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=None, auto_offset_reset="latest")
        self._waiting: dict[bytes, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Connect, and read all answers from now on."""
        await self._producer.start()
        await self._consumer.start()
        self._consumer.assign([TopicPartition(self._topics[1], number) for number in range(self._partitions)])
        await self._consumer.seek_to_end()
        self._keep(asyncio.create_task(self._read()))

    async def close(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._producer.stop()
        await self._consumer.stop()

    def send(self, number: int) -> "asyncio.Future[Any]":
        """See LoadTarget."""
        name = number.to_bytes(NUMBER_BYTES, "big")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[name] = answer
        sent = self._producer.send(self._topics[0], name + self._body, partition=number % self._partitions)
        self._keep(asyncio.create_task(sent))
        return answer

    def outcome(self, done: "asyncio.Future[Any]") -> Outcome:
        """See LoadTarget."""
        error = done.exception()
        return Outcome(model_version="echo") if error is None else Outcome(error=type(error).__name__)

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    answer = self._waiting.pop(record.value[:NUMBER_BYTES], None)
                    if answer is not None and not answer.done():
                        answer.set_result(None)


if __name__ == "__main__":
    asyncio.run(echo(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
