"""The answers of each partition on their way: which wait for something before them, and how far the others have come.

What keeps one partition from being answered, such as a leader that is away, must not keep the others. So each has a
lane of its own, in which an answer waits for the one before it, and for the copy of its request that comes first.

Where Kafka is slow it also waits until those before it were taken. An idempotent producer of librdkafka has at most
five records of a partition under way, and as long as more of them are ready its thread asks over and over whether they
may go, with no pause: twenty records a second to a broker that takes half a second keep a whole processor busy.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping

from confluent_kafka import KafkaError, Message
from msgspec import Struct

from hotswap_stream.workers.inference.answers.writer import Answer
from hotswap_stream.workers.inference.requests.records import RequestRecord

STUCK_SECONDS = 1.0
"""A partition of which Kafka took nothing for so long, though it was given something, is stuck."""
OVERDUE_SECONDS = 0.01
"""Where Kafka has taken nothing for so long, the next answers wait until those before them were taken."""
SLOW_SECONDS = 0.05
"""Where it took an answer only after so long, they always do."""
TOGETHER_MAX = 5
"""Records of a partition that an idempotent producer of librdkafka has under way (`RD_KAFKA_IDEMP_MAX_INFLIGHT`)."""
SLOW_AGAIN_SECONDS = 2.0
"""For so long: where it was slow it mostly is soon again."""

QUICK, BULK, PATIENT = range(3)
"""The ways in which answers go out: see `producers`."""

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
    slow_until_s: float = -1.0
    """Monotonic: until when Kafka is taken for slow."""
    way: int = QUICK
    """How they go out."""
    fixed: bool = False
    """Whether Kafka may have answers that were forgotten, so that others must go the same way."""
    epoch: int = 0
    """How often what was under way has been forgotten."""
    held_until: int | None = None
    """Behind the last request whose answer has to be in its topic before more are handed to Kafka."""

    def closed_to(self, offset: int) -> bool:
        """Return whether the answer to the request at the offset has to wait for others to be taken."""
        return self.opening or (self.held_until is not None and offset >= self.held_until)

    @property
    def under_way(self) -> int:
        """How many answers are under way, or a few more: the offsets of requests may leave some out."""
        return max(0, self.handed - self.answered)

    def slow(self, now_s: float) -> bool:
        """Return whether Kafka took its time with what was taken last."""
        return now_s < self.slow_until_s

    def hand(self, next_offset: int, now_s: float, way: int = QUICK) -> bool:
        """Note that the answers to all requests below the offset are handed over; `way`: how they would go out.

        Returns:
            Whether those that are new have to wait for others, or go another way than those before.
        """
        if next_offset <= self.answered:  # the partition begins anew further back, as where its topic was made again
            self.handed = self.answered = next_offset - 1
            self.fixed, self.held_until, self.epoch = True, None, self.epoch + 1
        before, slow = self.way, self.slow(now_s)
        if self.handed <= self.answered:
            self.since_s = now_s
            if not self.fixed:
                self.way = PATIENT if slow else way
        elif self.held_until is None and (slow or self._overdue(now_s)):
            self.held_until = self.handed
        self.handed = next_offset
        return slow or self.held_until is not None or self.way != before

    def _overdue(self, now_s: float) -> bool:
        """Return whether more would have to wait in the client."""
        return self.under_way >= TOGETHER_MAX and now_s - self.since_s > OVERDUE_SECONDS

    def take(self, next_offset: int, now_s: float, took_s: float = 0.0) -> bool:
        """Note that the answers to all requests below the offset are in their topic; `took_s`: how long the last took.

        Not for those that were handed over in an `epoch` before this one.

        Returns:
            Whether others need not wait for them any more.
        """
        self.fixed = False
        if took_s > SLOW_SECONDS:
            self.slow_until_s = now_s + SLOW_AGAIN_SECONDS
        self.answered, self.since_s = max(next_offset, self.answered), now_s
        if self.held_until is None or self.held_until > self.answered:
            return False
        self.held_until = None
        if self.slow(now_s):
            self.way = PATIENT
        return True

    def forget(self) -> None:
        """Forget what waits; what Kafka was given goes on, and is not counted any more."""
        self.waiting.clear()
        self.fixed = self.fixed or self.handed > self.answered
        self.handed, self.held_until = self.answered, None
        self.epoch += 1

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

    def hand(self, last: Mapping[int, RequestRecord], now_s: float, way: int) -> list[int]:
        """Note by its last request for each partition what is handed over.

        Returns:
            The partitions whose new answers have to wait for others, or go another way than those before.
        """
        return [number for number, record in last.items() if self.of(number).hand(record.offset + 1, now_s, way)]

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
                lane.forget()
