"""Ports to what differs on every call: the clock and fresh ids."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time."""

    def now(self) -> datetime:
        """Now, in UTC, with time zone."""
        ...


class Ids(Protocol):
    """Fresh identifiers."""

    def new_id(self) -> str:
        """An id that was never given before."""
        ...
