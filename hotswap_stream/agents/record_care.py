"""What all agents do alike with a record: whatever goes wrong with it goes no further than the record.

An agent's handler returns, or raises. What it raises because the world is not there (a retriable `HotswapError`: Kafka
takes nothing) ends the process before the record is acknowledged, and it is read again. All else is the record's
fault, or a bug that the record found: it is put aside with its cause, counted, said, and the next one goes on. So a
handler changes what it keeps in one step, after everything that may raise.
"""

from collections.abc import Awaitable, Callable

import structlog

from hotswap_events.topics import Topics
from hotswap_stream.agents.progress.marks import ReadingMarks
from hotswap_stream.application.topics.dead_letter import CAUSE_CHARACTERS_MAX, dead_letter
from hotswap_stream.application.topics.records import InboundRecord, Publisher
from hotswap_stream.errors import HotswapError
from hotswap_stream.observability.floods import is_logged

_log = structlog.get_logger(__name__)

SAID_APART_MAX = 1_000
"""Kinds of failure that are said by themselves; what comes beyond is counted and put aside without a word."""

Handle = Callable[[InboundRecord], Awaitable[None]]
OnPutAside = Callable[[InboundRecord, str], Awaitable[None]]


class RecordCare:
    """`of` makes a handler one that raises nothing but retriable errors. One for all agents of a process.

    With `marks` a record that ended the process twice is put aside without being handled.
    """

    def __init__(self, publisher: Publisher, topics: Topics, *, marks: ReadingMarks | None = None) -> None:
        self._marks = marks
        self._publisher = publisher
        self._topics = topics
        self._said: dict[tuple[str, str], int] = {}
        self.put_aside_count = 0

    def of(self, handle: Handle, *, on_put_aside: OnPutAside | None = None) -> Handle:
        """Return the handler that calls `handle` and then leaves nothing of the record undone.

        Args:
            handle: What is done with one record.
            on_put_aside: Is told of a record that was put aside, and of the cause, for whoever waits for an answer.

        Returns:
            A handler that raises retriable HotswapErrors only, which mean: read the record again.
        """

        async def with_care(record: InboundRecord) -> None:
            marks = self._marks
            if marks is None:
                await handled(record)
                return
            suspect = marks.suspect(record)
            if suspect is not None and suspect.quarantined:
                await put_aside(record, suspect.cause)
                marks.acquit(record)
                return
            async with marks.in_hand(record):
                await handled(record)

        async def handled(record: InboundRecord) -> None:
            try:
                await handle(record)
            except HotswapError as error:
                if error.retriable:
                    raise
                cause = str(error)
            except Exception as error:  # noqa: BLE001 - see above
                cause = f"handling it failed: {type(error).__name__}: {error}"
                self._say_failed(record, error)
            else:
                return
            await put_aside(record, cause)

        async def put_aside(record: InboundRecord, cause: str) -> None:
            await self.put_aside(record, cause)
            if on_put_aside is not None:
                await on_put_aside(record, cause)

        return with_care

    async def put_aside(self, record: InboundRecord, cause: str) -> None:
        """Send a copy of the record, with its cause, to the dead letters.

        Raises:
            HotswapError: Retriable: read the record again.
        """
        cause = cause[:CAUSE_CHARACTERS_MAX]
        self.put_aside_count += 1
        kind = record.topic, cause[:40]
        count = self._said.get(kind, 0) + 1
        if count > 1 or len(self._said) < SAID_APART_MAX:
            self._said[kind] = count
            if is_logged(count):
                _log.warning(
                    "record_put_aside",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    cause=cause,
                    of_this_kind=count,
                )
        await self._publisher.publish(dead_letter(record, cause, topic=self._topics.dead_letters))

    def _say_failed(self, record: InboundRecord, error: Exception) -> None:
        """Log where it happened, once per kind of failure."""
        kind = record.topic, type(error).__name__
        if kind not in self._said and len(self._said) < SAID_APART_MAX:
            self._said[kind] = 0
            _log.error(
                "record_handling_failed",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                exc_info=error,
            )
