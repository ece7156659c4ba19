"""How far the partitions of one life are answered: for commits, for health, and for whoever asks who ended the life."""

import math
import time
from collections.abc import Callable, Collection, Mapping

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from hotswap_stream.application.inference.standstill import STANDSTILL_SECONDS_MAX
from hotswap_stream.workers.inference.health.signs import LifeSigns
from hotswap_stream.workers.inference.places.hand_over import Held, held_of

_log = structlog.get_logger(__name__)

SURE_SECONDS = STANDSTILL_SECONDS_MAX / 2
"""What seems to have stood still for longer is looked at once more."""
LATE_AGAIN_SECONDS = 0.3
"""How often it is said of late partitions that their last answers are under way, and that they are there, where Kafka
refused to take that."""
REFUSALS = frozenset(
    (
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    )
)
"""Errors by which it is certain that a commit was not taken. Of others it is not: said again, it could take the place
of what whoever has the partition has committed since."""


class AnsweredPlaces:
    """Hold, in `places`, partition → the offset below which all is answered."""

    def __init__(self, model_name: str, request_topic: str) -> None:
        self.places: dict[int, int] = {}
        self.any = False
        """Whether anything was answered in this life."""
        self.began_s = math.inf
        """Monotonic: when the partitions were assigned, the last time."""
        self._model_name = model_name
        self._request_topic = request_topic
        self.late: dict[int, int] = {}
        """The same of partitions that were given up while answers of theirs were under way: whoever has them waits."""
        self._next_late_s = 0.0
        self._last_words: dict[int, int] = {}
        """The same of late partitions whose last answers are there, until Kafka has taken the word of it."""
        self._refused: set[int] = set()
        """Those of which it has refused it."""
        self._uncommitted: dict[int, int] = {}
        self._empty: dict[int, tuple[int, int]] = {}
        """Partition → place and end between which no request waits, but markers of transactions stand."""

    @property
    def quiet(self) -> bool:
        """Whether nothing was answered since the last commit."""
        return not self._uncommitted

    def begin(self, positions: Mapping[int, int]) -> None:
        """Begin with more partitions, to be answered from these offsets on."""
        self.places = {**self.places, **positions}
        self.began_s = time.monotonic()

    def clear(self) -> None:
        """Forget the partitions: they are somebody else's."""
        self.places = {}
        for part in self.late.keys() | self._last_words:
            self.end_late(part)
        self._uncommitted.clear()
        self._empty.clear()

    def answered(self, partition: int, next_offset: int) -> None:
        """Note that the answers to all requests below the offset are in their topic."""
        self.any = True
        if partition in self.late:
            self.late[partition] = max(next_offset, self.late[partition])
        # Of a partition that was given up, or begun anew, answers may still be on their way
        if next_offset > self.places.get(partition, next_offset):
            self._uncommitted[partition] = self.places[partition] = next_offset

    def commit(self, member: Consumer, held: Held, assigned: Collection[int], *, asynchronous: bool = True) -> None:
        """Commit what was answered since the last time, of the partitions assigned."""
        places = {part: offset for part, offset in self._uncommitted.items() if part in assigned}
        self._uncommitted.clear()
        self._commit(member, held, places, asynchronous=asynchronous)

    def hold(self, member: Consumer, held: Held, partitions: Collection[int]) -> None:
        """Say that partitions are held: whoever is given them next waits for a word, also before the first answer."""
        self._commit(member, held, {part: self.places[part] for part in partitions}, asynchronous=True)

    def give_up(
        self,
        member: Consumer,
        held: Held,
        partitions: Collection[int],
        finished: Collection[int],
        *,
        asynchronous: bool = True,
    ) -> None:
        """Say behind the last answers that partitions are given up, and forget them.

        Only those are spoken of whose answers are `finished`: of others it is not known which the topic will have.
        """
        places = {part: self.places[part] for part in partitions if part in finished}
        self._commit(member, held, places, asynchronous=asynchronous)
        for part in partitions:
            for kept in (self._uncommitted, self._empty):
                kept.pop(part, None)
        self.places = {part: place for part, place in self.places.items() if part not in partitions}

    def leave_late(self, member: Consumer, held: Held, partitions: Collection[int]) -> None:
        """Say that partitions are about to be given up, and that answers of theirs are still under way."""
        places = {part: self.places[part] for part in partitions}
        self._commit(member, Held(held.worker, held.generation, leaving=True), places, asynchronous=True)
        self.late |= places

    def give_up_late(self, member: Consumer, held: Held, finished: Collection[int]) -> set[int]:
        """Say behind the last answers of late partitions that these are there, and of the others that they come.

        That again and again: while the group decides anew a commit is refused. Whoever has the partition would wait
        for the last word as long as it may.

        Returns:
            Those of which nothing is left to be said.
        """
        there = {part: self.late.pop(part) for part in finished if part in self.late}
        self._last_words |= there
        now_s = time.monotonic()
        if now_s >= self._next_late_s:
            self._next_late_s = now_s + LATE_AGAIN_SECONDS
            there |= {part: self._last_words[part] for part in self._refused}
            self._refused.clear()
            self._commit(member, Held(held.worker, held.generation, leaving=True), self.late, asynchronous=True)
        if not self._commit(member, held, there, asynchronous=True):
            self._refused |= there.keys()
        return {part for part in finished if part not in self.late and part not in self._last_words}

    def on_committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Take in what became of a commit: the client's callback."""
        for place in partitions:
            held, part = held_of(place.metadata), place.partition
            if part not in self._last_words or held is None or not held.given_up:
                continue
            refusal = place.error or error
            if refusal is not None and refusal.code() in REFUSALS:
                self._refused.add(part)
            else:
                self.end_late(part)

    def end_late(self, partition: int) -> None:
        """Say nothing more of a late partition."""
        self.late.pop(partition, None)
        self._last_words.pop(partition, None)
        self._refused.discard(partition)

    def _commit(self, member: Consumer, held: Held, places: Mapping[int, int], *, asynchronous: bool) -> bool:
        """Return whether the client has taken it."""
        if not places:
            return True
        text = held.text()
        offsets = [TopicPartition(self._request_topic, part, offset, text) for part, offset in places.items()]
        try:
            member.commit(offsets=offsets, asynchronous=asynchronous)  # type: ignore[call-overload]
        except KafkaException as error:
            # The answers themselves say where to go on; the commit only helps.
            _log.debug("commit_failed", model_name=self._model_name, error=str(error))
            return False
        return True

    def tell(
        self,
        consumer: Consumer,
        signs: LifeSigns,
        blocked: Collection[int],
        nothing_waits: Callable[[int, int, int], bool],
    ) -> None:
        """Tell health how far the partitions are, and how far they go, as far as the client knows by its fetches.

        `nothing_waits` is asked about a partition, its place and its end, where it seems to have stood for long. It
        says what is known by now.
        """
        ends: dict[int, int] = {}
        for partition in self.places:
            try:
                known = consumer.get_watermark_offsets(TopicPartition(self._request_topic, partition), cached=True)
            except KafkaException:  # nothing was fetched of it yet
                continue
            if known is not None:
                ends[partition] = known[1]
        for partition, (place, end) in self._empty.items():
            if (self.places.get(partition), ends.get(partition)) == (place, end):
                ends[partition] = place
        signs.look(self.places, ends, blocked)
        for partition in signs.standing(SURE_SECONDS):
            if partition not in blocked and nothing_waits(partition, self.places[partition], ends[partition]):
                self._empty[partition] = self.places[partition], ends[partition]
