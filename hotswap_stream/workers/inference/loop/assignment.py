"""The partitions of one life of a loop: given, gone on with after their last answers, committed, and given up.

The group says which partitions are this worker's, and nothing more: they are read by a client of their own. So while
the group decides anew, all partitions are answered on, and when it has, only those stop that went to somebody else.
What was being answered of them is finished and committed as given up; new ones are looked at beside the loop.
"""

import asyncio
import time
from collections.abc import Collection

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from hotswap_stream.kafka.callbacks import CallbackErrors
from hotswap_stream.kafka.librdkafka import is_fatal, partition_count
from hotswap_stream.workers.inference.loop.answered_places import SURE_SECONDS, AnsweredPlaces
from hotswap_stream.workers.inference.loop.answering import POLL_SECONDS, Answering
from hotswap_stream.workers.inference.loop.clients import LifeClients
from hotswap_stream.workers.inference.loop.consumer_health import ConsumerHealth
from hotswap_stream.workers.inference.loop.intake import Intake
from hotswap_stream.workers.inference.loop.one_at_a_time import OneAtATime
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.loop.served_partitions import ServedWatch
from hotswap_stream.workers.inference.loop.taking_over import TakingOver
from hotswap_stream.workers.inference.places.hand_over import UNKNOWN, Held, generation_of
from hotswap_stream.workers.inference.places.searching import Found
from hotswap_stream.workers.inference.places.waiting_requests import WaitingWatch
from hotswap_stream.workers.inference.windows.keeper import WindowKeeper

_log = structlog.get_logger(__name__)

COMMIT_SECONDS = 1.0
COUNT_SECONDS = 2.0
"""How often it is looked whether the requests have more partitions."""
SOON_SECONDS = 0.005
"""How long requests are waited for while partitions are on their way."""
GIVE_UP_SECONDS_MAX = 0.3
"""How long the answers of partitions that went to others are waited for at once: well below what whoever has them waits
for a word (`taking_over.GIVEN_UP_SECONDS_MAX`). It hears then that they are under way, and waits for them."""
LATE_SECONDS_MAX = 7.5
"""How long these are sent on. Below `taking_over.LEAVING_SECONDS_MAX`, after which somebody else answers."""
HOLD_SECONDS = 0.2
"""How often it is looked whether Kafka takes the answers of each partition."""
IDLE_SECONDS = 0.02
"""How long the group is waited for where there is no partition to wait for."""


class Given(Struct, frozen=True):
    """What the group decided. `generation`: see `hand_over`; None when the worker is no member any more."""

    partitions: frozenset[int]
    generation: int | None


class Assignment:
    """Begin, commit and end what a life answers. `on_…` are the member's callbacks; all in the thread of the life."""

    def __init__(
        self,
        parts: LoopParts,
        callbacks: CallbackErrors,
        *,
        clients: LifeClients,
        health: ConsumerHealth,
        windows: WindowKeeper,
        intake: Intake,
        answering: Answering,
        alone: OneAtATime,
        answered: AnsweredPlaces,
        served: ServedWatch,
        taking: TakingOver,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._parts = parts
        self._callbacks = callbacks
        self._clients = clients
        self._health = health
        self._windows = windows
        self._intake = intake
        self._answering = answering
        self._alone = alone
        self._answered = answered
        self._served = served
        self._taking = taking
        self._loop = loop
        self._waiting = WaitingWatch(
            parts.config.librdkafka_options, parts.config.worker, parts.request_topic, again_seconds=SURE_SECONDS
        )
        self._news: list[Given] = []
        self._given: frozenset[int] = frozenset()
        """Partitions of this worker, whether it can serve them or not."""
        self._generation = UNKNOWN
        self._moving = False
        self._leaving = False
        self._told: tuple[int, ...] | None = None
        self._counted = 0
        """Partitions of the request topic, as the group was told."""
        self._counted_before = 0
        """As many there were when this life began."""
        self._next_count = 0.0
        self._next_commit = 0.0
        self._next_hold = 0.0
        self._late_until: dict[int, float] = {}
        """Partitions that went to others while answers of theirs were under way; monotonic."""

    # --- the group ---------------------------------------------------------------------------------------------------

    def on_assign(self, member: Consumer, partitions: list[TopicPartition]) -> None:
        """Take in which partitions are this worker's."""
        member.assign([])  # they are read by another client
        numbers = frozenset(place.partition for place in partitions if place.topic == self._parts.request_topic)
        self._news.append(Given(numbers, generation_of(member)))
        self._moving = False

    def on_revoke(self, _member: Consumer, _partitions: list[TopicPartition]) -> None:
        """Take in that the group decides anew. Until it has, nobody else is given these partitions."""
        self._moving = True

    def on_lost(self, _member: Consumer, _partitions: list[TopicPartition]) -> None:
        """Take in that somebody else has the partitions already."""
        self._news.append(Given(frozenset(), None))

    def join(self) -> None:
        """Become a member of the group. Blocking for a moment. KafkaException."""
        self._counted = partition_count(self._clients.consumer, self._parts.request_topic)
        self._counted_before = self._counted
        self._subscribe(self._parts.request_topic, self._mark())

    def leave(self) -> None:
        """Ask the group to give the partitions to others, and answer them until it did: see `left`."""
        if not self._leaving:
            self._leaving = True
            if self._generation != UNKNOWN:
                # A member that wants other topics only is given none of these, and hears when somebody else has them
                self._subscribe(self._parts.config.topics.fleet)

    @property
    def left(self) -> bool:
        """Whether nothing is to be answered here any more, after `leave`."""
        busy = self._given or self._intake.positions or self._moving or self._late_until
        return self._generation == UNKNOWN or not busy

    def _mark(self) -> str:
        """Return the topic that stands for the number of partitions in what this member tells the group.

        The group's leader alone shares new partitions out, and only when it sees them come. One that is started again
        in that moment does not, and what a member tells without a change counts for nothing. So each says something
        else when there are more partitions, which makes the group decide anew.
        """
        topics = self._parts.config.topics
        marks = (topics.fleet, topics.registry, topics.dead_letters, topics.observations, topics.comparisons)
        return marks[self._counted.bit_length() % len(marks)]

    def _count_if_due(self) -> None:
        """Tell the group when the requests have more partitions."""
        now_s = time.monotonic()
        if now_s < self._next_count or self._leaving:
            return
        self._next_count = now_s + COUNT_SECONDS
        counted = self._taking.counted()
        if counted > self._counted:
            _log.info("partitions_added", model_name=self._parts.model_name, partitions=counted, before=self._counted)
            self._counted = counted
            self._subscribe(self._parts.request_topic, self._mark())

    def _subscribe(self, *topics: str) -> None:
        guarded = self._callbacks.guarded
        self._clients.member.subscribe(
            list(topics),
            on_assign=guarded(self.on_assign),
            on_revoke=guarded(self.on_revoke),
            on_lost=guarded(self.on_lost),
        )

    # --- turns of the loop -------------------------------------------------------------------------------------------

    @property
    def patience_s(self) -> float:
        """How long the loop may wait for a request."""
        soon = self._taking.busy or self._moving or self._clients.sender.waiting or self._late_until
        return SOON_SECONDS if soon or not self._intake.positions else POLL_SECONDS

    def turn(self) -> None:
        """Hear of the group, give up what went to others, begin what was found, commit. KafkaException."""
        self.listen(0 if self._intake.positions or self._taking.busy else IDLE_SECONDS)
        while self._news:
            self._follow(self._news.pop(0))
        for found in self._taking.found(serving=bool(self._intake.positions)):
            self._begin(found)
        if self._late_until:
            self._speak_late()
        self._count_if_due()
        self._hold_if_due()
        self._commit_if_due()

    def listen(self, seconds_max: float) -> None:
        """Let the member do its part in the group, and wait so long for what it says. KafkaException."""
        said = self._clients.member.poll(seconds_max)
        error = None if said is None else said.error()
        if error is not None and (is_fatal(error) or not error.retriable()):
            self._health.notice(error)
        self._callbacks.check()

    def start_over(self) -> None:
        """Drop what was taken and not answered, and go on after the last answers."""
        self.drop()
        self._taking.start(self._given, UNKNOWN)

    def settle(self) -> None:
        """Answer what is being computed, wait until it is in the topic, give everything up. KafkaException."""
        if self._health.failed:
            return
        partitions = list(self._intake.positions)
        finished = self._answering.finish(partitions)
        member, held = self._clients.member, self._held(given_up=True)
        self._answered.give_up(member, held, partitions, finished, asynchronous=False)

    def drop(self) -> None:
        """Forget everything that was taken and not answered."""
        self._taking.cancel()
        self._alone.drop()
        self._intake.drop()
        self._answered.clear()
        self._late_until.clear()
        self._answering.drop()

    def close(self) -> None:
        """Find nothing more out."""
        self._waiting.close()

    def _follow(self, given: Given) -> None:
        if given.generation is None:
            _log.warning("partitions_lost", model_name=self._parts.model_name, partitions=len(self._given))
            self._given, self._generation = frozenset(), UNKNOWN
            self.drop()
            self._tell()
            return
        # In a generation that passed without this worker, somebody else may have answered.
        known = UNKNOWN < given.generation <= self._generation + 1 and self._generation != UNKNOWN
        self._given, self._generation = given.partitions, given.generation
        self._served.given(given.partitions)
        self._end_late(given.partitions)
        serving = set(self._intake.positions)
        self._give_up(serving - given.partitions if known else serving)
        self._taking.cancel(self._taking.wanted - given.partitions if known else None)
        new = given.partitions - self._intake.positions.keys() - self._taking.wanted
        # Those that were there before come first: the windows of others may have to be waited for.
        young = {partition for partition in new if partition >= self._counted_before}
        self._taking.start(new - young, given.generation)
        self._taking.start(young, given.generation)
        if not self._taking.busy:
            self._tell()

    def _give_up(self, partitions: Collection[int]) -> None:
        """Answer what was begun of these partitions, and leave the rest to whoever has them now."""
        if not partitions:
            return
        finished = self._answering.finish(partitions, seconds_max=GIVE_UP_SECONDS_MAX)
        gone = [partition for partition in partitions if partition in self._intake.positions]
        self._intake.leave(gone)
        late = set(gone) - finished
        self._answered.leave_late(self._clients.member, self._held(), late)
        self._answered.give_up(self._clients.member, self._held(given_up=True), gone, finished)
        self._answering.leave(gone, sending=late)
        self._late_until |= dict.fromkeys(late, time.monotonic() + LATE_SECONDS_MAX)
        _log.info("partitions_given_up", model_name=self._parts.model_name, partitions=sorted(gone), late=sorted(late))
        self._tell()

    def _speak_late(self) -> None:
        """Say which partitions that went to others have their last answers, until that is heard. KafkaException."""
        there = self._clients.sender.settle(self._late_until, seconds_max=0.0)
        said = self._answered.give_up_late(self._clients.member, self._held(given_up=True), there)
        if said:
            _log.info("late_partitions_given_up", model_name=self._parts.model_name, partitions=sorted(said))
        now_s = time.monotonic()
        self._end_late(said | {partition for partition, until_s in self._late_until.items() if until_s < now_s})

    def _end_late(self, partitions: Collection[int]) -> None:
        """Send nothing more of partitions that went to others."""
        late = self._late_until.keys() & partitions
        if late:
            self._clients.sender.forget(late)
        for partition in late:
            del self._late_until[partition]
            self._answered.end_late(partition)

    def _begin(self, found: Found) -> None:
        """Answer partitions whose places are known now."""
        if not self._intake.positions:
            self._answering.begin()
        self._windows.install(found.windows)
        windows_topic = self._parts.windows_topic if self._windows.active else None
        self._clients.sender.expect(found.positions, windows_topic)
        self._answered.begin(found.positions)
        self._answered.hold(self._clients.member, self._held(), found.positions)
        self._intake.begin(found.positions)
        self._alone.begin(self._answered.places)
        self._tell()

    def _held(self, *, given_up: bool = False) -> Held:
        current = self._parts.slots.current if given_up else None
        chosen_by = None if current is None else current.registry_offset
        return Held(self._parts.config.worker, max(0, self._generation), given_up, chosen_by)

    def _tell(self) -> None:
        numbers = tuple(sorted(self._intake.positions))
        if numbers != self._told:
            self._told = numbers
            _log.info("partitions_assigned", model_name=self._parts.model_name, partitions=numbers)
            self._loop.call_soon_threadsafe(self._parts.host.on_partitions, numbers)

    # --- commits: for lag, and as the second half of the checkpoint --------------------------------------------------

    def _hold_if_due(self) -> None:
        """Read no more of partitions whose answers Kafka does not take: others are answered on. KafkaException."""
        now_s = time.monotonic()
        if now_s >= self._next_hold:
            self._next_hold = now_s + HOLD_SECONDS
            self._intake.hold(self._clients.sender.stuck())

    def _commit_if_due(self) -> None:
        """Commit what was answered about once a second, and look whether everything still moves. KafkaException."""
        now = time.monotonic()
        if now < self._next_commit:
            return
        self._next_commit = now + COMMIT_SECONDS
        answered, signs = self._answered, self._parts.signs
        stuck = self._clients.sender.in_flight > 0 and answered.quiet
        self._clients.replies.poll()
        answered.commit(self._clients.member, self._held(), self._intake.positions)
        answered.tell(self._clients.consumer, signs, self._intake.blocked, self._waiting.nothing)
        self._check_consumer()
        if self._served.changed(self._clients.consumer, self._given, doubtful=stuck):
            if stuck:  # no answer is taken any more
                raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, signs.advice or ""))
            self._answering.finish(list(self._intake.positions))
            self.start_over()

    def _check_consumer(self) -> None:
        """Raise KafkaException when requests have waited for long and the consumer brings none of them."""
        if self._intake.entries or self._intake.ahead or self._answering.busy or self._clients.sender.in_flight:
            return
        silent = self._parts.signs.silent(self._answered.began_s, self._intake.blocked)
        if silent:
            reason = f"requests wait in partitions {silent} and the consumer brings none of them"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason))
