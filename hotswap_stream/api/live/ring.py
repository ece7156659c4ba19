"""What was sent to the clients of `/api/live` last: one copy for all of them, each with a place of its own in it."""

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from hotswap_stream.application.keys.access import Caller

MESSAGES_MAX = 8_192
BYTES_MAX = 32 * 1024**2
"""A client that is further behind is let go."""
PATTERNS_MAX = 64
"""Kinds of limited keys for which a message that is about many models is kept; for more it is made again."""


class Sent(Struct, gc=False):
    """One message, encoded once for all who may have it."""

    data: bytes
    model_name: str | None = None
    """What it is about; None: about no model, or about many."""
    parts: Callable[[Caller], bytes] | None = None
    """Makes it for keys that are limited to models, where it is about many."""
    made: dict[tuple[str, ...], bytes] = {}
    unlimited_only: bool = False
    """About no model that can be told: not for keys that are limited to models."""

    def for_caller(self, caller: Caller) -> bytes:
        """Return what this caller gets; nothing where it is not for him."""
        if not caller.models:
            return self.data
        if self.parts is not None:
            known = self.made.get(caller.models)
            if known is None:
                known = self.parts(caller)
                if len(self.made) < PATTERNS_MAX:
                    self.made[caller.models] = known
            return known
        if self.unlimited_only or (self.model_name is not None and not caller.may_on(self.model_name)):
            return b""
        return self.data


class Ring:
    """Messages by number: 0, 1, 2 …; the oldest ones go first."""

    def __init__(self, messages_max: int = MESSAGES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self.first = 0
        """Number of the oldest message that is held."""
        self._messages: deque[Sent] = deque()
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._moved = asyncio.Event()

    @property
    def next(self) -> int:
        """Number of the next message."""
        return self.first + len(self._messages)

    def add(self, messages: list[Sent]) -> None:
        """Take in messages, and wake those who wait for them."""
        if not messages:
            return
        for message in messages:
            self._messages.append(message)
            self._bytes += len(message.data)
        while len(self._messages) > self._messages_max or (self._bytes > self._bytes_max and len(self._messages) > 1):
            self._bytes -= len(self._messages.popleft().data)
            self.first += 1
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def drop(self) -> None:
        """Hold nothing any more: whoever has not got it yet has missed it."""
        self.first = self.next + 1
        self._messages.clear()
        self._bytes = 0
        self.add([])

    def since(self, number: int, caller: Caller, bytes_max: int) -> tuple[bytes, int]:
        """Return what this caller gets of the messages from a number on, and where to go on."""
        found: list[bytes] = []
        size = 0
        while number < self.next and size < bytes_max:
            data = self._messages[number - self.first].for_caller(caller)
            found.append(data)
            size += len(data)
            number += 1
        return b"".join(found), number

    @property
    def moved(self) -> asyncio.Event:
        """An event that is set with the next message."""
        return self._moved
