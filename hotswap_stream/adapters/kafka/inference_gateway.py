"""Asking models by way of their topics. Each model's topics are connected to when it is first asked."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from hotswap_events import headers as header_names
from hotswap_events.inference import (
    JSON_CONTENT_TYPE,
    MSGPACK_CONTENT_TYPE,
    InferError,
    InferRequest,
    InferResponse,
)
from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.answer_correlation import RawAnswer
from hotswap_stream.adapters.kafka.model_exchange import RECORD_BYTES_MAX, ModelExchange
from hotswap_stream.application.inference_gateway import (
    InferenceTimeoutError,
    InferenceUnavailableError,
    NoModelTopicsError,
    RequestTooLargeError,
)

PARTITIONS_USED_MAX = 4
"""Partitions chosen of each model's. At least 4 keep latency low; more would mean reading more of others' answers."""
MODELS_CONNECTED_MAX = 64

_random = secrets.SystemRandom()
_json, _msgpack = msgspec.json.Encoder(), msgspec.msgpack.Encoder()
_decoders: dict[tuple[bool, bool], Any] = {
    (False, True): msgspec.json.Decoder(InferResponse),
    (False, False): msgspec.json.Decoder(InferError),
    (True, True): msgspec.msgpack.Decoder(InferResponse),
    (True, False): msgspec.msgpack.Decoder(InferError),
}


class KafkaInferenceGateway:
    """An InferenceGateway. At most `in_flight_max` requests at once; more wait for a place within their time.

    Without `partitions` it takes up to four of each model's by chance, so that several gateways spread out.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topics: Topics,
        *,
        in_flight_max: int = 1_024,
        partitions: Collection[int] | None = None,
        models_connected_max: int = MODELS_CONNECTED_MAX,
    ) -> None:
        if in_flight_max < 1 or models_connected_max < 1:
            raise ValueError("in_flight_max and models_connected_max must be at least 1")
        self._client_options = dict(client_options)
        self._topics = topics
        self._partitions = None if partitions is None else frozenset(partitions)
        self._models_connected_max = models_connected_max
        self._places = asyncio.Semaphore(in_flight_max)
        self._connecting: dict[str, asyncio.Task[ModelExchange]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._exchanges: dict[str, ModelExchange] = {}
        """By model name, the one used last at the end."""
        self._closed = False

    async def close(self) -> None:
        """Disconnect. Requests that still wait fail."""
        self._closed = True
        await asyncio.gather(*self._connecting.values(), return_exceptions=True)
        while self._exchanges:
            await self._exchanges.popitem()[1].stop()

    async def infer(
        self,
        model_name: str,
        request: InferRequest,
        *,
        raw: bool,
        timeout_s: float,
        partition: int | None = None,
    ) -> InferResponse | InferError:
        """See InferenceGateway."""
        return self.decode(await self.ask(model_name, request, raw=raw, timeout_s=timeout_s, partition=partition))

    async def ask(
        self, model_name: str, request: InferRequest, *, raw: bool, timeout_s: float, partition: int | None = None
    ) -> RawAnswer:
        """The answer's record, not decoded. Errors as of `infer`."""
        value = (_msgpack if raw else _json).encode(request)
        headers = [(header_names.CONTENT_TYPE, (MSGPACK_CONTENT_TYPE if raw else JSON_CONTENT_TYPE).encode())]
        try:
            async with asyncio.timeout(timeout_s), self._places:
                exchange = await self._exchange(model_name)
                if partition is not None and partition not in exchange.partitions:
                    raise ValueError(
                        f"partition {partition} of model {model_name!r} is not consumed here; "
                        f"{sorted(exchange.partitions)} are"
                    )
                return await exchange.ask(value, headers, partition)
        except TimeoutError as error:
            raise InferenceTimeoutError(f"no answer from model {model_name!r} within {timeout_s:g} s") from error
        except MessageSizeTooLargeError as error:
            raise RequestTooLargeError(
                f"the request has {len(value)} bytes; a record may have {RECORD_BYTES_MAX}, less what Kafka adds"
            ) from error
        except (KafkaError, OSError) as error:
            raise InferenceUnavailableError(f"Kafka, on the way to model {model_name!r}: {error!r}") from error

    @staticmethod
    def decode(answer: RawAnswer) -> InferResponse | InferError:
        """What an answer's record says. InferenceUnavailableError if it cannot be read."""
        try:
            decoded: InferResponse | InferError = _decoders[answer.raw, answer.ok].decode(answer.value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InferenceUnavailableError(
                f"the answer at offset {answer.offset} of partition {answer.partition} cannot be read: {error}"
            ) from error
        return decoded

    async def _exchange(self, model_name: str) -> ModelExchange:
        exchange = self._exchanges.get(model_name)
        if exchange is not None and not exchange.failed:
            self._exchanges[model_name] = self._exchanges.pop(model_name)  # moves to the end
            return exchange
        # A task of its own: whoever gives up meanwhile must not leave half a connection behind.
        connecting = self._connecting.get(model_name)
        if connecting is None:
            connecting = asyncio.create_task(self._connect(model_name), name=f"connect-{model_name}")
            self._connecting[model_name] = connecting
            connecting.add_done_callback(lambda done: self._connected(model_name, done))
        return await asyncio.shield(connecting)

    def _connected(self, model_name: str, done: "asyncio.Task[ModelExchange]") -> None:
        del self._connecting[model_name]
        if not done.cancelled():
            done.exception()  # looked at: those who asked have it, or have given up

    async def _connect(self, model_name: str) -> ModelExchange:
        async with self._one_at_a_time:
            if self._closed:
                raise InferenceUnavailableError("the connection is closed")
            await self._make_room(model_name)
            exchange = ModelExchange(
                self._client_options,
                request_topic=self._topics.requests(model_name),
                response_topic=self._topics.responses(model_name),
                partitions=self._choose(model_name, await self._partition_count(model_name)),
            )
            await exchange.start()
            self._exchanges[model_name] = exchange
            return exchange

    def _choose(self, model_name: str, count: int) -> list[int]:
        if self._partitions is None:
            return sorted(_random.sample(range(count), min(count, PARTITIONS_USED_MAX)))
        if not self._partitions <= set(range(count)):
            raise ValueError(f"model {model_name!r} has partitions 0 to {count - 1}; not all of those given are")
        return sorted(self._partitions)

    async def _make_room(self, model_name: str) -> None:
        """Disconnect what failed, and where the limit is reached the model that was asked longest ago."""
        failed = self._exchanges.pop(model_name, None)
        if failed is not None:
            await failed.stop()
        if len(self._exchanges) >= self._models_connected_max:
            idle = next((name for name, exchange in self._exchanges.items() if not exchange.in_flight), None)
            if idle is None:
                raise InferenceUnavailableError(
                    f"{self._models_connected_max} models are being asked; no more at the same time"
                )
            await self._exchanges.pop(idle).stop()

    async def _partition_count(self, model_name: str) -> int:
        names = self._topics.requests(model_name), self._topics.responses(model_name)
        async with _admin_client(self._client_options) as admin:
            # All topics, because asking for one that does not exist may create it.
            described = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
        counts = [described.get(name) for name in names]
        if counts[0] is None or counts[1] is None:
            known = sorted(name.rpartition(".")[2] for name in described if name.startswith(self._topics.requests("")))
            raise NoModelTopicsError(
                f"model {model_name!r} has no topics {names[0]!r} and {names[1]!r}; models with topics: "
                f"{', '.join(known[:20]) or 'none'}"
            )
        if counts[0] != counts[1]:
            raise InferenceUnavailableError(f"{names[0]} has {counts[0]} partitions, {names[1]} has {counts[1]}")
        return counts[0]


@asynccontextmanager
async def _admin_client(client_options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()
