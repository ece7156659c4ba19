"""One model's loop in one worker: fetch and decode, compute, send, as a pipeline of three tasks.

While one batch computes in a thread, the next is fetched and decoded and the last is sent. Between fetch and send a
batch may lose its right to be sent: its partitions were revoked, a send before it failed, or the process stood still.
Then everything in the pipeline is dropped (`epoch`) and the partitions are resumed behind the last answer.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError
from msgspec import Struct

from hotswap_events.topics import Topics
from hotswap_stream.application.version_slots import VersionSlots
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.workers.inference.answer_sender import AnswerSender
from hotswap_stream.workers.inference.answers import Answer, Answerer
from hotswap_stream.workers.inference.checkpoint import last_answered, resume_offset
from hotswap_stream.workers.inference.requests import Request, Unreadable, read_request
from hotswap_stream.workers.inference.stall import StallWatch

_log = structlog.get_logger(__name__)

POLL_MS = 500
COMMIT_SECONDS = 1.0
SESSION_TIMEOUT_MS = 10_000
DRAIN_SECONDS_MAX = 20.0
RESTART_SECONDS = 0.5


class LoopLimits(Struct, frozen=True, kw_only=True):
    """Limits of one loop."""

    batch_size_max: int = 64
    request_bytes_max: int = 4 * 1024**2
    response_bytes_max: int = 8 * 1024**2


class _Batch(Struct, frozen=True):
    epoch: int
    stalls: int
    entries: list[Request | Unreadable]
    ends: dict[TopicPartition, int]
    """Partition → offset behind the batch's last record."""


class _Answered(Struct, frozen=True):
    batch: _Batch
    answers: list[Answer]


class ModelLoop(ConsumerRebalanceListener):  # type: ignore[misc]
    """Answers the requests of one model in the partitions this worker is given; heals itself when Kafka fails."""

    def __init__(
        self,
        *,
        model_name: str,
        topics: Topics,
        client_options: Mapping[str, Any],
        slots: VersionSlots,
        has_active: Callable[[], bool],
        catch_up: Callable[[], Any],
        worker: str,
        stall_watch: StallWatch,
        limits: LoopLimits,
        on_partitions: Callable[[], None],
    ) -> None:
        self.model_name = model_name
        self.partitions: tuple[int, ...] = ()
        self._topics = topics
        self._request_topic = topics.requests(model_name)
        self._response_topic = topics.responses(model_name)
        self._client_options = dict(client_options)
        self._slots = slots
        self._has_active = has_active
        self._catch_up = catch_up
        self._worker = worker
        self._stall_watch = stall_watch
        self._limits = limits
        self._on_partitions = on_partitions
        self._answerer = Answerer(model_name, worker)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"infer-{model_name}")
        self._consumer: AIOKafkaConsumer | None = None
        self._sender: AnswerSender | None = None
        self._epoch = 0
        self._in_pipeline = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._may_fetch = asyncio.Event()
        self._positions = asyncio.Lock()
        """Held while records are taken and while positions are set, so that no record falls between the two."""
        self._done: dict[TopicPartition, int] = {}
        self._stopping = asyncio.Event()

    def request_stop(self) -> None:
        """Make `run` answer what was fetched, commit, leave the group, and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Answer until `request_stop`. Only an error that is no failure of Kafka ends it otherwise."""
        try:
            while not self._stopping.is_set():
                try:
                    await self._run_connected()
                except (KafkaError, LogUnavailableError) as error:
                    _log.error("model_loop_restarted", model_name=self.model_name, error=repr(error))
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), RESTART_SECONDS)
        finally:
            self._thread.shutdown(wait=True)

    async def _run_connected(self) -> None:
        """One life of consumer and producer: ends when asked to stop, or with the KafkaError that broke it."""
        decoded: asyncio.Queue[_Batch] = asyncio.Queue(maxsize=1)
        answered: asyncio.Queue[_Answered] = asyncio.Queue(maxsize=1)
        self._epoch += 1
        self._in_pipeline = 0
        self._idle.set()
        self._done.clear()
        producer = AIOKafkaProducer(
            **self._client_options,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=self._limits.response_bytes_max,
            max_request_size=self._limits.response_bytes_max,
        )
        consumer = AIOKafkaConsumer(
            **self._client_options,
            group_id=f"{self._topics.prefix}.workers.{self.model_name}",
            group_instance_id=self._worker,
            client_id=self._worker,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=1_000,
            max_partition_fetch_bytes=max(1_048_576, 2 * self._limits.request_bytes_max),
            metadata_max_age_ms=30_000,
        )
        tasks: list[asyncio.Task[Any]] = []
        try:
            await producer.start()
            self._sender = AnswerSender(producer, self._response_topic, self._topics.dead_letters)
            self._consumer = consumer
            await consumer.start()
            consumer.subscribe([self._request_topic], listener=self)
            self._may_fetch.set()
            tasks = [
                asyncio.create_task(self._fetch(consumer, decoded), name="fetch"),
                asyncio.create_task(self._compute(decoded, answered), name="compute"),
                asyncio.create_task(self._send(answered), name="send"),
                asyncio.create_task(self._commit_regularly(), name="commit"),
            ]
            stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
            tasks.append(stopping)
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended - {stopping}:
                task.result()
            await self._quiesce()
            await self._commit()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._sender = self._consumer = None
            self.partitions = ()
            for client in (consumer, producer):
                with suppress(KafkaError):
                    await client.stop()

    # --- the group ---------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Before a rebalance: let what is in the pipeline be answered, then commit."""
        if not revoked:
            return
        await self._quiesce()
        await self._commit()
        self._epoch += 1
        self._done.clear()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """After a rebalance: go on behind the last answer of each partition."""
        consumer = self._consumer
        if consumer is None:
            return
        self._epoch += 1
        await self._resume(consumer, assigned)
        self.partitions = tuple(sorted(partition.partition for partition in assigned))
        _log.info("partitions_assigned", model_name=self.model_name, partitions=self.partitions)
        self._on_partitions()
        self._may_fetch.set()

    async def _resume(self, consumer: AIOKafkaConsumer, assigned: Collection[TopicPartition]) -> None:
        if not assigned:
            return
        async with self._positions:
            await self._set_positions(consumer, assigned)

    async def _set_positions(self, consumer: AIOKafkaConsumer, assigned: Collection[TopicPartition]) -> None:
        answered = await last_answered(
            self._client_options, self._response_topic, [partition.partition for partition in assigned]
        )
        begins = await consumer.beginning_offsets(list(assigned))
        ends = await consumer.end_offsets(list(assigned))
        for partition in assigned:
            offset = resume_offset(
                committed=await consumer.committed(partition),
                last_answered=answered.get(partition.partition),
                begin=begins[partition],
                end=ends[partition],
            )
            consumer.seek(partition, offset)

    async def _quiesce(self) -> None:
        """Fetch no more and wait until the pipeline is empty, unless there is no version to empty it with."""
        self._may_fetch.clear()
        if self._slots.serving is None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), DRAIN_SECONDS_MAX)

    async def _start_over(self) -> None:
        """Drop what is in the pipeline and go on behind the last answers."""
        self._may_fetch.clear()
        self._epoch += 1
        self._done.clear()
        consumer = self._consumer
        if consumer is not None:
            await self._resume(consumer, consumer.assignment())
        self._may_fetch.set()

    # --- the pipeline ------------------------------------------------------------------------------------------------

    async def _fetch(self, consumer: AIOKafkaConsumer, decoded: "asyncio.Queue[_Batch]") -> None:
        while True:
            await self._may_fetch.wait()
            async with self._positions:
                epoch, stalls = self._epoch, self._stall_watch.stalls
                fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=self._limits.batch_size_max)
                if epoch != self._epoch:
                    continue  # positions are about to be set anew, as soon as the lock is free
                if not self._may_fetch.is_set():
                    for partition, records in fetched.items():
                        consumer.seek(partition, records[0].offset)
                    continue
            if not fetched:
                continue
            entries = [
                read_request(record, self._limits.request_bytes_max)
                for records in fetched.values()
                for record in records
            ]
            self._in_pipeline += 1
            self._idle.clear()
            ends = {partition: records[-1].offset + 1 for partition, records in fetched.items()}
            await decoded.put(_Batch(epoch, stalls, entries, ends))

    async def _compute(self, decoded: "asyncio.Queue[_Batch]", answered: "asyncio.Queue[_Answered]") -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await decoded.get()
            if batch.epoch != self._epoch:
                self._leave_pipeline()
                continue
            if self._slots.serving is None:
                # Perhaps the first promotion was answered to its sender, but not yet read here.
                await self._catch_up()
                if self._has_active():
                    await self._slots.wait_decided()
                if batch.epoch != self._epoch:
                    self._leave_pipeline()
                    continue
            serving, why_none = self._slots.begin(), self._slots.failure
            try:
                answers = await loop.run_in_executor(
                    self._thread, self._answerer.answer, batch.entries, serving, why_none
                )
            finally:
                if serving is not None:
                    self._slots.end(serving)
            await answered.put(_Answered(batch, answers))

    async def _send(self, answered: "asyncio.Queue[_Answered]") -> None:
        while True:
            item = await answered.get()
            batch = item.batch
            if batch.epoch != self._epoch:
                self._leave_pipeline()
                continue
            if batch.stalls != self._stall_watch.stalls:
                _log.warning("batch_dropped_after_stall", model_name=self.model_name, requests=len(batch.entries))
                self._leave_pipeline()
                await self._start_over()
                continue
            try:
                if self._sender is not None:
                    await self._sender.send(item.answers)
            except KafkaError:
                # Neither sent nor not sent: a fresh producer, and the answers themselves say where to go on.
                self._leave_pipeline()
                raise
            if batch.epoch == self._epoch:
                self._done.update(batch.ends)
            self._leave_pipeline()

    def _leave_pipeline(self) -> None:
        self._in_pipeline -= 1
        if self._in_pipeline == 0:
            self._idle.set()

    # --- commits: for lag, and as the second half of the checkpoint --------------------------------------------------

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            await self._commit()

    async def _commit(self) -> None:
        done, self._done = self._done, {}
        consumer = self._consumer
        if not done or consumer is None:
            return
        assigned = consumer.assignment()
        with suppress(CommitFailedError):
            offsets = {partition: offset for partition, offset in done.items() if partition in assigned}
            if offsets:
                await consumer.commit(offsets)
