"""Requests into one partition of a model's topic: while a batch is on its way, what comes forms the next one."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from copy import copy

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from hotswap_stream.adapters.kafka.inference.correlation import PartitionCorrelation, Waiter
from hotswap_stream.adapters.kafka.inference.pace import AnswerPace
from hotswap_stream.application.inference.gateway import InferenceUnavailableError

RECORD_BYTES_MAX = 8 * 1_048_576
BATCH_BYTES_MAX = 512 * 1_024
"""Well below what topics allow by default; a larger request travels alone."""
RECORD_OVERHEAD_BYTES = 128
"""What Kafka adds to a record and its batch, at most, beside its headers."""
HEADER_OVERHEAD_BYTES = 12
FILLED_REQUESTS_MAX = 8
"""Requests that come at once and go into one batch; more are spread over partitions, which are other workers' too."""

CLOSED = InferenceUnavailableError("the connection to the model's topics was closed")

Headers = Sequence[tuple[str, bytes]]
_Request = tuple[bytes, Headers, Waiter]


class RequestSender:
    """Sends through a started producer with `max_batch_size=BATCH_BYTES_MAX`. Its callers limit what is queued.

    One batch at a time is what an idempotent producer allows a partition anyway; filling it here costs a third of
    handing over each record alone. `on_settled` gets the partition after each batch, whatever became of it.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partition: int,
        correlation: PartitionCorrelation,
        pace: AnswerPace,
        *,
        on_settled: Callable[[int], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.partition = partition
        self._producer = producer
        self._topic = topic
        self._correlation = correlation
        self._pace = pace
        self._on_settled = on_settled
        self._on_error = on_error
        self._queued: deque[_Request] = deque()
        self._wanted = asyncio.Event()
        self._sending_since_s: float | None = None

    @property
    def unconfirmed_s(self) -> float:
        """Return how long the batch on its way has waited to be acknowledged, in seconds; 0 when none is on its way."""
        return 0.0 if self._sending_since_s is None else time.monotonic() - self._sending_since_s

    @property
    def fills(self) -> bool:
        """Return whether a batch is just being filled, which will be sent as soon as the event loop comes to it."""
        return self._sending_since_s is None and 0 < len(self._queued) < FILLED_REQUESTS_MAX

    @property
    def in_flight(self) -> int:
        """Return how many requests wait for a batch, an acknowledgement or an answer."""
        return len(self._queued) + self._correlation.in_flight

    def send(self, value: bytes, headers: Headers, waiter: Waiter) -> None:
        """Queue one request; its waiter gets the answer or the error. MessageSizeTooLargeError at once."""
        size = len(value) + RECORD_OVERHEAD_BYTES
        for name, text in headers:
            size += len(name) + len(text) + HEADER_OVERHEAD_BYTES
        if size > RECORD_BYTES_MAX:
            raise MessageSizeTooLargeError(f"the record would have {size} bytes")
        self._queued.append((value, headers, waiter))
        self._wanted.set()

    async def run(self) -> None:
        """Send what is queued, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._queued:
                await self._send_batch()

    def fail(self, error: Exception) -> None:
        """Let whoever is queued raise this."""
        while self._queued:
            _, _, waiter = self._queued.popleft()
            if not waiter.done():
                waiter.set_exception(error)

    async def _send_batch(self) -> None:
        batch, waiters = self._producer.create_batch(), list[Waiter]()
        while self._queued:
            value, headers, waiter = self._queued[0]
            if not waiter.done():  # else nobody waits any more, and it was never sent
                if batch.append(key=None, value=value, timestamp=None, headers=headers) is None:
                    break
                waiters.append(waiter)
                self._correlation.sending()
            self._queued.popleft()
        if not waiters:
            return
        batch.close()
        self._sending_since_s = time.monotonic()
        try:
            offset: int = (await (await self._producer.send_batch(batch, self._topic, partition=self.partition))).offset
        except BaseException as error:
            for waiter in waiters:
                self._correlation.not_sent()
                if not waiter.done():
                    waiter.set_exception(copy(error) if isinstance(error, Exception) else CLOSED)
            self._on_error(error)
            self._on_settled(self.partition)
            if not isinstance(error, Exception):
                raise
            return
        finally:
            self._sending_since_s = None
        self._pace.acknowledged(offset + len(waiters) - 1, time.monotonic())
        for position, waiter in enumerate(waiters):
            self._correlation.acknowledged(offset + position, waiter)
        self._on_settled(self.partition)
