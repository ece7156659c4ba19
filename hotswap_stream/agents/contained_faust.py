"""Faust's own parts, changed where it would do what it may not; see `faust_app`."""

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Any, cast

import faust
import structlog
from aiokafka import TopicPartition
from faust.exceptions import ProducerSendError
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.transport.producer import ProducerBuffer
from faust.types.tuples import FutureMessage

from hotswap_stream.kafka.clients import ISOLATION_LEVEL, never_creating

_log = structlog.get_logger(__name__)

HANDING_OVER_SECONDS = 0.1
"""Between two looks whether the buffer of what is written into tables was stopped."""
CHANGELOG_QUIET_SECONDS = 4.0
"""Without a record from a changelog, before the offsets that are left there count as holding none. Less than the time
after which Faust looks whether a quiet recovery is done, 5 s."""


class ContainedBuffer(ProducerBuffer):
    """Hold what is written into tables until it is handed to the client, and know of what never arrived.

    Faust waits for a tenth of a second and then commits, though changelogs may lack what led to these offsets; and of
    a record that the broker did not take it hears nothing. A process that starts after this one's death would miss it.
    """

    _in_hand = 0
    _failure: BaseException | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._under_way: set[FutureMessage] = set()

    async def _send_pending(self, fut: FutureMessage) -> None:
        self._in_hand += 1
        try:
            await super()._send_pending(fut)
        finally:
            self._in_hand -= 1
        self._under_way.add(fut)
        fut.add_done_callback(self._arrived)

    def _arrived(self, sent: "asyncio.Future[Any]") -> None:
        self._under_way.discard(cast("FutureMessage", sent))
        if not sent.cancelled() and (error := sent.exception()) is not None:
            self._failure = self._failure or error

    async def handed_over(self) -> None:
        """Return once the client has all that was put in, or this buffer is stopped."""
        while (self.size or self._in_hand) and not self.should_stop:
            self.message_sent.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.message_sent.wait(), HANDING_OVER_SECONDS)

    async def settled(self) -> None:
        """Return once the broker has all that the client was given, or will never have it."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    def check(self) -> None:
        """Raise if the broker did not take a record.

        Raises:
            ProducerSendError: There is one. That stays so: only a process that reads again what led to the record
                mends it.
        """
        if self._failure is not None:
            raise ProducerSendError(f"a table's changelog lacks a record: {self._failure!r}") from self._failure


class ContainedConsumerThread(driver.AIOKafkaConsumerThread):
    """Reads what was committed, which Faust does only together with transactions of its own."""

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = never_creating(super()._create_worker_consumer(transport))
        consumer._isolation_level = ISOLATION_LEVEL  # given to its fetcher when it starts
        return consumer

    def fetch_position(self, partition: Any) -> int | None:
        """Return the offset that is fetched next; None while it is not known."""
        assigned = self._ensure_consumer()._subscription.subscription
        if assigned is None or assigned.assignment is None:
            return None
        state = assigned.assignment.state_value(TopicPartition(partition.topic, partition.partition))
        return int(state.position) if state is not None and state.has_valid_position else None

    async def seek_to_committed(self) -> Any:
        """Go back to the committed offsets, and to the beginning where nothing was committed yet.

        Returns:
            The committed offset of each assigned partition, or None.
        """
        return await self.call_thread(self._seek_back)

    async def _seek_back(self) -> Any:
        consumer = self._ensure_consumer()
        committed = await consumer.seek_to_committed()
        is_changelog = self.consumer._is_changelog_tp
        begun_anew = [place for place, offset in committed.items() if not offset and not is_changelog(place)]
        if begun_anew:
            # Not `seek_to_beginning`: the fetcher goes there by itself, and two who ask at once are an error to it.
            for place, offset in (await consumer.beginning_offsets(begun_anew)).items():
                consumer.seek(place, offset)
        return committed


class ContainedConsumer(driver.Consumer):
    """Consume by the contained thread, and pass on nothing that was fetched before a jump back.

    A fetch that goes on while Faust goes back to the committed offsets may return records from beyond them. Passed on,
    they would be taken for the place that was read to, and those before them for read.
    """

    _jumps = 0

    async def perform_seek(self) -> None:
        """Go back to the committed offsets."""
        await super().perform_seek()
        self._jumps += 1

    async def _wait_next_records(self, timeout: float) -> Any:
        jumps = self._jumps
        records, active = await super()._wait_next_records(timeout)
        if records and jumps != self._jumps:
            await self.perform_seek()
            # Nobody goes back in a changelog: what was fetched of it is not fetched again.
            return {place: found for place, found in records.items() if self._is_changelog_tp(place)}, active
        return records, active

    async def _commit(self, offsets: Any) -> bool:
        """Commit offsets unless a changelog lacks what led to them. Faust has flushed the producer before."""
        buffer: ContainedBuffer = self.app.producer.buffer  # type: ignore[assignment]
        try:
            buffer.check()
        except ProducerSendError:
            if not self.should_stop:
                raise
            return False
        return bool(await super()._commit(offsets))

    def _new_consumer_thread(self) -> ContainedConsumerThread:
        return ContainedConsumerThread(self, loop=self.loop, beacon=self.beacon)


class ContainedProducer(driver.Producer):
    """Produce without ever making the broker create a topic."""

    buffer: ContainedBuffer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = ContainedBuffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app

    async def flush(self) -> None:
        """Return once what was written into the tables is with the broker or lost; `buffer.check` says which."""
        await self.buffer.handed_over()
        await super().flush()
        await self.buffer.settled()

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        return never_creating(super()._new_producer(transactional_id))


class ContainedTransport(driver.Transport):
    """Bring the contained consumer and producer."""

    Consumer = ContainedConsumer
    Producer = ContainedProducer


class ContainedApp(faust.App):
    """No data folder: the table is in memory and its changelog in Kafka."""

    def _create_directories(self) -> None:
        return

    def check_changelogs(self) -> None:
        """Raise ProducerSendError if the broker did not take a record of a table's changelog."""
        buffer: ContainedBuffer = self.producer.buffer  # type: ignore[assignment]
        buffer.check()

    def _new_transport(self) -> ContainedTransport:
        return ContainedTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> ContainedTransport:
        return ContainedTransport(self.conf.broker_producer, self)


class ContainedRecovery(Recovery):
    """Hold the flow from the restored table on; Faust lets it go once it is back at the committed offsets.

    It also ends at a changelog whose last offsets hold no record, as after a transaction: Faust waits for a record
    there, though the consumer has passed that place.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._passed_at_s: dict[tuple[Any, int], float] = {}

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Stop the flow before Faust goes back to the committed offsets."""
        self._passed_at_s.clear()
        self.app.consumer.stop_flow()
        await super().on_recovery_completed(generation_id)

    def need_recovery(self) -> bool:
        """Return whether changelogs are left to restore; those that only hold no more record are not."""
        for partition, remaining in self.active_remaining().items():
            if remaining > 0 and self._passed_without_records(partition):
                _log.info("changelog_ends_without_record", topic=partition.topic, partition=partition.partition)
                self.active_offsets[partition] = self.active_highwaters[partition]
        return super().need_recovery()

    def _passed_without_records(self, partition: Any) -> bool:
        """Return whether the consumer passed the end so long ago that what it fetched before has been applied."""
        place = partition, self.active_highwaters[partition]
        thread: ContainedConsumerThread = self.app.consumer._thread  # type: ignore[attr-defined]  # of every driver
        position = thread.fetch_position(partition)
        if position is None or position <= self.active_highwaters[partition]:
            self._passed_at_s.pop(place, None)
            return False
        now_s = monotonic()
        quiet_since_s = max(
            self._passed_at_s.setdefault(place, now_s), self._active_events_received_at.get(partition, 0.0)
        )
        return now_s - quiet_since_s >= CHANGELOG_QUIET_SECONDS and self.tables.changelog_queue.empty()


class ContainedTableManager(TableManager):
    """Bring the contained recovery."""

    @property
    def recovery(self) -> Recovery:
        """The recovery, made when it is first asked for."""
        if self._recovery is None:
            self._recovery = ContainedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
