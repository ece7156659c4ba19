"""The requests that one life of a loop has taken from its consumer and not yet given to a model."""

from collections.abc import Callable, Collection, Mapping
from itertools import groupby

import structlog
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
from hotswap_stream.workers.inference.requests.stepping_over import UnreadablePartitions
from hotswap_stream.workers.inference.requests.taking import Taking
from hotswap_stream.workers.inference.requests.turns import Turns, turn_of

AHEAD_REQUESTS, AHEAD_BYTES = 4_096, 1024**2
"""Read ahead at a time, whichever is less: what is read long before it is taken has left the processor's cache."""
AHEAD_REQUESTS_MIN = 16
AHEAD_REQUESTS_MAX, AHEAD_BYTES_MAX = 16_384, 4 * 1024**2
"""With as much read ahead, no more is read until some of it is taken."""

_log = structlog.get_logger(__name__)


class Intake:
    """Read the partitions of the assignment, each request once and in order. For the thread of the life."""

    def __init__(
        self,
        parts: LoopParts,
        consumer: Consumer,
        on_error: Callable[[KafkaError], None],
    ) -> None:
        self.entries: list[Request | Unreadable] = []
        """Taken and decoded, not yet given to a model."""
        self.positions: dict[int, int] = {}
        """Partition → the offset its next request must have at least."""
        self._held: frozenset[int] = frozenset()
        self._turns: Turns[Message] = Turns()
        """Read ahead of what is taken."""
        self._mean_bytes = 0.0
        """Of those that were taken or read ahead the last time."""
        self._running: int | None = None
        """The partition of which the last request was taken."""
        self._run = 0
        """How many requests came before it without one of another."""
        self._request_topic = parts.request_topic
        self._consumer = consumer
        unreadable = UnreadablePartitions(parts.config.client_options, parts.model_name, parts.request_topic)
        self._taking = Taking(
            parts.request_topic,
            unreadable,
            bytes_max=parts.limits.request_bytes_max,
            key_bytes_max=parts.limits.answer_key_bytes_max,
            on_error=on_error,
        )

    @property
    def blocked(self) -> Collection[int]:
        """Partitions that something unreadable keeps from moving."""
        return self._taking.blocked

    @property
    def ahead(self) -> bool:
        """Whether requests were read that are not taken yet."""
        return self._turns.count > 0

    def take_one(self, seconds_max: float) -> None:
        """Take one request, or what the consumer says instead of one. Waits for it for at most `seconds_max`."""
        if self._turns.count:
            self._take(self._turns.take(1, self._turn))
            return
        message = self._consumer.poll(seconds_max)
        if message is not None:
            self._take([message])

    def take_more(self, room: int, seconds_max: float) -> None:
        """Take at most `room` requests. Waits at most `seconds_max` until there are as many."""
        if not self._turns.count:
            messages = self._consumer.consume(room, seconds_max)
            self._take(messages)
            room -= len(messages)
            if not self._one_goes_on(messages):
                return
            self._mean_bytes = sum(map(len, messages)) / len(messages)
        # One partition has had its turn: look whether others wait behind it.
        if self._turns.count < AHEAD_REQUESTS_MAX and self._turns.count * self._mean_bytes < AHEAD_BYTES_MAX:
            self._read_ahead()
        if room > 0:
            self._take(self._turns.take(room, self._turn))

    def _read_ahead(self) -> None:
        count = min(AHEAD_REQUESTS, int(AHEAD_BYTES / max(1.0, self._mean_bytes)))
        messages = self._consumer.consume(max(AHEAD_REQUESTS_MIN, count), 0)
        if messages:
            self._mean_bytes = sum(map(len, messages)) / len(messages)
        for number, run in groupby(messages, Message.partition):
            self._turns.put(-1 if number is None else number, list(run))

    @property
    def _turn(self) -> int:
        return turn_of(len(self.positions))

    def _one_goes_on(self, messages: list[Message]) -> bool:
        """Return whether a single partition has been taken from for longer than its turn, though there are others."""
        if not messages or len(self.positions) < 2:
            return False
        first, last = messages[0].partition(), messages[-1].partition()
        self._run = self._run + len(messages) if first == last == self._running else 0
        self._running = last
        return self._run > self._turn

    def hand_over(self) -> list[Request | Unreadable]:
        """Return everything taken, and hold it no longer."""
        entries, self.entries = self.entries, []
        return entries

    def begin(self, positions: dict[int, int]) -> None:
        """Take the requests of these partitions too, from these offsets on."""
        self.positions.update(positions)
        if positions:
            self._consumer.incremental_assign(self._places(positions))

    def hold(self, partitions: Collection[int]) -> None:
        """Take no requests of these partitions for now, and of all others, those that were held before too."""
        held = frozenset(partitions) & self.positions.keys()
        if held == self._held:
            return
        stop, go_on = held - self._held, (self._held - held) & self.positions.keys()
        self._held = held
        _log.info("partitions_held", topic=self._request_topic, partitions=sorted(held))
        if stop:
            self._turns.forget(stop)
            self._consumer.incremental_unassign(self._places({number: self.positions[number] for number in stop}))
        if go_on:
            self._consumer.incremental_assign(self._places({number: self.positions[number] for number in go_on}))

    def leave(self, partitions: Collection[int]) -> None:
        """Forget what was taken of these partitions, and take no more of them."""
        if not partitions:
            return
        gone = {partition: self.positions.pop(partition) for partition in partitions}
        read = {partition: position for partition, position in gone.items() if partition not in self._held}
        if read:
            self._consumer.incremental_unassign(self._places(read))
        self._held -= gone.keys()
        self._turns.forget(gone.keys())
        self._taking.clear(partitions)
        self.entries[:] = [entry for entry in self.entries if entry.record.partition not in gone]

    def drop(self) -> None:
        """Forget everything taken, and the partitions with it."""
        self.positions = {}
        self._held = frozenset()
        self._turns.forget()
        self._consumer.unassign()
        self._taking.clear()
        self.entries.clear()

    def _places(self, offsets: Mapping[int, int]) -> list[TopicPartition]:
        return [TopicPartition(self._request_topic, partition, offset) for partition, offset in offsets.items()]

    def _take(self, messages: list[Message]) -> None:
        self.entries.extend(self._taking.take(self._consumer, messages, self.positions))
