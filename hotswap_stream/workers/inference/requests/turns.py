"""Requests that were read ahead, taken from their partitions in turns.

A broker sends much of one partition at a time, and the client hands it out in the order in which it came. Where many
requests wait, as after a worker died, the partition that came last would wait until all others had been answered.
"""

from collections import deque
from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")

ROUND_REQUESTS = 2_048
"""Taken in a round of all partitions, if that leaves each of them a turn that is worth it."""
TURN_REQUESTS_MIN = 32


class Turns(Generic[Item]):
    """Hold what was read ahead, by partition."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: dict[int, deque[Item]] = {}
        """In the order of their turns: the first is taken from now."""
        self._taken = 0
        """Of the first, in this turn."""

    def put(self, partition: int, items: Sequence[Item]) -> None:
        """Add the next items of a partition."""
        waiting = self._waiting.get(partition)
        if waiting is None:
            waiting = self._waiting[partition] = deque()
        waiting.extend(items)
        self.count += len(items)

    def take(self, count_max: int, turn: int) -> list[Item]:
        """Return what comes next: of each partition in its order, and at most `turn` of one while others wait."""
        found: list[Item] = []
        while self._waiting and len(found) < count_max:
            partition = next(iter(self._waiting))
            waiting = self._waiting[partition]
            count = min(len(waiting), count_max - len(found), max(1, turn - self._taken))
            found += [waiting.popleft() for _ in range(count)]
            self._taken += count
            if not waiting or self._taken >= turn:
                del self._waiting[partition]
                if waiting:
                    self._waiting[partition] = waiting
                self._taken = 0
        self.count -= len(found)
        return found

    def forget(self, partitions: Collection[int] | None = None) -> None:
        """Forget what was read of these partitions, or of all."""
        for partition in list(self._waiting) if partitions is None else partitions:
            self.count -= len(self._waiting.pop(partition, ()))
        self._taken = 0


def turn_of(partitions: int) -> int:
    """Return how many requests a partition has in its turn, where there are so many partitions."""
    return max(TURN_REQUESTS_MIN, ROUND_REQUESTS // max(1, partitions))
