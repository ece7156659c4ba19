"""Deliveries to webhooks that are set by commands: begun, changed and ended as the log says, without a restart."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from hotswap_stream.application.webhooks.delivery import WebhookDelivery
from hotswap_stream.application.webhooks.webhook import Webhook

_log = structlog.get_logger(__name__)


class CommandedDeliveries:
    """One delivery for each webhook that the log names now. Call `changed` whenever that may be another one."""

    def __init__(
        self, webhooks: Callable[[], Mapping[str, Webhook]], delivery_to: Callable[[Webhook], WebhookDelivery]
    ) -> None:
        self._webhooks = webhooks
        self._delivery_to = delivery_to
        self._news = asyncio.Event()
        self._stopping = False
        self._running: dict[str, tuple[WebhookDelivery, asyncio.Task[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def changed(self) -> None:
        """Look again at which webhooks there are."""
        self._news.set()

    def stop(self) -> None:
        """Have `run` end after the attempts at hand."""
        self._stopping = True
        self._news.set()

    async def run(self) -> None:
        """Return after `stop`. Raise what ended a delivery that nobody told to end."""
        self._news.set()
        try:
            while not self._stopping:
                news = asyncio.ensure_future(self._news.wait())
                try:
                    tasks = {task for _delivery, task in self._running.values()}
                    await asyncio.wait({news, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
                for name, (_delivery, task) in self._running.items():
                    if task.done():
                        task.result()
                        raise RuntimeError(f"the webhook {name} is no longer told of anything, and nobody said so")
                if self._news.is_set():
                    self._news.clear()
                    self._reconcile()
        finally:
            for delivery, task in self._running.values():
                delivery.stop()
                self._ending.add(task)
            if self._ending:
                await asyncio.wait(self._ending)

    def _reconcile(self) -> None:
        wanted = {} if self._stopping else self._webhooks()
        for name in [name for name, (known, _task) in self._running.items() if wanted.get(name) != known.webhook]:
            delivery, task = self._running.pop(name)
            delivery.stop()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            if name in wanted:
                self._start(wanted[name], after=task)
            else:
                _log.info("webhook_removed", webhook=name)
        for name, webhook in wanted.items():
            if name not in self._running:
                self._start(webhook)

    def _start(self, webhook: Webhook, after: "asyncio.Task[None] | None" = None) -> None:
        delivery = self._delivery_to(webhook)

        async def run() -> None:
            if after is not None:  # both have the same place in the log
                await asyncio.wait({after})
            await delivery.run()

        self._running[webhook.name] = delivery, asyncio.create_task(run(), name=f"webhook-{webhook.name}")
        _log.info("webhook_begun", webhook=webhook.name, problem=webhook.problem)
