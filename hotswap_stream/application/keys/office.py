"""Keys as somebody manages them: on the log itself, or over the API with a key."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from hotswap_stream.application.keys.changes import KeyOrder, made, revoked, rotated
from hotswap_stream.application.keys.port import KeyLog
from hotswap_stream.application.keys.view import KeyWithSecret, ShownKey, shown_key, shown_keys, with_secret


class KeyOffice(Protocol):
    """Makes, shows and ends keys. UnknownKeyError; WrongKeyError; LogUnavailableError."""

    async def all(self) -> tuple[ShownKey, ...]:
        """Return all keys."""
        ...

    async def show(self, key: str) -> ShownKey:
        """Return one key by its id or name."""
        ...

    async def create(self, order: KeyOrder) -> KeyWithSecret:
        """Make a key; its token is in what is returned, and nowhere else."""
        ...

    async def rotate(self, key: str, old_valid_seconds: float) -> KeyWithSecret:
        """Give a key a new secret."""
        ...

    async def revoke(self, key: str, reason: str | None) -> ShownKey:
        """End a key for good."""
        ...


class LogOffice:
    """A KeyOffice on the log. `by` is who does it."""

    def __init__(self, log: KeyLog, by: str, now: Callable[[], datetime]) -> None:
        self._log = log
        self._by = by
        self._now = now

    async def all(self) -> tuple[ShownKey, ...]:
        """See KeyOffice."""
        return shown_keys(self._log.table, self._now())

    async def show(self, key: str) -> ShownKey:
        """See KeyOffice."""
        return shown_key(self._log.table, key, self._now())

    async def create(self, order: KeyOrder) -> KeyWithSecret:
        """See KeyOffice."""
        now = self._now()
        new = made(self._log.table, order, by=self._by, now=now)
        await self._log.append(new.record)
        return with_secret(self._log.table, new, now)

    async def rotate(self, key: str, old_valid_seconds: float) -> KeyWithSecret:
        """See KeyOffice."""
        now = self._now()
        new = rotated(self._log.table, key, old_valid_seconds=old_valid_seconds, now=now)
        await self._log.append(new.record)
        return with_secret(self._log.table, new, now)

    async def revoke(self, key: str, reason: str | None) -> ShownKey:
        """See KeyOffice."""
        record = revoked(self._log.table, key, by=self._by, reason=reason, now=self._now())
        await self._log.append(record)
        return shown_key(self._log.table, record.key_id, self._now())
