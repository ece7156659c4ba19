"""Partitions that a life was given: where to go on in them, found out beside the loop that answers others meanwhile."""

import asyncio
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from msgspec import Struct

from hotswap_stream.kafka.librdkafka import ASK_SECONDS_MAX, partition_count, tail_consumer
from hotswap_stream.kafka.unreadable_batches import ReadOn
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.loop.served_partitions import ServedWatch
from hotswap_stream.workers.inference.places.checkpoint import given_up_positions, resume_positions
from hotswap_stream.workers.inference.places.hand_over import UNKNOWN, Held, held_of
from hotswap_stream.workers.inference.windows.keeper import WindowKeeper
from hotswap_stream.workers.inference.windows.partition import PartitionWindows
from hotswap_stream.workers.inference.windows.reading import TopicReader

_log = structlog.get_logger(__name__)

GIVEN_UP_SECONDS_MAX = 0.5
"""How long whoever had a partition before has to say that it gave it up; then its answers are read."""
GIVEN_UP_POLL_SECONDS = 0.01
CATCH_UP_POLL_SECONDS = 0.05
CATCH_UP_POLLS_MAX = 100
"""Polls and not seconds: a process that stood still meanwhile has not waited, and what it knows is old."""


class Found(Struct, frozen=True):
    """Where to go on, and the windows as they were right there."""

    positions: dict[int, int]
    windows: dict[int, PartitionWindows]
    given_up: frozenset[int]
    """Those whose place was told by who had them before."""


class _Search(Struct):
    wanted: set[int]
    future: Future[Found]


class TakingOver:
    """Look, in a thread of its own, where to go on. All methods are for the thread of the life."""

    def __init__(
        self,
        parts: LoopParts,
        loop: asyncio.AbstractEventLoop,
        stopping: threading.Event,
        read_on: ReadOn,
        *,
        windows: WindowKeeper,
        served: ServedWatch,
    ) -> None:
        self._parts = parts
        self._loop = loop
        self._catching_up: asyncio.Task[None] | None = None
        self._stopping = stopping
        self._read_on = read_on
        self._windows = windows
        self._served = served
        self._tags = parts.config.answer_tags.of(parts.model_name)
        self._searches: list[_Search] = []
        self._counting: Future[int] | None = None
        self._count_known = 0
        self._closed = False
        # One thread, which alone uses this client: it is closed there, too.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"take-{parts.model_name}")
        self._client = tail_consumer(parts.config.librdkafka_options, parts.config.worker, group=parts.group)
        self._reader = TopicReader(self._client, read_on=read_on, stopping=stopping)

    @property
    def busy(self) -> bool:
        """Whether something is being looked for."""
        return bool(self._searches)

    @property
    def wanted(self) -> set[int]:
        """The partitions that are being looked at."""
        return {partition for search in self._searches for partition in search.wanted}

    def start(self, partitions: Collection[int], generation: int) -> None:
        """Begin to look at partitions that were given to this worker in a generation of its group."""
        if partitions:
            wanted = set(partitions)
            self._searches.append(_Search(wanted, self._thread.submit(self._find, frozenset(wanted), generation)))

    def cancel(self, partitions: Collection[int] | None = None) -> None:
        """Forget partitions, or all: they are somebody else's."""
        for search in self._searches:
            search.wanted.difference_update(list(search.wanted) if partitions is None else partitions)

    def found(self) -> Iterator[Found]:
        """Yield what was found since the last time, of the partitions that are still wanted. KafkaException."""
        while self._searches and self._searches[0].future.done():
            search = self._searches.pop(0)
            if not search.wanted:
                continue
            found = search.future.result()
            yield Found(
                {number: place for number, place in found.positions.items() if number in search.wanted},
                {number: windows for number, windows in found.windows.items() if number in search.wanted},
                found.given_up & search.wanted,
            )

    def counted(self) -> int:
        """Return how many partitions the request topic had when it was asked last, and ask again; 0: not known."""
        if self._counting is None or self._counting.done():
            counting, self._counting = self._counting, self._thread.submit(self._count)
            if counting is not None:
                self._count_known = counting.result()
        return self._count_known

    def close(self) -> None:
        """Look for nothing more. Returns at once: what is being asked ends by itself."""
        self.cancel()
        self._closed = True
        self._thread.submit(self._client.close)
        self._thread.shutdown(wait=False)

    # --- in the other thread -----------------------------------------------------------------------------------------

    def _count(self) -> int:
        try:
            return partition_count(self._client, self._parts.request_topic)
        except KafkaException:  # brokers that are away have no more partitions
            return 0

    def _find(self, partitions: frozenset[int], generation: int) -> Found:
        began_s = time.monotonic()
        parts, client = self._parts, self._client
        served = self._served.look(client, partitions)
        given_up = self._given_up(client, served, generation)
        known_s = time.monotonic()
        positions = given_up_positions(client, parts.request_topic, given_up)
        rest = [partition for partition in served if partition not in given_up]
        if rest:
            positions |= resume_positions(
                client,
                request_topic=parts.request_topic,
                response_topic=parts.response_topic,
                partitions=rest,
                tags=self._tags,
                read_on=self._read_on,
                stopping=self._stopping,
            )
        windows = self._windows.read(positions, self._reader)
        read_s = time.monotonic()
        self._catch_up()
        _log.info(
            "partitions_found",
            model_name=parts.model_name,
            partitions=sorted(positions),
            given_up=sorted(given_up),
            waited_ms=round((known_s - began_s) * 1000),
            read_ms=round((read_s - known_s) * 1000),
            registry_ms=round((time.monotonic() - read_s) * 1000),
        )
        return Found(positions, windows, frozenset(given_up))

    def _given_up(self, client: Consumer, partitions: Collection[int], generation: int) -> dict[int, int]:
        """Return partition → offset of those whose former worker says that it gave them up. Waits for it a moment."""
        give_up_s = time.monotonic() + GIVEN_UP_SECONDS_MAX
        waiting, found = set(partitions if generation != UNKNOWN else ()), dict[int, int]()
        while waiting and not (self._stopping.is_set() or self._closed):
            try:
                wanted = [TopicPartition(self._parts.request_topic, number) for number in sorted(waiting)]
                for place in client.committed(wanted, timeout=ASK_SECONDS_MAX):
                    held = held_of(place.metadata)
                    if held is not None and held.is_for(generation) and place.offset >= 0:
                        found[place.partition] = place.offset
                    elif not self._may_come(held, place):
                        waiting.discard(place.partition)
            except KafkaException as error:  # then the answers say where to go on
                _log.debug("commits_not_read", model_name=self._parts.model_name, error=str(error))
                break
            waiting -= found.keys()
            if not waiting or time.monotonic() > give_up_s:
                break
            self._stopping.wait(GIVEN_UP_POLL_SECONDS)
        return found

    def _may_come(self, held: Held | None, place: TopicPartition) -> bool:
        """Return whether somebody may be about to give a partition up: it was held, and not by this worker itself."""
        if place.offset < 0:
            return False
        if held is None or held.given_up:
            return True
        return held.worker != self._parts.config.worker and not self._parts.host.fallen(held.worker)

    def _catch_up(self) -> None:
        """Be as far as whoever answered before can have been: versions are not older here, if a moment does for it."""
        caught_up: Future[None] = Future()

        def begin() -> None:
            # Made in the loop: one that ends before it gets here leaves no coroutine that nobody awaited.
            self._catching_up = self._loop.create_task(self._parts.host.caught_up())
            self._catching_up.add_done_callback(end)

        def end(_caught_up: asyncio.Task[None]) -> None:
            caught_up.set_result(None)

        def give_up() -> None:
            if self._catching_up is not None:
                self._catching_up.cancel()

        with suppress(RuntimeError):  # the loop is closed, and so is this soon
            self._loop.call_soon_threadsafe(begin)
        for _ in range(CATCH_UP_POLLS_MAX):
            if self._closed or self._stopping.is_set():
                break
            with suppress(FutureTimeoutError):
                caught_up.result(CATCH_UP_POLL_SECONDS)
                return
        else:  # as when the log is away, or a version takes long to load: what is here has to do
            _log.warning("registry_not_caught_up", model_name=self._parts.model_name)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(give_up)
