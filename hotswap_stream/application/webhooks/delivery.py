"""Telling one webhook of the events that count: at least once each, in their order, from where it was told last.

The position is committed after each event that was delivered or given up, so a process that dies delivers the event
at hand again, with the same id. A webhook that does not answer holds up nobody but itself.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from random import random
from typing import Protocol

import structlog
from msgspec import Struct, structs

from hotswap_stream.application.clock import Clock
from hotswap_stream.application.registry.applied import AppliedRecords
from hotswap_stream.application.topics.dead_letter import dead_letter
from hotswap_stream.application.topics.records import InboundRecord, Publisher
from hotswap_stream.application.webhooks.message import Message, event_type, is_snoozed, message_of
from hotswap_stream.application.webhooks.retry import PostOutcome, RetryRule
from hotswap_stream.application.webhooks.webhook import Webhook
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

REOPEN_SECONDS = 5.0
COMMIT_SECONDS = 1.0
"""How long the position may lag for events that nobody wants to hear of."""
FAILURE_CHARACTERS_MAX = 200
URL_CHARACTERS_KEPT_MAX = 200


class WebhookNote(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Kept with the committed position: what became of the events before it, and what is wrong with the next one."""

    delivered: int = 0
    dead_letters: int = 0
    last_delivered_at: datetime | None = None
    failing_since: datetime | None = None
    attempts: int = 0
    """At the next event, all failed."""
    last_failure: str | None = None
    url: str | None = None
    """Where the process that wrote this posts to, without its query."""


class WebhookPage(Struct, frozen=True):
    """Records from the position on, and the turn they were given in."""

    records: Sequence[InboundRecord]
    turn: int


class WebhookPlace(Protocol):
    """A webhook's place in the log. All methods raise LogUnavailableError.

    Of all processes that open it one has it at a time; `turn` grows whenever it is taken away.
    """

    @property
    def turn(self) -> int:
        """How often it was taken away."""
        ...

    def taken_away(self) -> asyncio.Event:
        """Set when this turn ends."""
        ...

    def holding(self) -> AbstractAsyncContextManager[None]:
        """Hold the place while an attempt is made and its outcome committed; it is not handed on meanwhile."""
        ...

    async def read(self) -> WebhookPage:
        """Return the next records; none where nothing came for a while or another process has the place."""
        ...

    async def note(self) -> WebhookNote:
        """Return what was committed last, by any process."""
        ...

    async def commit(self, next_offset: int, note: WebhookNote) -> None:
        """Record that all before `next_offset` is done with."""
        ...


class WebhookPoster(Protocol):
    """Makes one attempt; see `HttpWebhookPoster`."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> PostOutcome:
        """Send a message and return what became of it. Raises nothing."""
        ...


class WebhookDelivery:
    """Follows the log for one webhook until it is stopped. `open_place` gives a fresh place whenever one was lost."""

    def __init__(
        self,
        webhook: Webhook,
        open_place: Callable[[], AbstractAsyncContextManager[WebhookPlace]],
        poster: WebhookPoster,
        applied: AppliedRecords,
        dead_letters: Publisher,
        dead_letters_topic: str,
        *,
        clock: Clock,
        rule: RetryRule,
    ) -> None:
        self.webhook = webhook
        self.note = WebhookNote()
        """What became of events, as this process knows it."""
        self._open_place = open_place
        self._poster = poster
        self._applied = applied
        self._dead_letters = dead_letters
        self._dead_letters_topic = dead_letters_topic
        self._clock = clock
        self._rule = rule
        self._stop = asyncio.Event()
        self._committed = 0
        self._committed_at = 0.0
        self._done_id: str | None = None
        self._log = _log.bind(webhook=webhook.name)

    def stop(self) -> None:
        """Have `run` end after the attempt at hand."""
        self._stop.set()

    async def run(self) -> None:
        """Return after `stop`. Nothing else ends it: what goes wrong is logged, and tried again after a while."""
        while not self._stop.is_set():
            try:
                async with self._open_place() as place:
                    await self._follow(place)
            except HotswapError as error:
                self._log.warning("webhook_interrupted", cause=str(error), retry_seconds=REOPEN_SECONDS)
                await self._pause(REOPEN_SECONDS)
            except Exception:  # noqa: BLE001 - a bug here must not end the agents, nor the other webhooks
                self._log.exception("webhook_failed", retry_seconds=REOPEN_SECONDS)
                await self._pause(REOPEN_SECONDS)

    async def _follow(self, place: WebhookPlace) -> None:
        turn, position = -1, 0
        while not self._stop.is_set():
            page = await self._unless_stopped(place)
            if page is None:
                break
            if page.records and page.turn != turn:
                turn = page.turn
                position = self._committed = page.records[0].offset
                self.note = await place.note()
            for record in page.records:
                if not await self._handle(place, turn, record):
                    break
                position = record.offset + 1
            if self._now() - self._committed_at >= COMMIT_SECONDS:
                await self._catch_up(place, turn, position)
        await self._catch_up(place, turn, position)

    async def _catch_up(self, place: WebhookPlace, turn: int, position: int) -> None:
        """Commit the place after events that nobody wants to hear of."""
        async with place.holding():
            if position > self._committed and place.turn == turn:
                await self._commit(place, position)

    async def _commit(self, place: WebhookPlace, next_offset: int) -> None:
        self.note = structs.replace(self.note, url=self.webhook.shown_url[:URL_CHARACTERS_KEPT_MAX])
        await place.commit(next_offset, self.note)
        self._committed, self._committed_at = next_offset, self._now()

    async def _unless_stopped(self, place: WebhookPlace) -> WebhookPage | None:
        reading = asyncio.ensure_future(place.read())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            for waiting in (reading, stopping):
                waiting.cancel()
            await asyncio.wait({reading, stopping})

    async def _handle(self, place: WebhookPlace, turn: int, record: InboundRecord) -> bool:
        """Return whether the record is done with; if not, the place was taken away or this is to stop."""
        found = event_type(record.value or b"")
        if found is None or not self.webhook.wants(found) or not await self._applied.counts(record.offset):
            return True
        if is_snoozed(found, record.value or b""):
            return True
        message, attempts = message_of(record), 0
        if message.message_id == self._done_id:
            return True  # done with, though it could not be committed
        while not self._stop.is_set():
            async with place.holding():
                if place.turn != turn:
                    return False
                taken_away, at = place.taken_away(), self._clock.now()
                outcome = await self._attempt(message, at)
                attempts += 1
                age_seconds = at.timestamp() - record.timestamp_ms / 1_000
                failure = str(outcome)[:FAILURE_CHARACTERS_MAX]
                given_up = outcome.refused or self._rule.gives_up(attempts, age_seconds)
                if outcome.delivered:
                    self._note_delivered(record, outcome, attempts)
                elif given_up:
                    await self._give_up(record, failure, attempts)
                else:
                    self._note_failed(at, failure, attempts)
                if outcome.delivered or given_up:
                    self._done_id = message.message_id
                    await self._commit(place, record.offset + 1)
                    return True
                await self._commit(place, record.offset)
            pause = self._rule.pause_seconds(attempts, outcome.retry_after_seconds, random)
            self._log.warning(
                "webhook_not_delivered", offset=record.offset, attempts=attempts, cause=failure, retry_seconds=pause
            )
            await self._pause(pause, taken_away)
        return False

    async def _attempt(self, message: Message, at: datetime) -> PostOutcome:
        if self.webhook.problem is not None:
            return PostOutcome(detail=self.webhook.problem)
        return await self._poster.post(self.webhook.url, message.headers(self.webhook.keys, at), message.body)

    def _note_delivered(self, record: InboundRecord, outcome: PostOutcome, attempts: int) -> None:
        self.note = WebhookNote(
            delivered=self.note.delivered + 1,
            dead_letters=self.note.dead_letters,
            last_delivered_at=self._clock.now(),
        )
        self._log.info("webhook_delivered", offset=record.offset, status=outcome.status, attempts=attempts)

    def _note_failed(self, at: datetime, failure: str, attempts: int) -> None:
        since = self.note.failing_since or at
        self.note = structs.replace(self.note, failing_since=since, attempts=attempts, last_failure=failure)

    async def _give_up(self, record: InboundRecord, failure: str, attempts: int) -> None:
        cause = f"webhook {self.webhook.name} did not take it in {attempts} attempts, the last one: {failure}"
        await self._dead_letters.publish(dead_letter(record, cause, topic=self._dead_letters_topic))
        self._note_failed(self._clock.now(), failure, 0)
        self.note = structs.replace(self.note, dead_letters=self.note.dead_letters + 1)
        self._log.warning("webhook_given_up", offset=record.offset, attempts=attempts, cause=failure)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _pause(self, seconds: float, *others: asyncio.Event) -> None:
        """Wait until the time is over, or this is to stop, or one of the others is set."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._stop, *others)]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
