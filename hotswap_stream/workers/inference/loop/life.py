"""One life of a model's loop: a consumer, a producer, and the thread that drives them.

librdkafka fetches ahead and sends later in threads of its own. Where a forward pass takes long it runs in a second
thread, while this one reads and decodes the next batch. Between fetch and send requests may lose their right to be
answered here: their partitions went to another worker, or the process stood still. Then they are dropped, and whoever
has the partition goes on after its last answer.
"""

import asyncio
import threading

from confluent_kafka import KafkaError, KafkaException

from hotswap_stream.kafka.callbacks import CallbackErrors
from hotswap_stream.kafka.unreadable_batches import reading_on
from hotswap_stream.workers.inference.loop.answered_places import AnsweredPlaces
from hotswap_stream.workers.inference.loop.answering import POLL_SECONDS, Answering
from hotswap_stream.workers.inference.loop.assignment import Assignment
from hotswap_stream.workers.inference.loop.clients import LifeClients, open_clients
from hotswap_stream.workers.inference.loop.consumer_health import ConsumerHealth
from hotswap_stream.workers.inference.loop.first_version import TURN_SECONDS, FirstVersion
from hotswap_stream.workers.inference.loop.intake import Intake
from hotswap_stream.workers.inference.loop.one_at_a_time import OneAtATime
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.loop.served_partitions import ServedWatch
from hotswap_stream.workers.inference.loop.taking_over import TakingOver
from hotswap_stream.workers.inference.loop.window_wiring import window_keeper
from hotswap_stream.workers.inference.requests.quarantine import Quarantine

_TAKEN_FOR_DEAD = "this worker said nothing for so long that others may have its partitions; it joins anew"


class LoopLife:
    """Take and answer requests. `run` it in a thread of its own, once."""

    def __init__(
        self,
        parts: LoopParts,
        loop: asyncio.AbstractEventLoop,
        stopping: threading.Event,
        quarantine: Quarantine,
        leaving: threading.Event | None = None,
    ) -> None:
        self.answered = AnsweredPlaces(parts.model_name, parts.request_topic)
        self._parts = parts
        self._loop = loop
        self._stopping = stopping
        self._leaving = threading.Event() if leaving is None else leaving
        self._health = ConsumerHealth(parts.model_name)
        self._callbacks = CallbackErrors()
        self._windows = window_keeper(parts, loop, stopping)
        self._read_on = reading_on(parts.config.client_options)
        self._quarantine = quarantine
        self._clients: LifeClients
        self._intake: Intake
        self._answering: Answering
        self._alone: OneAtATime
        self._assignment: Assignment
        self._taking: TakingOver
        self._first_version = FirstVersion(parts, loop)
        self._taken_for_dead = 0

    def run(self) -> None:
        """Take and answer requests until asked to stop, or until others have all partitions after the wish to leave.

        Raise what this life cannot go on after.
        """
        self._parts.signs.turn()
        self._connect()
        assignment = self._assignment
        try:
            # Whoever cannot answer yet leaves the partitions to others.
            while not (self._first_version.there() or self._leaving.is_set() or self._stopping.is_set()):
                self._stopping.wait(TURN_SECONDS)
            if not (self._leaving.is_set() or self._stopping.is_set()):
                self._taken_for_dead = self._parts.host.taken_for_dead
                assignment.join()
            while not self._stopping.is_set():
                if self._leaving.is_set():
                    assignment.leave()
                    if assignment.left:
                        break
                self._turn()
            assignment.settle()
        except Exception as error:
            if not self._stopping.is_set():
                self._alone.life_ended(error)
            raise
        finally:
            assignment.drop()
            assignment.close()
            self._first_version.close()
            self._taking.close()
            self._answering.close()
            self._clients.close()

    def _connect(self) -> None:
        parts, loop, stopping = self._parts, self._loop, self._stopping
        self._clients = clients = open_clients(
            parts,
            stopping,
            self._windows,
            on_consumer_error=self._health.notice,
            on_answered=self.answered.answered,
            on_commit=self._callbacks.guarded(self.answered.on_committed),
        )
        self._intake = Intake(parts, clients.consumer, self._health.notice)
        self._answering = Answering(
            parts,
            loop,
            stopping,
            windows=self._windows,
            sender=clients.sender,
            on_stall=self._start_over,
        )
        self._alone = OneAtATime(
            self._quarantine, self._intake, self._answering, clients, self.answered, parts.config.worker
        )
        served = ServedWatch(parts)
        self._taking = TakingOver(parts, loop, stopping, self._read_on, windows=self._windows, served=served)
        self._assignment = Assignment(
            parts,
            self._callbacks,
            clients=clients,
            health=self._health,
            windows=self._windows,
            intake=self._intake,
            answering=self._answering,
            alone=self._alone,
            answered=self.answered,
            served=served,
            taking=self._taking,
            loop=loop,
        )

    def _start_over(self) -> None:
        self._assignment.start_over()

    def _turn(self) -> None:
        intake, answering = self._intake, self._answering
        self._health.check()
        self._parts.signs.turn()
        if answering.overtaken:
            self._start_over()
        if self._parts.host.taken_for_dead != self._taken_for_dead:
            # They put it out of its group, whose coordinator may say so late: until then both would answer.
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID, _TAKEN_FOR_DEAD))
        self._clients.sender.poll(0)
        self._assignment.turn()
        if answering.busy:
            room = self._parts.host.batching.size_max - len(intake.entries)
            if not answering.wait(0.001 if room > 0 else POLL_SECONDS) and room > 0:
                intake.take_more(room, 0)
            return
        self._windows.flush_if_due()  # here, because all that was taken was answered
        if not intake.entries:
            intake.take_one(self._assignment.patience_s)
            if not intake.entries:
                return
        if not self._first_version.there():
            self._assignment.listen(TURN_SECONDS)
            return
        if self._alone.careful:
            self._alone.answer_next()
            return
        batching = self._parts.host.batching
        room = batching.size_max - len(intake.entries)
        if room > 0:
            intake.take_more(room, batching.wait_ms_max / 1000)
        if intake.entries:
            answering.start(intake.hand_over())
