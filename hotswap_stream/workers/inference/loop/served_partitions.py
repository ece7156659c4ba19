"""Which of a model's partitions can be answered: those that the topics of its requests and of its answers both have.

Topics that do not fit each other are somebody's change to them while they were in use. What fits is served on, and the
rest is told with the way out.
"""

import time
from collections.abc import Collection

import structlog
from confluent_kafka import Consumer
from msgspec import Struct

from hotswap_stream.kafka.librdkafka import partition_count
from hotswap_stream.workers.inference.loop.parts import LoopParts

_log = structlog.get_logger(__name__)

RECHECK_SECONDS = 10.0
"""How often it is looked whether partitions that could not be served can be now."""


class Served(Struct, frozen=True):
    """Partitions given to this worker: those it serves, those it cannot, and why."""

    partitions: tuple[int, ...]
    unserved: tuple[int, ...] = ()
    why: str | None = None


def served_partitions(
    consumer: Consumer, given: Collection[int], *, request_topic: str, response_topic: str, windows_topic: str
) -> Served:
    """Find out which request partitions can be answered now. Blocking.

    Args:
        consumer: The group's consumer of the requests.
        given: Request partitions that this worker was given.
        request_topic: The topic of the requests.
        response_topic: The topic of the answers.
        windows_topic: The topic of the windows; it counts if it is there.

    Raises:
        KafkaException: The topics cannot be looked at.
    """
    counts = {response_topic: partition_count(consumer, response_topic)}
    windows = partition_count(consumer, windows_topic)
    if windows:
        counts[windows_topic] = windows
    shortest = min(counts, key=lambda topic: counts[topic])
    unserved = tuple(sorted(partition for partition in given if partition >= counts[shortest]))
    if not unserved:
        return Served(tuple(sorted(given)))
    wanted = max(partition_count(consumer, request_topic), unserved[-1] + 1)
    return Served(
        tuple(sorted(partition for partition in given if partition < counts[shortest])),
        unserved,
        _advice(request_topic, wanted, shortest, counts[shortest], unserved),
    )


class ServedWatch:
    """Tell a loop's health, for one life of it, what is not served."""

    def __init__(self, parts: LoopParts) -> None:
        self._parts = parts
        self._signs = parts.signs
        self._next_check_s = 0.0

    def look(self, consumer: Consumer, given: Collection[int]) -> tuple[int, ...]:
        """Return the partitions of those given that can be served now. Blocking. KafkaException."""
        served = Served(())
        if given:
            served = served_partitions(
                consumer,
                given,
                request_topic=self._parts.request_topic,
                response_topic=self._parts.response_topic,
                windows_topic=self._parts.windows_topic,
            )
        self._next_check_s = time.monotonic() + RECHECK_SECONDS
        if served.why is not None and served.why != self._signs.advice:
            _log.error("partitions_not_served", model_name=self._parts.model_name, advice=served.why)
        self._signs.unserved, self._signs.advice = served.unserved, served.why
        return served.partitions

    def given(self, partitions: Collection[int]) -> None:
        """Forget what cannot be served and went to somebody else."""
        if self._signs.unserved and not any(partition in partitions for partition in self._signs.unserved):
            self._signs.unserved, self._signs.advice = (), None

    def changed(self, consumer: Consumer, given: Collection[int], *, doubtful: bool) -> bool:
        """Return whether other partitions can be served than before.

        That is looked at now and then, where some could not be, or it is `doubtful` that those that could still can.
        Blocking, then. KafkaException.
        """
        unserved = self._signs.unserved
        if not (unserved or doubtful) or time.monotonic() < self._next_check_s:
            return False
        self.look(consumer, given)
        return self._signs.unserved != unserved


def _advice(request_topic: str, wanted: int, topic: str, there: int, unserved: tuple[int, ...]) -> str:
    numbers = ", ".join(map(str, unserved))
    if not there:
        return (
            f"topic {topic!r} does not exist, so nothing of {request_topic!r} can be answered: create it again with "
            f"{wanted} partitions (`hotswap topics` does); the worker then goes on by itself"
        )
    return (
        f"{request_topic!r} has {wanted} partitions and {topic!r} has {there}: requests in partitions {numbers} wait "
        f"unanswered, all others are answered. Give {topic!r} {wanted} partitions, too (kafka-topics.sh --alter "
        f"--topic {topic} --partitions {wanted}); the worker then goes on by itself. Deleting a topic is not needed"
    )
