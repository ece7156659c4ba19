"""What was recorded of a model's answers, read again: observations and feedback in the order of their times."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from hotswap_events.inference.observation import Feedback, Observation
from hotswap_stream.errors import HotswapError

RECORDS_MAX = 2_000_000
"""At most this many records are read for one question: some minutes of work."""
RECORDS_AT_ONCE = 10
"""Folding these takes some milliseconds at most; then others in the process have their turn."""


class TooManyRecordsError(HotswapError):
    """There is more than one question may read; ask about a shorter time."""


class Recorded(Struct, frozen=True, gc=False):
    """One record. `at` is when it was appended, by the broker's clock."""

    at: datetime
    value: Observation | Feedback


class RecordedHistory(Protocol):
    """Where observations and feedback are kept."""

    def read(self, model_name: str, since: datetime, until: datetime | None) -> AsyncIterator[Recorded]:
        """Yield records of one model from `since` up to `until`, or to the present end, oldest first.

        Unreadable ones are passed over.

        Raises:
            HotswapError: The log cannot be read.
        """
        ...


async def in_turns(recorded: AsyncIterator[Recorded]) -> AsyncIterator[Recorded]:
    """Yield the same records, and let others in the event loop have their turn now and then.

    A reader that has what it gives at hand never waits, and whoever folds a long history would hold up all that its
    event loop does beside it, such as requests to models.
    """
    taken = 0
    async for each in recorded:
        yield each
        taken += 1
        if taken % RECORDS_AT_ONCE == 0:
            await asyncio.sleep(0)
