"""What turns out about answers: the true labels of most of them come back on the feedback topic."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from hotswap_events.inference.observation import Feedback
from hotswap_stream.application.observations.feedback import FEEDBACK_AT_ONCE_MAX, FeedbackLog
from hotswap_stream.cli.demo.traffic import Seen, Traffic

LABELLED = 0.8
"""Share of the answers whose true label comes back."""
BUNDLE_SECONDS = 0.25
"""Seconds between two bundles of labels, as people who judge answers hand in their work by the pile."""
UNSENT_MAX = 10_000
"""Labels that wait to be sent, at most; the oldest are given up: labels are a sample anyway."""


class Labels:
    """Counts the labels that were told. Use `telling_labels`."""

    def __init__(self, log: FeedbackLog, model_name: str, actor: str) -> None:
        self.told = 0
        self._log, self._model_name, self._actor = log, model_name, actor
        self._random = random.Random(2)  # noqa: S311  # not a secret
        self._unsent: deque[Feedback] = deque(maxlen=UNSENT_MAX)

    def take(self, seen: Seen) -> None:
        """Take an answer whose label may come back later."""
        if self._random.random() < LABELLED:
            self._unsent.append(
                Feedback(
                    model_name=self._model_name,
                    feedback_id=f"demo-{seen.partition}-{seen.request_offset}",
                    at=datetime.now(UTC),
                    request_partition=seen.partition,
                    request_offset=seen.request_offset,
                    label=seen.true_label,
                    actor=self._actor,
                )
            )

    async def send(self, over: asyncio.Event) -> None:
        """Send labels until `over` is set, and then those that are left."""
        ended = False
        while not ended:
            ended = over.is_set()
            while self._unsent:
                bundle = [self._unsent.popleft() for _ in range(min(len(self._unsent), FEEDBACK_AT_ONCE_MAX))]
                await self._log.append(bundle)
                self.told += len(bundle)
            if not ended:
                await asyncio.sleep(BUNDLE_SECONDS)


@asynccontextmanager
async def telling_labels(traffic: Traffic, log: FeedbackLog, model_name: str, actor: str) -> AsyncIterator[Labels]:
    """Let labels come back while the block runs."""
    labels, over = Labels(log, model_name, actor), asyncio.Event()
    unlisten = traffic.listen(labels.take)
    sending = asyncio.create_task(labels.send(over), name="demo-labels")
    try:
        yield labels
    finally:
        unlisten()
        over.set()
        await sending
