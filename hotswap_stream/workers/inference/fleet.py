"""What this worker says of itself on the fleet topic, and what the others say."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from hotswap_events.inference.fleet import HEARTBEAT_SECONDS, LIVE_SECONDS_MAX, FleetRecord
from hotswap_stream.application.inference.fleet import FleetFold, FleetWorker
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.consumer_end import end_consumer
from hotswap_stream.kafka.producer_stop import stop_producer

GOODBYE_SECONDS_MAX = 5.0
"""Whoever waits for a worker's sign of life finds out soon enough; a broker that is gone must not hold up the end."""
FLUSH_SECONDS_MAX = 1.0

_log = structlog.get_logger(__name__)

POLL_MS = 1_000
BEAT_SECONDS = HEARTBEAT_SECONDS / 2
"""How often this worker repeats its records: more often than it has to, so that its death is seen soon."""
FALLEN_SECONDS = 2.0
"""A worker of which the brokers took nothing while they took this worker's words for so long does not run."""
SUSPECTED_SECONDS = 1.2
"""One that was silent for so long, more than a beat, is listened for more closely."""
CLOSE_BEAT_SECONDS = 0.25
"""How often this worker speaks while somebody is suspected: silence is known no better than by its own words."""
_ECHOES_KEPT = 16
_ECHO_SECONDS_MIN = 0.2

_encoder = msgspec.json.Encoder()


class Fleet:
    """Publish this worker's records (on change and as a heartbeat) and fold everybody's."""

    def __init__(self, client_options: Mapping[str, Any], topic: str, worker: str) -> None:
        self.tasks = WatchedTasks("the fleet topic")
        self._client_options = dict(client_options)
        self._partition = TopicPartition(topic, 0)
        self._worker = worker
        self._own: dict[str, FleetRecord] = {}
        self._fold = FleetFold()
        self._caught_up = False
        self._echo_s: float | None = None
        """When a record of this worker itself was read, by this clock: then everybody else's are read, too."""
        self._echoes: deque[float] = deque(maxlen=_ECHOES_KEPT)
        """When records of this worker were appended, by the broker's clock: some, in order."""
        self.taken_for_dead = 0
        """How often others may have taken this worker for dead: they were heard for as long as `fallen` asks for while
        it said nothing, and then it spoke again."""
        self._heard_since: dict[str, float] = {}
        """Other workers that the fold knows, and when their first word after this worker's last one was appended."""
        self._was_silent = False
        self._changed = asyncio.Event()
        self._published_s = time.monotonic()
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect, and begin to publish and to follow."""
        self._producer = clients.producer(**self._client_options, acks="all", linger_ms=0)
        self._consumer = clients.consumer(**self._client_options, group_id=None, auto_offset_reset="earliest")
        await self._producer.start()
        await self._consumer.start()
        self._consumer.assign([self._partition])
        await self._consumer.seek_to_beginning(self._partition)
        self.tasks.start(self._publish(self._producer), name="fleet-publish")
        self.tasks.start(self._follow(self._consumer), name="fleet-follow")

    async def stop(self) -> None:
        """Say goodbye (null values) and disconnect."""
        await self.tasks.stop()
        if self._producer is not None:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS_MAX):
                    for model_name in self._own:
                        await self._producer.send_and_wait(
                            self._partition.topic, None, self._key(model_name), partition=0
                        )
            await stop_producer(self._producer, flush_seconds_max=FLUSH_SECONDS_MAX)
        if self._consumer is not None:
            await end_consumer(self._consumer)

    def report(self, record: FleetRecord) -> None:
        """Publish this worker's view of one model."""
        before = self._own.get(record.model_name)
        self._own[record.model_name] = record
        # How many requests wait changes all the time; it goes with the next heartbeat.
        if before is None or replace(before, waiting=record.waiting) != record:
            self._changed.set()

    @property
    def silent_s(self) -> float:
        """How many seconds Kafka has not taken this worker's records."""
        return time.monotonic() - self._published_s

    @property
    def known(self) -> bool:
        """Whether what the others say is read as they say it: this worker's own words came back lately.

        Without it nothing follows from anybody's silence.
        """
        return self._caught_up and self._echo_s is not None and time.monotonic() - self._echo_s <= LIVE_SECONDS_MAX

    @property
    def following(self) -> bool:
        """Whether the fleet is known as far as there is anything that this worker would hear of itself."""
        return self.known or not self._own

    def others(self, model_name: str) -> list[FleetWorker] | None:
        """Return the other live workers of one model; None while they are not known, which is not the same as none."""
        if not self.known:
            return None
        workers = self._fold.workers(model_name, time.monotonic())
        return [worker for worker in workers if worker.live and worker.worker != self._worker]

    def gone(self, model_name: str, worker: str) -> bool:
        """Return whether a worker says nothing of a model any more, or never did. For any thread.

        It does before it joins the group, and takes that back when it has given everything up, or when it is started
        again after it died.
        """
        return self.known and not self._fold.has(model_name, worker)

    def fallen(self, model_name: str) -> dict[str, float]:
        """Return the other workers of a model that seem to be dead, and when their last word was appended.

        Both sides are measured by the broker's clock, and only while the brokers took what this worker said: when they
        are away, everybody is silent.
        """
        if not self.known:
            return {}
        found = {}
        for worker, appended_s in self._fold.last_words(model_name).items():
            echo_s = next((echo_s for echo_s in self._echoes if echo_s > appended_s), None)
            if worker != self._worker and echo_s is not None and self._echoes[-1] - echo_s >= FALLEN_SECONDS:
                found[worker] = appended_s
        return found

    def suspected(self, model_name: str) -> bool:
        """Return whether another worker of a model says less than it should, but not for so long that it has fallen."""
        if not self.known:
            return False
        fallen, newest_s = self.fallen(model_name), max(self._echoes, default=0.0)
        return any(
            newest_s - appended_s > SUSPECTED_SECONDS and worker != self._worker and worker not in fallen
            for worker, appended_s in self._fold.last_words(model_name).items()
        )

    def _key(self, model_name: str) -> bytes:
        return f"{self._worker}/{model_name}".encode()

    async def _publish(self, producer: AIOKafkaProducer) -> None:
        next_beat_s = 0.0
        while True:
            suspecting, now_s = [name for name in self._own if self.suspected(name)], time.monotonic()
            names = suspecting[:1]  # any of its words will do
            if self._changed.is_set() or now_s >= next_beat_s:
                names, next_beat_s = list(self._own), now_s + BEAT_SECONDS
            self._changed.clear()
            try:
                for model_name in names:
                    await producer.send_and_wait(
                        self._partition.topic,
                        _encoder.encode(self._own[model_name]),
                        self._key(model_name),
                        partition=0,
                    )
                if names or not self._own:
                    self._published_s = time.monotonic()
            except KafkaError as error:
                _log.warning("fleet_not_published", error=repr(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(
                    self._changed.wait(), CLOSE_BEAT_SECONDS if suspecting else max(0.0, next_beat_s - time.monotonic())
                )

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        end: int | None = None
        while True:
            try:
                if end is None:
                    end = (await consumer.end_offsets([self._partition]))[self._partition]
                if not self._caught_up and await consumer.position(self._partition) >= end:
                    self._fold.caught_up(time.monotonic())
                    self._caught_up = True
                fetched = (await consumer.getmany(timeout_ms=POLL_MS)).get(self._partition, ())
            except KafkaError as error:
                _log.warning("fleet_not_read", error=repr(error))
                await asyncio.sleep(HEARTBEAT_SECONDS)
                continue
            for record in fetched:
                self._read(record.key, record.value, record.timestamp / 1_000)

    def _read(self, key: bytes | None, value: bytes | None, appended_s: float) -> None:
        """Take in one record, whatever its bytes."""
        now_s = time.monotonic()
        self._fold.apply(key, value, now_s if self._caught_up else appended_s, appended_s)
        if value is None or not self._caught_up:
            return
        speaker, _, model_name = (key or b"").decode(errors="replace").rpartition("/")
        if speaker == self._worker:
            if self._was_silent:
                self.taken_for_dead += 1
                _log.warning("taken_for_dead", worker=self._worker)
            self._heard_since.clear()
            self._was_silent = False
            self._echo_s = now_s
            if not self._echoes or appended_s - self._echoes[-1] >= _ECHO_SECONDS_MIN:
                self._echoes.append(appended_s)
        elif self._echo_s is not None and self._fold.has(model_name, speaker):  # not whatever somebody wrote
            first_s = self._heard_since.setdefault(speaker, appended_s)
            self._was_silent |= appended_s - first_s >= FALLEN_SECONDS
