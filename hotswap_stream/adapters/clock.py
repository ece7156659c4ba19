"""The system clock and random ids, for the ports of the application."""

from datetime import UTC, datetime
from uuid import uuid4


class SystemClock:
    """Wall-clock time of this machine."""

    def now(self) -> datetime:
        """Return the time now, in UTC."""
        return datetime.now(UTC)


class RandomIds:
    """UUID version 4."""

    def new_id(self) -> str:
        """Return a fresh UUID in its usual form."""
        return str(uuid4())
