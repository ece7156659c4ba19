"""How soon something that ended is started again, and when it has ended too often."""

from collections import deque

WINDOW_SECONDS = 60.0


class RestartPace:
    """Pauses that grow with the restarts of the last minute, and end when there were too many."""

    def __init__(self, *, per_minute_max: int, seconds_first: float, seconds_max: float) -> None:
        self._per_minute_max = per_minute_max
        self._seconds_first = seconds_first
        self._seconds_max = seconds_max
        self._recent: deque[float] = deque()

    def next_delay(self, now_s: float) -> float | None:
        """Return the seconds until the next start, which counts from here on; None when there were too many lately."""
        while self._recent and now_s - self._recent[0] > WINDOW_SECONDS:
            self._recent.popleft()
        if len(self._recent) >= self._per_minute_max:
            return None
        self._recent.append(now_s)
        delay_s: float = self._seconds_first * 2 ** (len(self._recent) - 1)
        return min(delay_s, self._seconds_max)

    def forgive(self) -> None:
        """Count anew: what ended did so for a reason that lay elsewhere."""
        self._recent.clear()
