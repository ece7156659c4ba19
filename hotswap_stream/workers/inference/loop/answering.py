"""From requests to answers that were handed to Kafka: versions chosen, forward passes computed, answers written."""

import asyncio
import math
import threading
from collections.abc import Callable, Collection

import structlog

from hotswap_stream.workers.inference.answers.sender import AnswerSender
from hotswap_stream.workers.inference.batches.batches import Batch
from hotswap_stream.workers.inference.batches.computed import ComputedBatch
from hotswap_stream.workers.inference.batches.computing import Computing
from hotswap_stream.workers.inference.batches.referee import Referee
from hotswap_stream.workers.inference.batches.version_choice import VersionChooser
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.requests.ids import RequestIds
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
from hotswap_stream.workers.inference.waiting import STUCK_SECONDS_MAX, Wait
from hotswap_stream.workers.inference.windows.keeper import WindowKeeper

_log = structlog.get_logger(__name__)

POLL_SECONDS = 0.1


class Answering:
    """Answer batches, one at a time. For the thread of one life.

    `on_stall` is called instead of answering a batch in whose time the process stood still: somebody else may have
    answered it.
    """

    def __init__(
        self,
        parts: LoopParts,
        loop: asyncio.AbstractEventLoop,
        stopping: threading.Event,
        *,
        windows: WindowKeeper,
        sender: AnswerSender,
        on_stall: Callable[[], None],
    ) -> None:
        self._model_name = parts.model_name
        self._host = parts.host
        self._slots = parts.slots
        self._guard = parts.guard
        self._stall_watch = parts.stall_watch
        self._stopping = stopping
        self._windows = windows
        self._sender = sender
        self._on_stall = on_stall
        self._ids = RequestIds(parts.limits.request_id_window)
        self._chooser = VersionChooser(
            parts.model_name,
            parts.config.worker,
            parts.slots,
            parts.guard,
            self._ids,
            loop,
            parts.config.reply_topics,
        )
        self._computing = Computing(parts.model_name, Referee(parts.slots), self._chooser.release)
        self._stalls = parts.stall_watch.stalls

    @property
    def busy(self) -> bool:
        """Whether a batch is being computed in the other thread."""
        return self._computing.busy

    @property
    def overtaken(self) -> bool:
        """Whether the process stood still while answers waited for something: somebody else may have given them."""
        return self._sender.waiting and self._stall_watch.stalls != self._stalls

    def begin(self) -> None:
        """Begin with the first partitions: how often the process stood still before does not count."""
        self._stalls = self._stall_watch.stalls

    def start(self, entries: list[Request | Unreadable]) -> None:
        """Answer the entries at once where that takes a moment; else begin to compute them in the other thread.

        KafkaException.
        """
        batch = self._make_batch(entries)
        if not batch.groups or self._computing.quick:
            self._answer_inline(batch)
        else:
            self._computing.start(batch)

    def answer(self, entry: Request | Unreadable) -> None:
        """Answer one request in this thread. KafkaException."""
        self._answer_inline(self._make_batch([entry]))

    def wait(self, seconds_max: float) -> bool:
        """Return whether the forward pass in the other thread is over; if so its batch was answered. KafkaException."""
        computed = self._computing.wait(seconds_max)
        if computed is None:
            return not self._computing.busy
        try:
            self._answer(computed)
        finally:
            self._chooser.release(computed.chosen)
        return True

    def finish(self, partitions: Collection[int], *, seconds_max: float = STUCK_SECONDS_MAX) -> set[int]:
        """Answer what is being computed, and wait for the answers and windows of some partitions. KafkaException.

        Returns:
            Those of which all answers and windows are in their topics. Kafka may take nothing of a partition for now.
        """
        wait = Wait(self._stopping, "a forward pass does not end", seconds_max=math.inf)
        while not self.wait(POLL_SECONDS):
            wait.check()
        settled = self._sender.settle(partitions, seconds_max=seconds_max)
        self._windows.flush(settled)
        return settled

    def drop(self) -> None:
        """Forget what is being computed and what was not handed to Kafka, and what was seen of the partitions."""
        self._sender.forget()
        self._ids.forget()
        self._windows.release()
        self._computing.abandon(wait=not self._stopping.is_set())
        self._guard.drop_probes()

    def leave(self, partitions: Collection[int], *, sending: Collection[int] = ()) -> None:
        """Forget what was seen of partitions of which nothing is being computed, and what Kafka was not given.

        What was computed of those that are `sending` is given to Kafka yet.
        """
        self._sender.forget(set(partitions).difference(sending))
        self._ids.forget(partitions)
        self._windows.release(partitions)

    def close(self) -> None:
        """Compute nothing more."""
        self._computing.close()

    def _make_batch(self, entries: list[Request | Unreadable]) -> Batch:
        taken = self._windows.take(entries, self._slots.window_rule)
        batch = self._chooser.make_batch(entries, taken)
        self._host.on_computing()
        return batch

    def _answer_inline(self, batch: Batch) -> None:
        try:
            self._answer(self._computing.now(batch))
        finally:
            self._chooser.release(batch)

    def _answer(self, computed: ComputedBatch) -> None:
        if computed.groups:
            self._computing.took(computed.compute_ms)
        stalls = self._stall_watch.stalls
        if stalls != self._stalls:
            self._stalls = stalls
            _log.warning(
                "batch_dropped_after_stall", model_name=self._model_name, requests=len(computed.chosen.entries)
            )
            self._on_stall()
            return
        self._sender.send(self._sender.writer.write(computed))
        self._host.on_answered(computed)
