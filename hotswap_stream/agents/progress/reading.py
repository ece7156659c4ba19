"""How far records of several topics were read, by time: what was sent before that time counts as read."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

HELD = timedelta(seconds=5)
"""How long the age of a record holds for those after it. A reader that begins waits as long for the first ones."""


class ReadingProgress:
    """How far behind the reader is: by the age of records when they are handled, and of those that are being handled.

    A topic that brings nothing is read to its end.
    """

    def __init__(self, now: datetime) -> None:
        self._begins = now + HELD
        self._behind = timedelta()
        self._behind_until = now
        self._in_hand: list[datetime] = []

    @contextmanager
    def handling(self, at: datetime, now: datetime) -> Iterator[None]:
        """Note the record that was sent at this time while it is handled."""
        age = max(timedelta(), now - at)
        if age >= self._behind or now >= self._behind_until:
            self._behind, self._behind_until = age, now + HELD
        self._in_hand.append(at)
        try:
            yield
        finally:
            self._in_hand.remove(at)

    def read_to(self, now: datetime) -> datetime | None:
        """Return the time up to which all that was sent was read.

        None: nothing was read for long enough to tell.
        """
        if now < self._begins:
            return None
        behind = self._behind if now < self._behind_until else timedelta()
        return min(now - behind, *self._in_hand, now)
