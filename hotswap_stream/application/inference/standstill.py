"""Whether the partitions of a model get on: places that do not move although requests wait behind them.

A partition among others that move may only have to wait for its turn, as those of a slow model do whose requests were
fetched ahead. So it gets more time than one where nothing moves at all, or one that is known to be blocked.
"""

from collections.abc import Collection, Mapping

STANDSTILL_SECONDS_MAX = 60.0
"""Partitions in which requests wait, and none was answered for longer, stand still."""
TURN_SECONDS_MAX = 600.0
"""The same for a partition while others of its model move."""


class Standstill:
    """Which partitions of one model stand still.

    Times are seconds of any clock that does not jump, the same for all calls.
    """

    def __init__(self) -> None:
        self._places: Mapping[int, tuple[int, float | None]] = {}
        """Partition → answered up to, and since when it stands there while more waits."""
        self._moved_s: float | None = None
        """When any of them moved last."""
        self._blocked: frozenset[int] = frozenset()

    def look(
        self, places: Mapping[int, int], ends: Mapping[int, int], now_s: float, blocked: Collection[int] = ()
    ) -> None:
        """Take in how far each partition is.

        Args:
            places: Partition → the offset up to which is answered.
            ends: Partition → the offset of the next request to come.
            now_s: The time.
            blocked: Partitions that something is known to keep from moving.
        """
        found: dict[int, tuple[int, float | None]] = {}
        for partition, place in places.items():
            earlier, since_s = self._places.get(partition, (None, None))
            if earlier is not None and place > earlier:
                self._moved_s = now_s
            if ends.get(partition, place) <= place:
                since_s = None
            elif since_s is None or place != earlier:
                since_s = now_s
            found[partition] = place, since_s
        self._places, self._blocked = found, frozenset(blocked)

    def forget(self) -> None:
        """Forget what was seen."""
        self._places, self._blocked = {}, frozenset()

    def forgive(self, now_s: float) -> None:
        """Count no time until now: whoever looks stood still itself."""
        self._places = {
            part: (place, None if since_s is None else now_s) for part, (place, since_s) in self._places.items()
        }

    def standing(self, now_s: float) -> dict[int, float]:
        """Return the partitions that stand still although requests wait, each with for how many seconds it does.

        Of a partition among others that move, only the seconds beyond what its turn may take count.
        """
        found: dict[int, float] = {}
        places, moved_s, blocked = self._places, self._moved_s, self._blocked
        for partition, (_place, since_s) in places.items():
            if since_s is None:
                continue
            seconds = now_s - since_s
            if moved_s is not None and moved_s > since_s and partition not in blocked:
                seconds -= TURN_SECONDS_MAX - STANDSTILL_SECONDS_MAX
            if seconds > 0:
                found[partition] = seconds
        return found
