"""Ports to what differs on every call: the clock and fresh ids."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time."""

    def now(self) -> datetime:
        """Return the time now, in UTC, with time zone."""
        ...


class Ids(Protocol):
    """Fresh identifiers."""

    def new_id(self) -> str:
        """Return an id that was never given before."""
        ...
