"""Load by topic: records straight into the model's topics, one future a request and no task."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from hotswap_stream.adapters.kafka.inference.correlation import RawAnswer
from hotswap_stream.adapters.kafka.inference.exchange import ModelExchange
from hotswap_stream.adapters.kafka.inference.gateway import KafkaInferenceGateway, partition_of, record_headers
from hotswap_stream.application.inference.gateway import Beside
from hotswap_stream.client.load.drive import Outcome
from hotswap_stream.client.load.payloads import Payload
from hotswap_stream.errors import HotswapError


class _Glimpse(Struct, frozen=True, gc=False):
    """What is counted of an answer; the rest is passed over unread."""

    model_version: str | None = None
    error_code: str | None = None


_decoders: dict[bool, Any] = {True: msgspec.msgpack.Decoder(_Glimpse), False: msgspec.json.Decoder(_Glimpse)}


def routing_key(number: int, keys: int) -> str | None:
    """Return one of `keys` routing keys in turn; None without any."""
    return f"key-{number % keys}" if keys else None


class TopicTarget:
    """A LoadTarget over an open gateway; `open` it first. Connects anew when a connection failed.

    `by_key`: each key's requests go to one partition, as the steps of a series must; else to the quietest of a few.
    """

    def __init__(
        self,
        gateway: KafkaInferenceGateway,
        model_name: str,
        payloads: Sequence[Payload],
        *,
        timeout_s: float,
        keys: int = 0,
        by_key: bool = False,
        model_version: str | None = None,
    ) -> None:
        self._gateway = gateway
        self._model_name = model_name
        self._payloads = [(payload.body, payload.content_type.encode()) for payload in payloads]
        self._timeout_s = timeout_s
        self._keys = keys
        self._by_key = by_key
        self._model_version = model_version
        self._exchange: ModelExchange | None = None
        self._connecting: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect to the model's topics. Errors as of InferenceGateway.infer."""
        self._exchange = await self._gateway.connect(self._model_name, all_partitions=self._by_key)

    def send(self, number: int) -> "asyncio.Future[Any]":
        """See LoadTarget."""
        body, content_type = self._payloads[number % len(self._payloads)]
        key = routing_key(number, self._keys)
        beside = Beside(routing_key=key, model_version=self._model_version)
        try:
            if self._exchange is None:
                raise RuntimeError("open the target first")
            if self._exchange.failed:
                self._connect_anew()
            partition = None
            if self._by_key and key is not None:
                partition = partition_of(key, len(self._exchange.partitions))
            return self._exchange.send(body, record_headers(content_type, beside, self._timeout_s), partition)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what came of this request
            failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            failed.set_exception(error)
            return failed

    def outcome(self, done: "asyncio.Future[Any]") -> Outcome:
        """See LoadTarget."""
        error = done.exception()
        if error is not None:
            return Outcome(error=type(error).__name__)
        answer: RawAnswer = done.result()
        try:
            glimpse: _Glimpse = _decoders[answer.raw].decode(answer.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Outcome(error="answer-unreadable")
        if not answer.ok:
            return Outcome(error=glimpse.error_code or "error")
        return Outcome(model_version=glimpse.model_version or "unknown")

    def _connect_anew(self) -> None:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._try_to_open())

    async def _try_to_open(self) -> None:
        try:
            await self.open()
        except (HotswapError, OSError):
            await asyncio.sleep(1.0)  # the next request tries again
