"""Noticing that records of the log are folded in this process, but its agent gets none of them."""

from collections.abc import Callable


class ProgressWatch:
    """`seconds_behind` is how long the agent has not moved although there is something to do.

    The fold reads the log by a consumer of its own, so it sees what a consumer that stands still silently does not.
    """

    def __init__(self, clock_seconds: Callable[[], float]) -> None:
        self._clock_seconds = clock_seconds
        self._folded = -1
        self._handled = -1
        self._since: float | None = None

    def folded(self, offset: int) -> None:
        """Note that the record of the log at `offset` was folded."""
        self._folded = max(self._folded, offset)
        if self._since is None and self._folded > self._handled:
            self._since = self._clock_seconds()

    def handled(self, offset: int) -> None:
        """Note that the agent is done with the record at `offset`."""
        self._handled = max(self._handled, offset)
        self._since = self._clock_seconds() if self._folded > self._handled else None

    def seconds_behind(self) -> float:
        """Return how long the agent has stood still with something to do, in seconds; 0.0 while there is nothing."""
        return 0.0 if self._since is None else self._clock_seconds() - self._since
