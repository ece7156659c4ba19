"""When a message is posted again, and when it is given up."""

from collections.abc import Callable

from msgspec import Struct

STATUSES_RETRIED = frozenset({408, 429})
"""Statuses from 400 to 499 with which the receiver asks for another time. All others say that the same message will not
be taken later."""


class PostOutcome(Struct, frozen=True, kw_only=True):
    """What became of one attempt."""

    status: int | None = None
    """Status of the HTTP answer; None if there was none."""
    detail: str = ""
    """Why there was no answer, or the beginning of what it said."""
    retry_after_seconds: float | None = None
    elapsed_ms: float = 0.0

    @property
    def delivered(self) -> bool:
        """The receiver has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """The receiver will not have it, however often it is posted."""
        status = self.status
        return status is not None and 400 <= status < 500 and status not in STATUSES_RETRIED

    def __str__(self) -> str:
        said = f": {self.detail}" if self.detail else ""
        if self.status is None:
            return f"no answer{said}"
        moved = " (redirects are not followed)" if 300 <= self.status < 400 else ""
        return f"HTTP {self.status}{moved}{said}"


class RetryRule(Struct, frozen=True, kw_only=True):
    """How often and for how long an event is tried.

    It is given up when it is older than `seconds_max` and was tried `attempts_min` times: so one that waited for
    others, or for this process, is not given up untried.
    """

    seconds_max: float
    """Age of the event by the log's time."""
    attempts_min: int = 3
    pause_seconds_first: float = 1.0
    pause_seconds_max: float = 60.0
    retry_after_seconds_max: float = 300.0

    def gives_up(self, attempts: int, age_seconds: float) -> bool:
        """Return whether an event is given up after `attempts` attempts at this age."""
        return attempts >= self.attempts_min and age_seconds > self.seconds_max

    def pause_seconds(self, attempts: int, retry_after_seconds: float | None, random: Callable[[], float]) -> float:
        """Before the next attempt: doubled each time, by half at random, and not before the receiver asks for it.

        `random` gives numbers from 0 to 1: receivers of many senders are not asked by all at once.
        """
        doubled = self.pause_seconds_first * 2.0 ** min(attempts - 1, 32)
        pause = min(doubled, self.pause_seconds_max) * (0.5 + 0.5 * random())
        if retry_after_seconds is None:
            return pause
        return max(pause, min(retry_after_seconds, self.retry_after_seconds_max))
