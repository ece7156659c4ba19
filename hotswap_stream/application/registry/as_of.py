"""The registry as it was: the fold of the log up to an offset or a time, with the last few kept."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.application.log.side_reading import SideReading
from hotswap_stream.application.registry.fold import RegistryFold, Stream
from hotswap_stream.errors import HotswapError

FOLDS_KEPT_MAX = 4
RECORDS_KEPT_MAX = 200_000
"""Over all folds kept: a fold of as many records takes some hundred MiB."""
WAITING_MAX = 16
WAITING_PER_CLIENT_MAX = 4
CLOCKS_APART_MAX = timedelta(minutes=1)
"""Times so little ahead may be past for the log's clock, which may be another machine's."""
RECORDS_AT_ONCE = 20
"""Then others in the process have their turn."""


class TooManyReplaysError(HotswapError):
    """More replays were asked for than are let wait; one runs at a time."""

    retriable: ClassVar[bool] = True


class OffsetNotReachedError(HotswapError):
    """The log does not hold that offset yet."""


class TimeNotReachedError(HotswapError):
    """The time has not come yet."""


class RegistryAsOf:
    """Replays the log on demand, one replay at a time: a replay costs a pass over all records before its end.

    With `aside` in the side loop, else in the loop that asks.
    """

    def __init__(self, log: RegistryLog, aside: SideReading | None = None) -> None:
        self._log = log
        self._aside = aside
        self._kept: OrderedDict[int, Mapping[str, Stream]] = OrderedDict()
        self._lock = asyncio.Lock()
        self._waiting: Counter[str | None] = Counter()

    async def at_offset(self, offset: int, client: str | None = None) -> Mapping[str, Stream]:
        """Return all streams as they were after the record at `offset`.

        Args:
            offset: An offset of the log.
            client: Who asks, so that their replays alone do not fill the queue; None: only the common limit holds.

        Raises:
            OffsetNotReachedError: The log has no such record yet.
            LogUnavailableError: The log cannot be read.
            TooManyReplaysError: Too many replays wait already.
        """
        end = await self._log.end_offset()
        if not 0 <= offset < end:
            held = f"it holds 0 to {end - 1}" if end else "it is empty"
            raise OffsetNotReachedError(f"the log has no offset {offset}; {held}")
        return await self._before(offset + 1, client)

    async def at_time(
        self, time: datetime, client: str | None = None, *, now: datetime | None = None
    ) -> Mapping[str, Stream]:
        """Return all streams after the last record appended at `time` or before, by the log's clock, in milliseconds.

        Args:
            time: When.
            client: Who asks; see `at_offset`.
            now: What time it is: later ones are refused, but for what clocks may be apart. None: none is.

        Raises:
            TimeNotReachedError: The time has not come.
            LogUnavailableError: The log cannot be read.
            TooManyReplaysError: Too many replays wait already.
        """
        if now is not None and time - now > CLOCKS_APART_MAX:
            raise TimeNotReachedError(f"{time.isoformat()} has not come yet; {await self._newest()}")
        return await self._before(await self._log.offset_at(int(time.timestamp() * 1000)), client)

    async def _newest(self) -> str:
        """Return what the log ends with, as the end of a sentence."""
        end = await self._log.end_offset()
        newest = None
        async for page in self._log.read(max(end - 1, 0), end):
            newest = page[-1] if page else newest
        if newest is None:
            return "the log is empty" if not end else f"the log holds offsets 0 to {end - 1}"
        at = datetime.fromtimestamp(newest.timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
        return f"the newest event of the log is at offset {newest.offset}, of {at}; leave the time out for the present"

    async def _before(self, end_offset: int, client: str | None) -> Mapping[str, Stream]:
        if client is not None and self._waiting[client] >= WAITING_PER_CLIENT_MAX:
            raise TooManyReplaysError(f"{WAITING_PER_CLIENT_MAX} replays of yours are waiting already; ask again soon")
        if self._waiting.total() >= WAITING_MAX:
            raise TooManyReplaysError(f"{WAITING_MAX} replays of the log are waiting already; ask again soon")
        self._waiting[client] += 1
        try:
            async with self._lock:
                return await self._replayed(end_offset)
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    async def _replayed(self, end_offset: int) -> Mapping[str, Stream]:
        kept = self._kept.get(end_offset)
        if kept is not None:
            self._kept.move_to_end(end_offset)
            return kept
        if self._aside is None:
            streams = await _folded(self._log, end_offset)
        else:
            streams = await self._aside.run(lambda log: _folded(log, end_offset))
        self._kept[end_offset] = streams
        while len(self._kept) > FOLDS_KEPT_MAX or sum(self._kept) > RECORDS_KEPT_MAX:
            self._kept.popitem(last=False)
        return streams


async def _folded(log: RegistryLog, end_offset: int) -> Mapping[str, Stream]:
    fold = RegistryFold()
    async for page in log.read(0, end_offset):
        for number, record in enumerate(page, start=1):
            fold.apply(record)
            if number % RECORDS_AT_ONCE == 0:
                await asyncio.sleep(0)
        # Pages may come without waiting for anything.
        await asyncio.sleep(0)
    return fold.streams
