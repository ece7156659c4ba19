"""All webhooks of a process: begun together, ended together, one task each."""

import asyncio
from collections.abc import Sequence

import structlog

from hotswap_stream.application.processes.watched_tasks import TaskEndedError, WatchedTasks
from hotswap_stream.application.webhooks.commanded import CommandedDeliveries
from hotswap_stream.application.webhooks.delivery import WebhookDelivery

_log = structlog.get_logger(__name__)

LAST_ATTEMPT_SECONDS_MAX = 3.0
"""An attempt that is being made at the end may take so much longer; cut short, it is made again at the next start."""
END_SECONDS_MAX = 5.0


class WebhookDeliveries:
    """Deliveries beside whatever else a process does: none of them ends it or keeps it waiting."""

    def __init__(self, deliveries: Sequence[WebhookDelivery], by_command: CommandedDeliveries | None = None) -> None:
        self._deliveries = tuple(deliveries)
        self._by_command = by_command
        self._tasks: set[asyncio.Task[None]] = set()
        self._watched = WatchedTasks("the webhooks")
        self._relay: asyncio.Task[None] | None = None

    @property
    def failure(self) -> TaskEndedError | None:
        """Why some webhook is no longer told of anything, though nobody said so; None while all are."""
        return self._watched.failure

    def begin(self, stop: asyncio.Event) -> None:
        """Deliver, on the running event loop, until `stop` is set or `end` is called."""
        self._tasks = {
            self._watched.started(delivery.run(), name=f"webhook-{delivery.webhook.name}")
            for delivery in self._deliveries
        }
        if self._by_command is not None:
            self._tasks.add(self._watched.started(self._by_command.run(), name="webhooks-by-command"))
        self._relay = self._watched.started(self._stop_with(stop), name="webhooks-stop")
        if self._tasks:
            _log.info("webhooks_begun", webhooks=[delivery.webhook.name for delivery in self._deliveries])

    async def end(self) -> None:
        """Return when nothing is delivered any more, after at most 8 s."""
        self._watched.expect_end()
        self._stop_all()
        if self._relay is not None:
            self._relay.cancel()
        tasks, self._tasks = self._tasks, set()
        if not tasks:
            return
        _done, late = await asyncio.wait(tasks, timeout=LAST_ATTEMPT_SECONDS_MAX)
        for task in late:
            task.cancel()
        if late:
            _done, left = await asyncio.wait(late, timeout=END_SECONDS_MAX)
            if left:
                _log.warning("webhooks_left_behind", webhooks=sorted(task.get_name() for task in left))
        for delivery in self._deliveries:
            note = delivery.note
            _log.info(
                "webhook_ended",
                webhook=delivery.webhook.name,
                delivered=note.delivered,
                dead_letters=note.dead_letters,
            )

    async def _stop_with(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._watched.expect_end()
        self._stop_all()

    def _stop_all(self) -> None:
        for delivery in self._deliveries:
            delivery.stop()
        if self._by_command is not None:
            self._by_command.stop()
