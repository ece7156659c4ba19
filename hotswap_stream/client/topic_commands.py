"""Commands by way of Kafka, signed with an API key: who asks is sure, and the result comes back."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from hotswap_events import headers
from hotswap_events.commands import CommandResult
from hotswap_events.inference.messages import JSON_CONTENT_TYPE
from hotswap_events.signing import signature_headers
from hotswap_events.topics import Topics
from hotswap_stream.errors import HotswapError
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.consumer_end import end_consumer
from hotswap_stream.kafka.producer_stop import stop_producer

TIMEOUT_S = 30.0
FLUSH_SECONDS_MAX = 5.0


class CommandTimeoutError(HotswapError):
    """No result came in time. Send the same command with the same id again: it applies once."""

    retriable = True


class TopicCommands:
    """Sends commands one after the other; use it as an async context manager, from one event loop.

    `kafka` is `host:port` or keyword arguments of aiokafka's clients; `prefix` names the environment; `token` is that
    of a key made with `keys create --signs`, and `actor` its name. Without a token nothing is signed, and events name
    the actor `topic:…`.
    """

    def __init__(
        self, kafka: str | Mapping[str, Any], *, actor: str, token: str | None = None, prefix: str = "hotswap"
    ) -> None:
        self._options = {"bootstrap_servers": kafka} if isinstance(kafka, str) else dict(kafka)
        self._topics = Topics(prefix)
        self._actor = actor
        self._token = token
        self._lock = asyncio.Lock()
        self._producer: AIOKafkaProducer | None = None
        self._results: AIOKafkaConsumer | None = None

    def __repr__(self) -> str:
        return f"TopicCommands({self._topics.prefix!r}, actor={self._actor!r})"

    async def __aenter__(self) -> Self:
        self._producer = clients.producer(**self._options, acks="all", enable_idempotence=True)
        self._results = clients.consumer(
            self._topics.command_results, **self._options, group_id=None, auto_offset_reset="latest"
        )
        try:
            await self._producer.start()
            await self._results.start()
            # Where it begins is asked now, so that no result is written before it.
            for partition in self._results.assignment():
                await self._results.position(partition)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        producer, self._producer = self._producer, None
        results, self._results = self._results, None
        if results is not None:
            await end_consumer(results)
        if producer is not None:
            await stop_producer(producer, flush_seconds_max=FLUSH_SECONDS_MAX)

    async def send(self, command: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S) -> CommandResult:
        """Send a command, and return what came of it.

        Args:
            command: Its fields, with `type` and `model_name`; `command_id` and `actor` are filled in.
            timeout_s: How long to wait for the result.

        Raises:
            CommandTimeoutError: None came; send it again with the same `command_id`.
            KafkaError: The cluster does not take it.
        """
        producer, results = self._producer, self._results
        if producer is None or results is None:
            raise CommandTimeoutError("not open: use it with `async with`")
        asked = {"command_id": str(uuid.uuid4()), "actor": self._actor, **command}
        value, topic = msgspec.json.encode(asked), self._topics.commands
        sent_headers = [(headers.CONTENT_TYPE, JSON_CONTENT_TYPE.encode())]
        if self._token is not None:
            sent_headers += signature_headers(self._token, topic, value, time.time_ns() // 1_000_000)
        async with self._lock:
            try:
                async with asyncio.timeout(timeout_s):
                    await producer.send_and_wait(
                        topic, value, key=str(asked["model_name"]).encode(), headers=sent_headers
                    )
                    return await _result(results, str(asked["command_id"]))
            except TimeoutError:
                raise CommandTimeoutError(
                    f"no result of command {asked['command_id']!r} within {timeout_s:g} s; do the agents run?"
                ) from None


async def _result(results: AIOKafkaConsumer, command_id: str) -> CommandResult:
    """Return the result with this id; what is none is passed over."""
    while True:
        record = await results.getone()
        try:
            found = msgspec.json.decode(record.value or b"", type=CommandResult)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        if found.command_id == command_id:
            return found
