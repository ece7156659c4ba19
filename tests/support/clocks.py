"""Clocks that a test sets."""

from datetime import datetime


class SetClock:
    """Says what it is told."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time
