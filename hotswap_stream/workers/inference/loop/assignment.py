"""The partitions of one life of a loop: given, gone on with after their last answers, committed, and given back."""

import asyncio
import threading
import time
from collections.abc import Sequence
from functools import partial

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from hotswap_stream.kafka.unreadable_batches import ReadOn
from hotswap_stream.workers.inference.loop.answered_places import AnsweredPlaces
from hotswap_stream.workers.inference.loop.answering import Answering
from hotswap_stream.workers.inference.loop.checkpoint import resume_positions
from hotswap_stream.workers.inference.loop.clients import LifeClients
from hotswap_stream.workers.inference.loop.consumer_health import ConsumerHealth
from hotswap_stream.workers.inference.loop.intake import Intake
from hotswap_stream.workers.inference.loop.one_at_a_time import OneAtATime
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.loop.served_partitions import ServedWatch
from hotswap_stream.workers.inference.loop.waiting_requests import nothing_waits
from hotswap_stream.workers.inference.windows.keeper import WindowKeeper

_log = structlog.get_logger(__name__)

COMMIT_SECONDS = 1.0


class Assignment:
    """Begin, commit and end what a life answers. `on_…` are the consumer's callbacks; all in the thread of the life."""

    def __init__(
        self,
        parts: LoopParts,
        loop: asyncio.AbstractEventLoop,
        stopping: threading.Event,
        read_on: ReadOn,
        *,
        clients: LifeClients,
        health: ConsumerHealth,
        windows: WindowKeeper,
        intake: Intake,
        answering: Answering,
        alone: OneAtATime,
        answered: AnsweredPlaces,
    ) -> None:
        self._parts = parts
        self._loop = loop
        self._stopping = stopping
        self._read_on = read_on
        self._clients = clients
        self._health = health
        self._windows = windows
        self._intake = intake
        self._answering = answering
        self._alone = alone
        self._answered = answered
        self._served = ServedWatch(parts)
        self._tags = parts.config.answer_tags.of(parts.model_name)
        self._nothing_waits = partial(
            nothing_waits, parts.config.librdkafka_options, parts.config.worker, parts.request_topic
        )
        self._given: list[int] = []
        """Partitions of this worker, whether it can serve them or not."""
        self._next_commit = 0.0

    # --- the group ---------------------------------------------------------------------------------------------------

    def on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Go on after the last answer of each partition."""
        self._given = [partition.partition for partition in partitions]
        self._begin(consumer)

    def on_revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        """Let what is being computed be answered before a rebalance, then commit."""
        self._given = []
        if not self._health.failed:
            self.settle()
        self.drop()

    def on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop everything: somebody else has the partitions already."""
        self._given = []
        _log.warning("partitions_lost", model_name=self._parts.model_name, partitions=len(partitions))
        self.drop()

    def start_over(self) -> None:
        """Drop what was taken and not answered, and go on after the last answers."""
        partitions = list(self._intake.positions)
        self.drop()
        self._resume(self._clients.consumer, partitions)
        self._intake.rewind()

    def settle(self) -> None:
        """Answer what is being computed, wait until it is in the topic, commit. KafkaException."""
        self._answering.finish()
        self._answered.commit(self._clients.consumer, self._intake.positions, asynchronous=False)

    def drop(self) -> None:
        """Forget everything that was taken and not answered."""
        self._alone.drop()
        self._intake.drop()
        self._answered.clear()
        self._answering.drop()

    def _begin(self, consumer: Consumer) -> None:
        """Serve, of the partitions that were given to this worker, those that can be."""
        self.drop()
        self._answering.begin()
        self._resume(consumer, self._served.look(consumer, self._given))
        positions = self._intake.positions
        consumer.assign(self._intake.partitions(positions))
        numbers = tuple(sorted(positions))
        _log.info("partitions_assigned", model_name=self._parts.model_name, partitions=numbers)
        self._loop.call_soon_threadsafe(self._parts.host.on_partitions, numbers)

    def _resume(self, consumer: Consumer, partitions: Sequence[int]) -> None:
        config = self._parts.config
        found = resume_positions(
            config.librdkafka_options,
            config.worker,
            consumer,
            request_topic=self._parts.request_topic,
            response_topic=self._parts.response_topic,
            partitions=partitions,
            tags=self._tags,
            read_on=self._read_on,
            stopping=self._stopping,
        )
        self._windows.load(found)
        self._answered.begin(found)
        self._alone.begin(found)
        self._intake.begin(found)

    # --- commits: for lag, and as the second half of the checkpoint --------------------------------------------------

    def commit_if_due(self) -> None:
        """Commit what was answered about once a second, and look whether everything still moves. KafkaException."""
        now = time.monotonic()
        if now < self._next_commit:
            return
        self._next_commit = now + COMMIT_SECONDS
        answered, consumer, signs = self._answered, self._clients.consumer, self._parts.signs
        stuck = self._clients.sender.in_flight > 0 and answered.quiet
        self._clients.replies.poll()
        answered.commit(consumer, self._intake.positions, asynchronous=True)
        answered.tell(consumer, signs, self._intake.blocked, self._nothing_waits)
        self._check_consumer()
        if self._served.changed(consumer, self._given, doubtful=stuck):
            if stuck:  # no answer is taken any more
                raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, signs.advice or ""))
            self.settle()
            self._begin(consumer)

    def _check_consumer(self) -> None:
        """Raise KafkaException when requests have waited for long and the consumer brings none of them."""
        if self._intake.entries or self._answering.busy or self._clients.sender.in_flight:
            return
        silent = self._parts.signs.silent(self._answered.began_s, self._intake.blocked)
        if silent:
            reason = f"requests wait in partitions {silent} and the consumer brings none of them"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason))
