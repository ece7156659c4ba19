"""The answers of each partition on their way: which wait for something before them, and how far the others have come.

What keeps one partition from being answered, such as a leader that is away, must not keep the others. So each has a
lane of its own, in which an answer waits for the one before it, and for the copy of its request that comes first.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable

from confluent_kafka import KafkaError, Message
from msgspec import Struct

from hotswap_stream.workers.inference.answers.writer import Answer

STUCK_SECONDS = 1.0
"""A partition of which Kafka took nothing for so long, though it was given something, is stuck."""

OnDelivery = Callable[[KafkaError | None, Message], None]


class Letter(Struct):
    """A copy of a request among the dead letters: its answer waits until it is there, or was refused."""

    there: bool = False


class Waiting(Struct):
    """An answer that is not handed to Kafka yet."""

    answer: Answer
    on_delivery: OnDelivery | None
    letter: Letter | None = None
    replaced: bool = False
    """Whether it is the error in place of an answer that Kafka did not take."""


class Lane(Struct):
    """The answers of one partition, in order."""

    waiting: deque[Waiting]
    opening: bool = False
    """Whether the first record of a producer in this partition is on its way: none may follow before it was taken."""
    handed: int = 0
    """Behind the last request whose answer was handed over."""
    answered: int = 0
    """Behind the last request whose answer is in its topic."""
    since_s: float = 0.0
    """Monotonic: since when no answer of those under way was taken."""

    @property
    def under_way(self) -> int:
        """How many answers are under way, or a few more: the offsets of requests may leave some out."""
        return max(0, self.handed - self.answered)

    def hand(self, next_offset: int, now_s: float) -> None:
        """Note that the answers to all requests below the offset are handed over."""
        if self.handed <= self.answered:
            self.since_s = now_s
        self.handed = next_offset

    def take(self, next_offset: int, now_s: float) -> None:
        """Note that the answers to all requests below the offset are in their topic."""
        self.answered, self.since_s = max(next_offset, self.answered), now_s

    def stuck(self, now_s: float) -> bool:
        """Return whether Kafka has taken nothing of what is under way for too long."""
        return self.handed > self.answered and now_s - self.since_s > STUCK_SECONDS


class Lanes:
    """All lanes of one sender."""

    def __init__(self) -> None:
        self.waiting = 0
        """Answers that are not handed to Kafka yet, in all lanes."""
        self._lanes: dict[int, Lane] = {}

    def of(self, partition: int) -> Lane:
        """Return the lane of a partition."""
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = Lane(deque())
        return lane

    def put(self, partition: int, waiting: Waiting) -> None:
        """Let an answer wait behind those that wait already."""
        self.of(partition).waiting.append(waiting)
        self.waiting += 1

    def stuck(self, now_s: float) -> dict[int, int]:
        """Return the partitions that are stuck, with how many answers of them are under way."""
        return {number: lane.under_way for number, lane in self._lanes.items() if lane.stuck(now_s)}

    def unsettled(self, partitions: Iterable[int]) -> set[int]:
        """Return those of the partitions of which answers are under way."""
        found = ((number, self._lanes.get(number)) for number in partitions)
        return {number for number, lane in found if lane is not None and lane.handed > lane.answered}

    def forget(self, partitions: Collection[int] | None = None) -> None:
        """Forget what waits in these partitions, or in all; what Kafka was given goes on."""
        for number, lane in self._lanes.items():
            if partitions is None or number in partitions:
                self.waiting -= len(lane.waiting)
                lane.waiting.clear()
                lane.handed = lane.answered
