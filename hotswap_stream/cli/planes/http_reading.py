"""What is read of an API: as of an offset or a time, and the log page by page."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_stream.errors import HotswapError

if TYPE_CHECKING:
    from hotswap_stream.application.registry.feed import EntryFilter, EventPage

_Decoded = TypeVar("_Decoded")
LOOK_SECONDS = 1.0
"""Between two looks for new events."""


class ApiFailedError(HotswapError):
    """The API did not do what was asked; the message has its status, its code and its words."""


class Reader:
    """Asks as of an offset or a time."""

    def __init__(self, get: Callable[..., Any], past: dict[str, object]) -> None:
        self._get = get
        self._past = past

    async def get(self, path: str, kind: type[_Decoded], query: dict[str, object] | None = None) -> _Decoded | Refusal:
        """Return what is at the path, as it was."""
        found: _Decoded | Refusal = await self._get(path, kind, {**(query or {}), **self._past})
        return found


class ApiEvents:
    """The log of an API; see `EventSource`."""

    def __init__(self, get: Callable[..., Any]) -> None:
        self._get = get
        self._end_offset = 0

    @property
    def end_offset(self) -> int:
        """Return where the log ended at the last look."""
        return self._end_offset

    async def look(self) -> None:
        """Look where the log ends now."""
        from hotswap_stream.application.registry.feed import EntryFilter

        await self.page(max(self._end_offset, 0), limit=1, wanted=EntryFilter())

    async def page(self, from_offset: int, *, limit: int, wanted: "EntryFilter") -> "EventPage":
        """Return a page of the log."""
        from hotswap_stream.application.registry.feed import EventPage, LogEntry

        class Page(Struct):
            events: tuple[LogEntry, ...]
            next_offset: int
            end_offset: int

        query = {
            "from_offset": from_offset,
            "limit": limit,
            "model_name": wanted.model_name,
            "type": wanted.event_type,
        }
        found = await self._get("/api/events", Page, query)
        if isinstance(found, Refusal):
            raise ApiFailedError(found.reason)
        self._end_offset = found.end_offset
        return EventPage(
            entries=found.events,
            first_offset=from_offset,
            next_offset=found.next_offset,
            end_offset=found.end_offset,
        )

    async def wait_for_change(self, end_offset: int, stop: asyncio.Event) -> bool:
        """Look each second, until the log ends elsewhere or `stop` is set."""
        while self._end_offset == end_offset:
            try:
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
                return False
            except TimeoutError:
                await self.look()
        return True
