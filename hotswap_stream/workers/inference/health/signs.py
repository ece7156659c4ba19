"""Whether a model's loop gets on, for health: written by its thread, read by the worker's event loop."""

import time
from collections import deque
from collections.abc import Collection, Mapping

from hotswap_stream.application.inference.standstill import STANDSTILL_SECONDS_MAX, Standstill

RESTARTS_MAX = 5
RESTARTS_SECONDS = 60.0
"""A loop that ended by errors more often within this many seconds is not well."""
ERROR_CHARACTERS_MAX = 500


class LifeSigns:
    """Hold how one model's loop gets on, over all its lives.

    Values are replaced as a whole: two threads may look at them.
    """

    def __init__(self) -> None:
        self.unserved: tuple[int, ...] = ()
        """Partitions given to this worker that it cannot answer."""
        self.advice: str | None = None
        """Why, and what mends it; or what else somebody should know."""
        self.waiting = 0
        """Requests that wait in the partitions answered here, as of the last look."""
        self._standstill = Standstill()
        self._turned_s: float | None = None
        """Monotonic: when the loop last came round; None while it waits for what may rightly take long."""
        self._ended: deque[float] = deque(maxlen=RESTARTS_MAX + 1)
        self._last_error = ""

    def turn(self) -> None:
        """Note that the loop came round."""
        self._turned_s = time.monotonic()

    def rest(self) -> None:
        """Note that the loop waits for what may take long: a first version that is being loaded."""
        self._turned_s = None
        self.waiting = 0
        self._standstill.forget()

    def look(self, places: Mapping[int, int], ends: Mapping[int, int], blocked: Collection[int] = ()) -> None:
        """See `Standstill.look`."""
        self.waiting = sum(max(0, end - places.get(partition, end)) for partition, end in ends.items())
        self._standstill.look(places, ends, time.monotonic(), blocked)

    def ended(self, error: Exception) -> None:
        """Note that a life of the loop ended by an error."""
        self._ended.append(time.monotonic())
        self._last_error = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS_MAX]

    def forgive(self) -> None:
        """Not count what lies before: the process itself stood still."""
        now_s = time.monotonic()
        if self._turned_s is not None:
            self._turned_s = now_s
        self._standstill.forgive(now_s)

    def standing(self, seconds_min: float) -> tuple[int, ...]:
        """Return the partitions that have stood still for longer although requests seem to wait in them."""
        standing = self._standstill.standing(time.monotonic())
        return tuple(sorted(part for part, seconds in standing.items() if seconds > seconds_min))

    def stalled(self) -> tuple[int, ...]:
        """Return the partitions that stand still although requests wait in them."""
        return self.standing(STANDSTILL_SECONDS_MAX)

    def silent(self, since_s: float, blocked: Collection[int]) -> tuple[int, ...]:
        """Return the partitions that stand still although requests wait in them, without those that are `blocked`.

        Args:
            since_s: Monotonic seconds since which somebody has read them; none is silent before its time is over.
            blocked: Partitions for which it is known what keeps them from moving.
        """
        if time.monotonic() - since_s <= STANDSTILL_SECONDS_MAX:
            return ()
        return tuple(partition for partition in self.stalled() if partition not in blocked)

    def trouble(self) -> str | None:
        """Return why the loop is not well; None if it is."""
        now_s, turned_s = time.monotonic(), self._turned_s
        stalled = self.stalled()
        lately = [ended_s for ended_s in self._ended if now_s - ended_s <= RESTARTS_SECONDS]
        last = f"; the loop's last error was {self._last_error}" if lately else ""
        if stalled:
            numbers = ", ".join(map(str, stalled))
            return f"requests wait in partitions {numbers}, and none was answered for too long{last}"
        if turned_s is not None and now_s - turned_s > STANDSTILL_SECONDS_MAX:
            return f"its loop has not come round for more than {STANDSTILL_SECONDS_MAX:g} s{last}"
        if len(lately) > RESTARTS_MAX:
            return f"its loop ended more than {RESTARTS_MAX} times within {RESTARTS_SECONDS:g} s{last}"
        return None
