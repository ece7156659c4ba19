"""Observations and comparisons of a worker into their topics, once a second, through one producer.

While Kafka takes nothing, observations are not lost: the tallies go on counting, and the next record is about a longer
time. What was numbered and not acknowledged is sent again, the same bytes in the same batch, until it is. So nothing
grows, and `kill -9` loses what was counted since the last record: about a second.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner
from msgspec.structs import asdict, replace

from hotswap_events.inference.fleet import ObservationsLost
from hotswap_events.inference.observation import OBSERVATION_SECONDS, Observation
from hotswap_events.topics import Topics
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.producer_stop import stop_producer
from hotswap_stream.workers.inference.observing.observer import Observer

_log = structlog.get_logger(__name__)

BATCH_BYTES_MAX = 1_000_000
"""Size of one model's records of one second: at most some 64 of about 10 kB."""
LAST_SEND_SECONDS_MAX = 5.0
"""A worker that stops waits this long for Kafka to take its last observations."""

_encoder = msgspec.json.Encoder()


TOLD_AGAIN_SECONDS = 60.0
"""While Kafka does not take a model's observations, the log says so this often."""


class ObservationSender:
    """Send what observers counted. `add` each model's observer; `start`, `stop`.

    `on_lost` is called with a model of which something was lost, `on_observed` with each observation, once.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topics: Topics,
        *,
        on_lost: Callable[[str], None] = lambda _name: None,
        on_observed: Callable[[Observation], None] = lambda _observation: None,
    ) -> None:
        self._client_options = dict(client_options)
        self._topics = topics
        self._observers: list[Observer] = []
        self._unsent: dict[str, list[bytes]] = {}
        """Model → records that are numbered and not acknowledged."""
        self._records_dropped: dict[str, int] = {}
        self._on_lost, self._on_observed = on_lost, on_observed
        self._lost: dict[str, ObservationsLost] = {}
        """Model → as it was told of."""
        self._failing: dict[str, tuple[float, float]] = {}
        """Model → since when nothing is taken, and when the log said so last (monotonic seconds)."""
        self._producer: AIOKafkaProducer | None = None
        self.tasks = WatchedTasks("the observations")
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Connect and begin to send. KafkaError."""
        self._producer = clients.producer(
            **self._client_options, acks="all", linger_ms=0, max_batch_size=BATCH_BYTES_MAX
        )
        await self._producer.start()
        self._task = self.tasks.started(self._send_always(self._producer), name="observations")

    def add(self, observer: Observer) -> None:
        """Send what this one sees, too."""
        self._observers.append(observer)

    def lost(self, observer: Observer) -> ObservationsLost:
        """Return what could not be told of a model's answers so far."""
        return replace(observer.lost, records_dropped=self._records_dropped.get(observer.model_name, 0))

    async def stop(self) -> None:
        """Send what is there, and disconnect."""
        if self._producer is None or self._task is None:
            return
        # By an event, because a cancellation may be swallowed inside the client.
        self._stopping.set()
        self.tasks.expect_end()
        await asyncio.wait({self._task}, timeout=LAST_SEND_SECONDS_MAX)
        if not self._task.done():
            _log.warning("observations_lost", unsent={name: len(values) for name, values in self._unsent.items()})
            self._task.cancel()
        for observer in self._observers:
            lost = self.lost(observer)
            if lost != ObservationsLost():
                _log.warning("observations_incomplete", model_name=observer.model_name, **asdict(lost))
        await stop_producer(self._producer, flush_seconds_max=LAST_SEND_SECONDS_MAX)

    async def _send_always(self, producer: AIOKafkaProducer) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), OBSERVATION_SECONDS)
            await self._send_all(producer)

    async def _send_all(self, producer: AIOKafkaProducer) -> None:
        for observer in self._observers:
            model_name = observer.model_name
            try:
                unsent = self._unsent.get(model_name)
                if unsent is None and (records := observer.drain()):
                    unsent = self._unsent[model_name] = [_encoder.encode(record) for record in records]
                    for record in records:
                        self._on_observed(record)
                if unsent is not None:
                    await self._send_observations(producer, model_name, unsent)
                await self._send_comparisons(producer, observer)
            except KafkaError as error:
                self._not_taken(model_name, error)
            except Exception:  # noqa: BLE001 - one model's figures must not keep those of the others back, nor end this
                self._unsent.pop(model_name, None)
                _log.exception("observations_failed", model_name=model_name)
            else:
                self._taken(model_name)
            self._tell(observer)

    def _not_taken(self, model_name: str, error: KafkaError) -> None:
        now_s = time.monotonic()
        since_s, told_s = self._failing.get(model_name, (now_s, -TOLD_AGAIN_SECONDS))
        if now_s - told_s >= TOLD_AGAIN_SECONDS:
            told_s = now_s
            seconds = round(now_s - since_s, 1)
            _log.warning("observations_not_sent", model_name=model_name, seconds=seconds, error=repr(error))
        self._failing[model_name] = since_s, told_s

    def _taken(self, model_name: str) -> None:
        since_s, _ = self._failing.pop(model_name, (None, None))
        if since_s is not None:
            _log.info("observations_sent_again", model_name=model_name, seconds=round(time.monotonic() - since_s, 1))

    def _tell(self, observer: Observer) -> None:
        lost = self.lost(observer)
        if lost != self._lost.get(observer.model_name, ObservationsLost()):
            self._lost[observer.model_name] = lost
            self._on_lost(observer.model_name)

    async def _send_observations(self, producer: AIOKafkaProducer, model_name: str, values: list[bytes]) -> None:
        left_out = await self._send(producer, self._topics.observations, model_name, values)
        del self._unsent[model_name]
        if left_out:
            self._records_dropped[model_name] = self._records_dropped.get(model_name, 0) + left_out
            _log.error("observations_too_large", model_name=model_name, records=left_out, bytes_max=BATCH_BYTES_MAX)

    async def _send_comparisons(self, producer: AIOKafkaProducer, observer: Observer) -> None:
        """Send a sample: what is not taken now is not sent again, but counted."""
        shown = observer.drain_comparisons()
        if not shown:
            return
        dropped = len(shown)
        try:
            values = [_encoder.encode(comparison) for comparison in shown]
            dropped = await self._send(producer, self._topics.comparisons, observer.model_name, values)
        finally:
            observer.comparisons_lost(dropped)

    async def _send(self, producer: AIOKafkaProducer, topic: str, model_name: str, values: Iterable[bytes]) -> int:
        """Send in one batch, so that either all are written, or none. KafkaError.

        Returns:
            How many found no room in it.
        """
        key = model_name.encode()
        partitions = sorted(await producer.partitions_for(topic))
        partition = DefaultPartitioner()(key, partitions, partitions)
        batch = producer.create_batch()
        left_out = sum(batch.append(key=key, value=value, timestamp=None) is None for value in values)
        batch.close()
        await (await producer.send_batch(batch, topic, partition=partition))
        return left_out
