"""Runs that an outside orchestrator does, which is asked by a signed webhook and reports to the desk."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha256
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from hotswap_stream.adapters.http.webhook_post import HttpWebhookPoster
from hotswap_stream.adapters.orchestrators.desk import Desk, ReportedRun
from hotswap_stream.application.clock import Clock
from hotswap_stream.application.trainers.outside import ASK_TYPE, CANCEL_TYPE, Ask, CancelAsk, ReportTo
from hotswap_stream.application.trainers.place import OnLine, RunFailedError, RunningTrainer, TrainerEnd
from hotswap_stream.application.trainers.protocol import TrainerOrder
from hotswap_stream.application.webhooks.message import Message
from hotswap_stream.application.webhooks.retry import PostOutcome, RetryRule

ATTEMPTS_MAX = 4
CANCEL_SECONDS_MAX = 20.0
"""Time for telling the orchestrator that a run is over; it hears it at its next report in any case."""
_RULE = RetryRule(seconds_max=0.0, pause_seconds_max=4.0, retry_after_seconds_max=10.0)
_log = structlog.get_logger(__name__)


class OutsideTrainer(Struct, frozen=True, kw_only=True):
    """One orchestrator. `repr` shows neither its URL nor the keys."""

    name: str
    url: str
    keys: Sequence[bytes]

    def __repr__(self) -> str:
        return f"OutsideTrainer({self.name!r})"


class WebhookPlace:
    """See TrainerPlace."""

    grace_seconds = None

    def __init__(self, trainer: OutsideTrainer, *, desk: Desk, poster: HttpWebhookPoster, clock: Clock) -> None:
        self._trainer = trainer
        self._desk = desk
        self._poster = poster
        self._clock = clock

    def open(self, order: TrainerOrder, folder: Path) -> AbstractAsyncContextManager[RunningTrainer]:
        """See TrainerPlace."""
        return self._open(order, folder)

    @asynccontextmanager
    async def _open(self, order: TrainerOrder, folder: Path) -> AsyncIterator[RunningTrainer]:
        run = self._desk.open(order, folder)
        asked = _Asked(self, run)
        try:
            yield asked
        finally:
            self._desk.close(run)
            if asked.is_asked and run.ended is None:
                await asyncio.shield(self._cancel(run))

    async def ask(self, run: ReportedRun) -> None:
        """Have the orchestrator take the run. RunFailedError if it does not."""
        data = Ask(order=run.described(), report=ReportTo(url=self._desk.url_of(run), key=run.key))
        outcome = await self._post(run, ASK_TYPE, data)
        if outcome.delivered:
            return
        # What is refused is refused again; the rest may go well the next time.
        raise RunFailedError(
            "not-possible" if outcome.refused else "crashed",
            f"the orchestrator of trainer {self._trainer.name!r} did not take the run: {outcome}",
        )

    async def _cancel(self, run: ReportedRun) -> None:
        order = run.order
        data = CancelAsk(run_id=order.run_id, model_name=order.model_name, trainer=order.trainer)
        try:
            async with asyncio.timeout(CANCEL_SECONDS_MAX):
                outcome = await self._post(run, CANCEL_TYPE, data)
        except TimeoutError:
            outcome = PostOutcome(detail=f"nothing within {CANCEL_SECONDS_MAX:g} s")
        if not outcome.delivered:
            _log.warning("outside_run_not_cancelled", run_id=order.run_id, reason=str(outcome))

    async def _post(self, run: ReportedRun, kind: str, data: Struct) -> PostOutcome:
        """Post one message, again and again while that may help."""
        order = run.order
        # The same in every attempt, and another one for each run: so whoever gets it twice knows.
        message_id = sha256(f"{kind} {order.run_id} {run.key}".encode()).hexdigest()[:32]
        event = {
            "specversion": "1.0",
            "type": kind,
            "id": message_id,
            "source": f"/hotswap/models/{order.model_name}",
            "subject": order.run_id,
            "time": self._clock.now(),
            "datacontenttype": "application/json",
            "data": data,
        }
        message = Message(message_id=message_id, body=msgspec.json.encode(event))
        for attempt in range(1, ATTEMPTS_MAX + 1):
            headers = message.headers(self._trainer.keys, self._clock.now())
            outcome = await self._poster.post(self._trainer.url, headers, message.body)
            if outcome.delivered or outcome.refused or attempt == ATTEMPTS_MAX:
                break
            await asyncio.sleep(_RULE.pause_seconds(attempt, outcome.retry_after_seconds, random.random))
        return outcome


class _Asked:
    """See RunningTrainer."""

    def __init__(self, place: WebhookPlace, run: ReportedRun) -> None:
        self._place = place
        self._run = run
        self.is_asked = False

    @property
    def log(self) -> str:
        return self._run.log

    def stop(self) -> None:
        self._run.stop()

    async def listen(self, on_line: OnLine) -> TrainerEnd:
        # It may report before its answer to the webhook is here.
        self._run.on_line = on_line
        # From here on, for a message whose answer was lost may have been taken.
        self.is_asked = True
        try:
            await self._place.ask(self._run)
        except RunFailedError as error:
            self.is_asked = error.cause != "not-possible"
            raise
        self._run.is_alive()
        return await self._run.listen(on_line)
