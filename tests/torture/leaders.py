"""Which partitions cannot be written to while brokers come and go, as the cluster tells it, several times a second."""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.torture.facts import Blocked
from tests.torture.topic_reading import LOG_LEVEL

LOOK_SECONDS = 0.2
_ASK_SECONDS_MAX = 2.0
_JOIN_SECONDS_MAX = 10.0


class LeaderWatch:
    """Looks in a thread of its own. A context manager; read `blocked` when it has ended."""

    def __init__(
        self,
        bootstrap_servers: str,
        topics: Sequence[str],
        *,
        down: Callable[[], Collection[int]],
        now_s: Callable[[], float],
    ) -> None:
        """Make one.

        Args:
            bootstrap_servers: Of the cluster.
            topics: Partitions of one number belong together: if one of the topics cannot take records, none can be
                answered.
            down: Returns the ids of the brokers that do not run. The cluster takes them for leaders, or for copies in
                sync, for a while.
            now_s: The clock of the run.
        """
        self._admin = AdminClient(
            {"bootstrap.servers": bootstrap_servers, "log_level": LOG_LEVEL, "reconnect.backoff.max.ms": 500}
        )
        self._topics, self._down, self._now_s = topics, down, now_s
        self._since: dict[int, float] = {}
        self._spans: dict[tuple[float, float], list[int]] = defaultdict(list)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="leader-watch", daemon=True)

    def __enter__(self) -> "LeaderWatch":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopped.set()
        self._thread.join(_JOIN_SECONDS_MAX)
        self._note(self._now_s(), set())

    @property
    def blocked(self) -> list[Blocked]:
        """When which partitions took nothing."""
        return [
            Blocked(from_s=from_s, until_s=until_s, partitions=tuple(sorted(partitions)))
            for (from_s, until_s), partitions in sorted(self._spans.items())
        ]

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            blocked: set[int] = set()
            try:
                for topic in self._topics:
                    blocked |= self._blocked_of(topic)
            except KafkaException:  # nobody answers: what was blocked is so still
                continue
            self._note(round(self._now_s(), 2), blocked)

    def _blocked_of(self, topic: str) -> set[int]:
        down = set(self._down())
        found = self._admin.list_topics(topic, timeout=_ASK_SECONDS_MAX).topics[topic].partitions
        # With acks=all a record waits for all copies that are in sync, also for one that does not run any more.
        return {number for number, partition in found.items() if partition.leader < 0 or down & set(partition.isrs)}

    def _note(self, now_s: float, blocked: set[int]) -> None:
        for partition in blocked - self._since.keys():
            self._since[partition] = now_s
        for partition in self._since.keys() - blocked:
            self._spans[self._since.pop(partition), now_s].append(partition)
