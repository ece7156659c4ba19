"""What time it is by the broker's clock, as far as the records that are read tell.

Records carry the time of their append; windows and ages are made of it. This machine's own clock may be another one: it
is never taken for the broker's, only for one that goes at the same pace.
"""

from datetime import datetime, timedelta

SETTLES = timedelta(seconds=90)
"""A difference that stays the same for this time is the clocks'; one that shrinks is a reader's that catches up."""
STEADY = timedelta(seconds=5)
"""Ages of records that differ by less are the same."""


class BrokerClock:
    """`seen` each record's time when it is read; `now` is the broker's."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        """By how much the broker's clock is ahead of this machine's; negative: it lags."""
        self._began: datetime | None = None
        self._least = self._most = timedelta()

    def now(self, own: datetime) -> datetime:
        """Return the broker's time when this machine's clock says `own`."""
        return own + self.ahead

    def seen(self, at: datetime, own: datetime) -> bool:
        """Take in that a record of this time was read now.

        Args:
            at: When the record was appended, by the broker's clock.
            own: What this machine's clock says now.

        Returns:
            True when the difference of the clocks is taken for another one from here on.
        """
        ahead = at - own
        if ahead - self.ahead > STEADY:  # nothing is appended in the future: the broker's clock is that far at least
            self.ahead = ahead
            self._begin(own, ahead)
            return True
        if self._began is None or own < self._began:
            self._begin(own, ahead)
            return False
        self._least, self._most = min(self._least, ahead), max(self._most, ahead)
        if own - self._began < SETTLES:
            return False
        steady, settled = self._most - self._least <= STEADY, self._most
        self._begin(own, ahead)
        if not steady or abs(settled - self.ahead) <= STEADY:
            return False
        self.ahead = settled
        return True

    def _begin(self, own: datetime, ahead: timedelta) -> None:
        self._began, self._least, self._most = own, ahead, ahead
