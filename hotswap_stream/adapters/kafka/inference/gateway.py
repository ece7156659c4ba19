"""Asking models by way of their topics. Each model's topics are connected to when it is first asked."""

import asyncio
import math
import secrets
import time
from collections.abc import Collection, Mapping
from typing import Any
from zlib import crc32

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from hotswap_events.inference.answers import AnswerTags
from hotswap_events.inference.messages import InferError, InferRequest, InferResponse
from hotswap_events.inference.windows import CLIENTS_NOTICE_SECONDS_MAX
from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.inference.correlation import RawAnswer
from hotswap_stream.adapters.kafka.inference.exchange import ModelExchange
from hotswap_stream.adapters.kafka.inference.records import (
    decode_answer,
    encode_request,
    partition_of,
    record_headers,
)
from hotswap_stream.adapters.kafka.inference.sender import RECORD_BYTES_MAX, Headers
from hotswap_stream.application.inference.gateway import (
    NOTHING_BESIDE,
    Beside,
    InferenceTimeoutError,
    InferenceUnavailableError,
    NoModelTopicsError,
    RequestTooLargeError,
)
from hotswap_stream.application.processes.shared_timeouts import SharedTimeouts
from hotswap_stream.kafka.sessions import open_admin
from hotswap_stream.kafka.topic_partitions import described_partitions

PARTITIONS_USED_MAX = 4
"""Partitions chosen of each model's. At least 4 keep latency low; more would mean reading more of others' answers."""
MODELS_CONNECTED_MAX = 64

UNCONFIRMED_SECONDS_MAX = 1.0
"""A broker that has not acknowledged a batch for longer than this is why no answer comes, and not the model."""
COUNTED_AGAIN_SECONDS = CLIENTS_NOTICE_SECONDS_MAX - 1.0
WINDOWS_ASKED_AGAIN_SECONDS = 5.0
"""A model without a windows topic may get one."""
_ALL = "/all"
"""After a model's name (which has no slash): the connection that uses all partitions."""

_random = secrets.SystemRandom()
_log = structlog.get_logger(__name__)


class KafkaInferenceGateway:
    """An InferenceGateway. At most `in_flight_max` requests at once; more wait for a place within their time.

    Without `partitions` it takes up to four of each model's by chance, so that several gateways spread out. Requests
    with a routing key to a model that takes windows go where Kafka's default partitioner puts the key, among all
    partitions: the steps of a series must meet in one.

    `tags` tell which answers count; without them those of an environment that has no key. `share`: which of how many
    gateways side by side this is; where there are partitions enough, no two use the same one, so that none reads the
    answers of another. With one, an id that may not repeat goes to the same partition from wherever it comes.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topics: Topics,
        *,
        in_flight_max: int = 1_024,
        partitions: Collection[int] | None = None,
        models_connected_max: int = MODELS_CONNECTED_MAX,
        tags: AnswerTags | None = None,
        share: tuple[int, int] | None = None,
    ) -> None:
        if in_flight_max < 1 or models_connected_max < 1:
            raise ValueError("in_flight_max and models_connected_max must be at least 1")
        self._client_options = dict(client_options)
        self._topics = topics
        self._tags = AnswerTags(topics.prefix) if tags is None else tags
        self._partitions = None if partitions is None else frozenset(partitions)
        self._share = share
        self._models_connected_max = models_connected_max
        self._places = asyncio.Semaphore(in_flight_max)
        self._timeouts = SharedTimeouts()
        self._connecting: dict[str, asyncio.Task[ModelExchange]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._exchanges: dict[str, ModelExchange] = {}
        """By model name, the one used last at the end."""
        self._windows: dict[str, float] = {}
        """Model → until when (monotonic seconds) it is taken to have no windows; infinity: it has."""
        self._counts: dict[str, tuple[float, asyncio.Task[None]]] = {}
        """Model → when (monotonic seconds) its partitions were counted, and who does it."""
        self._outgrown: list[ModelExchange] = []
        """Those of fewer partitions, with requests that wait for their answers."""
        self._closed = False

    async def close(self) -> None:
        """Disconnect. Requests that still wait fail."""
        self._closed = True
        await asyncio.gather(*(counting for _, counting in self._counts.values()), return_exceptions=True)
        while self._outgrown:
            await self._outgrown.pop().stop()
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
        beside: Beside = NOTHING_BESIDE,
        wait_s_max: float | None = None,
    ) -> InferResponse | InferError:
        """See InferenceGateway."""
        value, content_type = encode_request(request, raw=raw)
        headers = record_headers(content_type, beside, timeout_s)
        # A worker sees a repeated id only within a partition.
        id_decides = partition is None and request.id is not None and not beside.repeated_id_allowed
        series = beside.routing_key if partition is None else None

        async def ask() -> InferResponse | InferError:
            found = await self.ask(
                model_name,
                value,
                headers,
                timeout_s=timeout_s,
                partition=partition,
                partition_key=request.id if id_decides else None,
                series=series,
                wait_s_max=wait_s_max,
            )
            return decode_answer(found)

        answer = await ask()
        if series is not None and answer.parameters.window is not None:
            self._windows[model_name] = math.inf
            exchange = await self._exchange(model_name + _ALL)
            if answer.parameters.request_partition != partition_of(series, len(exchange.partitions)):
                # Sent before the model was known to take windows: its series is elsewhere.
                answer = await ask()
        return answer

    async def ask(
        self,
        model_name: str,
        value: bytes,
        headers: Headers,
        *,
        timeout_s: float,
        partition: int | None = None,
        partition_key: str | None = None,
        series: str | None = None,
        wait_s_max: float | None = None,
    ) -> RawAnswer:
        """Send a request that is encoded already, and return the answer's record, not decoded. Errors as of `infer`.

        Without a `partition`, requests of one `partition_key` go to the same one of those in use here, with a `share`
        of all. `series`: where the model takes windows, the same go to that key's partition for every client.
        """
        try:
            with self._timeouts.within(timeout_s):
                async with self._places:
                    exchange, partition, movable = await self._way(model_name, partition, partition_key, series)
                    return await exchange.ask(value, headers, partition, wait_s_max=wait_s_max, movable=movable)
        except TimeoutError as error:
            silent = self._silence(model_name, timeout_s)
            if silent is not None:
                raise InferenceUnavailableError(silent) from error
            raise InferenceTimeoutError(
                f"no answer from model {model_name!r} within {timeout_s:g} s{self._untagged(model_name)}"
            ) from error
        except MessageSizeTooLargeError as error:
            raise RequestTooLargeError(
                f"the request has {len(value)} bytes; a record may have {RECORD_BYTES_MAX}, less what Kafka adds"
            ) from error
        except (KafkaError, OSError) as error:
            raise InferenceUnavailableError(f"Kafka, on the way to model {model_name!r}: {error!r}") from error

    async def _way(
        self, model_name: str, partition: int | None, partition_key: str | None, series: str | None
    ) -> tuple[ModelExchange, int | None, bool]:
        """Return by which connection a request goes, into which partition, and whether another one would do."""
        windows = series is not None and await self._takes_windows(model_name)
        shared = series if windows else partition_key if self._share is not None else None
        if shared is not None:  # every gateway has the same one for it
            exchange = await self._of_all_partitions(model_name)
            return exchange, partition_of(shared, len(exchange.partitions)), False
        exchange = await self._exchange(model_name)
        if partition is not None and partition not in exchange.partitions:
            raise ValueError(
                f"partition {partition} of model {model_name!r} is not consumed here; {sorted(exchange.partitions)} are"
            )
        if partition_key is not None:
            partition = exchange.partitions[crc32(partition_key.encode()) % len(exchange.partitions)]
        return exchange, partition, True

    def _silence(self, model_name: str, timeout_s: float) -> str | None:
        """Return what Kafka has left undone, where that is why no answer came: its silence is not the model's."""
        if model_name in self._connecting or model_name + _ALL in self._connecting:
            return f"Kafka could not be reached within {timeout_s:g} s, on the way to model {model_name!r}"
        unconfirmed_s = max((exchange.unconfirmed_s for exchange in self._open_exchanges(model_name)), default=0.0)
        if unconfirmed_s < UNCONFIRMED_SECONDS_MAX:
            return None
        return f"Kafka has not confirmed requests to model {model_name!r} for {unconfirmed_s:.1f} s"

    def _untagged(self, model_name: str) -> str:
        """Return what a caller who waits in vain should look at."""
        untagged = sum(exchange.untagged for exchange in self._open_exchanges(model_name))
        if not untagged:
            return ""
        return (
            f"; {untagged} records came there without the tag of this environment's workers: if HOTSWAP_ANSWERS_KEY is "
            "set for them, it must be set here too"
        )

    def _open_exchanges(self, model_name: str) -> list[ModelExchange]:
        found = (self._exchanges.get(slot) for slot in (model_name, model_name + _ALL))
        return [exchange for exchange in found if exchange is not None]

    async def connect(self, model_name: str, *, all_partitions: bool = False) -> ModelExchange:
        """Return the connection to a model's topics, for callers that send without a task for each request.

        It belongs to the gateway, which may replace it once it has failed. Does not count against `in_flight_max`.
        `all_partitions`: where the sender chooses by key (`partition_of`), as for models that take windows.
        """
        return await self._exchange(model_name + _ALL if all_partitions else model_name)

    async def _takes_windows(self, model_name: str) -> bool:
        """Return whether workers keep windows for it: they make its topic before they answer the first such request."""
        until = self._windows.get(model_name, 0.0)
        if until <= time.monotonic():
            async with open_admin(self._client_options) as admin:
                found = bool(await described_partitions(admin, [self._topics.windows(model_name)]))
            while len(self._windows) >= self._models_connected_max:
                del self._windows[next(iter(self._windows))]
            until = math.inf if found else time.monotonic() + WINDOWS_ASKED_AGAIN_SECONDS
            self._windows[model_name] = until
        return until == math.inf

    async def _of_all_partitions(self, model_name: str) -> ModelExchange:
        """Return the connection to as many partitions as the model's topics have, or had a few seconds ago at most.

        Workers rely on that: windows follow their keys to new partitions when nobody sends to the old ones any more.
        """
        exchange = await self._exchange(model_name + _ALL)
        now_s = time.monotonic()
        known = self._counts.get(model_name)
        if known is None or (known[1].done() and now_s - known[0] >= COUNTED_AGAIN_SECONDS):
            self._counts.pop(model_name, None)
            while len(self._counts) >= self._models_connected_max:
                del self._counts[next(iter(self._counts))]
            counting = asyncio.create_task(self._replace_outgrown(model_name, exchange), name=f"count-{model_name}")
            known = self._counts[model_name] = now_s, counting
        if not known[1].done():
            await asyncio.shield(known[1])
        return await self._exchange(model_name + _ALL)

    async def _replace_outgrown(self, model_name: str, exchange: ModelExchange) -> None:
        for idle in [each for each in self._outgrown if not each.in_flight]:
            self._outgrown.remove(idle)
            await idle.stop()
        try:
            if await self._partition_count(model_name) <= len(exchange.partitions):
                return
            slot = model_name + _ALL
            if self._exchanges.get(slot) is exchange and not self._closed:
                del self._exchanges[slot]
                self._outgrown.append(exchange)
                await self._exchange(slot)
        except (KafkaError, OSError, NoModelTopicsError, InferenceUnavailableError) as error:
            _log.warning("partitions_not_counted", model_name=model_name, error=repr(error))

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
            slot, model_name = model_name, model_name.removesuffix(_ALL)
            count = await self._partition_count(model_name)
            exchange = ModelExchange(
                self._client_options,
                request_topic=self._topics.requests(model_name),
                response_topic=self._topics.responses(model_name),
                partitions=range(count) if slot != model_name else self._choose(model_name, count),
                tags=self._tags.of(model_name),
            )
            await exchange.start()
            self._exchanges[slot] = exchange
            return exchange

    def _choose(self, model_name: str, count: int) -> list[int]:
        if self._partitions is None:
            number, of = self._share or (1, 1)
            own = range(number - 1, count, of) if of <= count else range(count)
            return sorted(_random.sample(own, min(len(own), PARTITIONS_USED_MAX)))
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
        async with open_admin(self._client_options) as admin:
            described = await described_partitions(admin, names)
            if not described.keys() >= set(names):
                start = self._topics.requests("")
                known = sorted(name.removeprefix(start) for name in await admin.list_topics() if name.startswith(start))
                raise NoModelTopicsError(
                    f"model {model_name!r} has no topics {names[0]!r} and {names[1]!r}; models with topics: "
                    f"{', '.join(known[:20]) or 'none'}"
                )
        # Where somebody gave one of them more, workers answer in those that both have.
        return min(len(described[name]) for name in names)
