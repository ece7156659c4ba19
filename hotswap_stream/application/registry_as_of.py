"""The registry as it was: the fold of the log up to an offset or a time, with the last few kept."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from hotswap_stream.application.registry_fold import RegistryFold, Stream
from hotswap_stream.application.registry_log import RegistryLog
from hotswap_stream.errors import HotswapError

FOLDS_KEPT_MAX = 4
RECORDS_KEPT_MAX = 200_000
"""Over all folds kept: a fold of as many records takes some hundred MiB."""
WAITING_MAX = 16


class TooManyReplaysError(HotswapError):
    """More replays were asked for than are let wait; one runs at a time."""

    retriable: ClassVar[bool] = True


class OffsetNotReachedError(HotswapError):
    """The log does not hold that offset yet."""


class RegistryAsOf:
    """Replays the log on demand, one replay at a time: a replay costs a pass over all records before its end."""

    def __init__(self, log: RegistryLog) -> None:
        self._log = log
        self._kept: OrderedDict[int, Mapping[str, Stream]] = OrderedDict()
        self._lock = asyncio.Lock()
        self._waiting = 0

    async def at_offset(self, offset: int) -> Mapping[str, Stream]:
        """All streams after the record at `offset`. OffsetNotReachedError, LogUnavailableError."""
        end = await self._log.end_offset()
        if not 0 <= offset < end:
            held = f"it holds 0 to {end - 1}" if end else "it is empty"
            raise OffsetNotReachedError(f"the log has no offset {offset}; {held}")
        return await self._before(offset + 1)

    async def at_time(self, time: datetime) -> Mapping[str, Stream]:
        """All streams after the last record appended at `time` or before, by the log's clock, to the millisecond."""
        return await self._before(await self._log.offset_at(int(time.timestamp() * 1000)))

    async def _before(self, end_offset: int) -> Mapping[str, Stream]:
        if self._waiting >= WAITING_MAX:
            raise TooManyReplaysError(f"{WAITING_MAX} replays of the log are waiting already; ask again soon")
        self._waiting += 1
        try:
            async with self._lock:
                return await self._replayed(end_offset)
        finally:
            self._waiting -= 1

    async def _replayed(self, end_offset: int) -> Mapping[str, Stream]:
        kept = self._kept.get(end_offset)
        if kept is not None:
            self._kept.move_to_end(end_offset)
            return kept
        fold = RegistryFold()
        async for page in self._log.read(0, end_offset):
            for record in page:
                fold.apply(record)
            # Pages may come without waiting for anything; others want the event loop too.
            await asyncio.sleep(0)
        self._kept[end_offset] = fold.streams
        while len(self._kept) > FOLDS_KEPT_MAX or sum(self._kept) > RECORDS_KEPT_MAX:
            self._kept.popitem(last=False)
        return fold.streams
