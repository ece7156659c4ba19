"""Partitions that a life was given: where to go on in them, found out beside the loop that answers others meanwhile."""

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from queue import Empty, SimpleQueue

import structlog
from confluent_kafka import KafkaError, KafkaException

from hotswap_stream.kafka.librdkafka import partition_count, tail_consumer
from hotswap_stream.kafka.unreadable_batches import ReadOn
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.loop.served_partitions import ServedWatch
from hotswap_stream.workers.inference.places.checkpoint import Tails, resume_positions
from hotswap_stream.workers.inference.places.hand_over import UNKNOWN, given_up_places
from hotswap_stream.workers.inference.places.searching import Found, Look, Search
from hotswap_stream.workers.inference.windows.keeper import WindowKeeper
from hotswap_stream.workers.inference.windows.partition import PartitionWindows
from hotswap_stream.workers.inference.windows.reading import TopicReader

_log = structlog.get_logger(__name__)

GIVEN_UP_SECONDS_MAX = 1.2
"""How long whoever had a partition before, and lives, has to say that it gave it up; then its answers are read. Well
longer than it takes to say at least that they are under way (`assignment.GIVE_UP_SECONDS_MAX`)."""
LEAVING_SECONDS_MAX = 8.0
"""The same where it says that its last answers are still under way. Meanwhile these come; answers that were written
before they are there would be void, or make the later ones of them count: those of a version that is active no more."""
FOUND_SECONDS_MAX = 30.0
"""After so long without a place the life ends where nothing else is answered; another one connects anew."""
AGAIN_SECONDS = 0.3
AGAIN_SECONDS_MAX = 2.0
"""The pause after a look that found nothing; each is twice as long as the one before."""
PATIENCE_MAX = 8
"""After looks that found nothing, each next one waits twice as long, up to so many times, for what does not come."""
PAUSE_SECONDS = 0.05
WINDOWS_SECONDS_MAX = 5.0
"""How long windows are read one partition at a time, where those of all cannot be read."""
CATCH_UP_POLL_SECONDS = 0.05
CATCH_UP_POLLS_MAX = 100
"""Polls and not seconds: a process that stood still meanwhile has not waited, and what it knows is old."""
CATCH_UP_POLLS_OLDER_MAX = 600
"""Where it is known that answers would be of an older event than those before."""
CATCH_UP_POLLS_FIRST_MAX = 10
"""Where there were no answers before, so that none can be of an older event than those."""


class TakingOver:
    """Look, in a thread of its own, where to go on. All methods are for the thread of the life.

    What is found is gone on with at once. What cannot be looked at now, as where a leader is away, is looked at again,
    and in between what was given later.
    """

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
        self._windows = windows
        self._served = served
        self._searches: list[Search] = []
        self._looks: SimpleQueue[Look] = SimpleQueue()
        self._queued: deque[Search] = deque()
        """Those whose next look the other thread has not begun."""
        self._counting: Future[int] | None = None
        self._count_known = 0
        self._closed = False
        # One thread, which alone uses this client: it is closed there, too.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"take-{parts.model_name}")
        self._client = tail_consumer(parts.config.librdkafka_options, parts.config.worker, group=parts.group)
        self._reader = TopicReader(self._client, read_on=read_on, stopping=stopping)
        self._tails = Tails(
            self._client,
            request_topic=parts.request_topic,
            response_topic=parts.response_topic,
            tags=parts.config.answer_tags.of(parts.model_name),
            read_on=read_on,
        )

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
            now_s = time.monotonic()
            search = Search(frozenset(partitions), generation, found_s=now_s, began_s=now_s)
            self._searches.append(search)
            self._submit(search)

    def cancel(self, partitions: Collection[int] | None = None) -> None:
        """Forget partitions, or all: they are somebody else's."""
        for search in self._searches:
            search.wanted = frozenset() if partitions is None else search.wanted.difference(partitions)
        self._searches = [search for search in self._searches if search.wanted]

    def found(self, *, serving: bool) -> Iterator[Found]:
        """Yield what was found since the last time, of the partitions that are still wanted.

        Args:
            serving: Whether other partitions are being answered: these are not given up for those that are not found.

        Raises:
            KafkaException: Nothing was found for long.
        """
        while True:
            try:
                look = self._looks.get_nowait()
            except Empty:
                return
            search, found = look.search, look.found
            if not search.wanted:
                continue
            if look.failed is not None:
                _log.error(
                    "partitions_not_found",
                    model_name=self._parts.model_name,
                    partitions=sorted(search.wanted),
                    error=str(look.failed),
                )
                if not serving:
                    raise look.failed
            wanted, search.wanted = search.wanted, search.wanted & look.left
            if not search.wanted:
                self._searches = [other for other in self._searches if other is not search]
            if found is not None:
                yield Found(
                    {number: place for number, place in found.positions.items() if number in wanted},
                    {number: windows for number, windows in found.windows.items() if number in wanted},
                    found.given_up & wanted,
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

    def _submit(self, search: Search) -> None:
        with suppress(RuntimeError):  # this was closed
            self._queued.append(search)
            self._thread.submit(self._turn)

    def _turn(self) -> None:
        """Look once, and see to it that what was not found is looked at again."""
        search = self._queued.popleft()
        if not search.wanted or self._closed or self._stopping.is_set():
            return
        if time.monotonic() < search.next_s:  # others take their turns meanwhile
            self._stopping.wait(PAUSE_SECONDS)
            self._submit(search)
            return
        left = search.wanted if search.left is None else search.left
        found, error = None, None
        try:
            found = self._look(search)
            left = search.left or frozenset()
        except KafkaException as failed:
            error = failed
        except Exception as failed:  # noqa: BLE001  # whoever waits for it must hear of it
            error = KafkaException(KafkaError(KafkaError._FAIL, f"places cannot be read: {failed!r}"))
        self._looks.put(self._judged(search, found, left, error))
        if left & search.wanted:
            doubled = 0 if search.leaving else min(search.looks, 10)
            search.next_s = time.monotonic() + min(AGAIN_SECONDS_MAX, AGAIN_SECONDS * 2**doubled)
            search.looks += 1
            self._submit(search)

    def _judged(self, search: Search, found: Found | None, left: frozenset[int], error: KafkaException | None) -> Look:
        now_s = time.monotonic()
        if found is not None or not left & search.wanted:
            search.found_s, search.looks = now_s, 0
            return Look(search, found, left)
        last = self._tails.error
        why = "their last answers are under way" if search.leaving else "their leaders are away"
        said = str(error) if error is not None else why if last is None else str(last)
        _log.warning(
            "partitions_looked_at_again",
            model_name=self._parts.model_name,
            partitions=sorted(left & search.wanted),
            error=said,
        )
        if now_s - search.found_s <= FOUND_SECONDS_MAX:
            return Look(search, None, left)
        search.found_s = now_s
        reason = f"the places to go on from cannot be read for {FOUND_SECONDS_MAX:g} s: {said}"
        return Look(search, None, left, KafkaException(KafkaError(KafkaError._TIMED_OUT, reason)))

    def _look(self, search: Search) -> Found | None:
        """Find what can be found now, and leave the rest in the search. KafkaException."""
        began_s = time.monotonic()
        parts, client = self._parts, self._client
        first = search.left is None
        if search.left is None:
            search.left = frozenset(self._served.look(client, search.wanted))
        partitions = search.left & search.wanted
        given_up, leaving = given_up_places(
            client,
            parts.request_topic,
            partitions if search.generation != UNKNOWN else (),
            search.generation,
            may_come=self._may_come,
            seconds_max=GIVEN_UP_SECONDS_MAX if first else 0.0,
            stopped=lambda: self._closed or self._stopping.is_set(),
        )
        known_s = time.monotonic()
        if known_s - search.began_s > LEAVING_SECONDS_MAX:
            leaving.clear()
        search.leaving = bool(leaving)
        places = resume_positions(
            client,
            self._tails,
            parts.request_topic,
            sorted(partitions - leaving),
            given_up,
            wanted=lambda: search.wanted,
            hurried=lambda: bool(self._queued),
            patience=min(PATIENCE_MAX, 2**search.looks),
        )
        # Those that need not wait for the registry go on now, and the others are looked at again after them.
        places = {number: place for number, place in places.items() if self._as_new([place.chosen_by])} or places
        windows = self._windows_of({number: place.offset for number, place in places.items()})
        positions = {number: places[number].offset for number in windows}
        read_s = time.monotonic()
        search.left = partitions - positions.keys()
        if not positions:
            return None
        chosen_by = [places[number].chosen_by for number in positions]
        if not self._as_new(chosen_by):
            self._catch_up(self._polls_max(chosen_by))
        _log.info(
            "partitions_found",
            model_name=parts.model_name,
            partitions=sorted(positions),
            given_up=sorted(given_up.keys() & positions.keys()),
            left=sorted(search.left),
            waited_ms=round((known_s - began_s) * 1000),
            read_ms=round((read_s - known_s) * 1000),
            registry_ms=round((time.monotonic() - read_s) * 1000),
        )
        return Found(positions, windows, frozenset(given_up.keys() & positions.keys()))

    def _as_new(self, chosen_by: Collection[int | None]) -> bool:
        """Return whether what answers here is known to be no older than what gave the last answers."""
        current = self._parts.slots.current
        return current is not None and all(
            offset is not None and 0 <= offset <= current.registry_offset for offset in chosen_by
        )

    def _polls_max(self, chosen_by: Collection[int | None]) -> int:
        """Return how long the registry is waited for, before partitions with these last answers go on."""
        current = self._parts.slots.current
        known = -1 if current is None else current.registry_offset
        if any(offset is not None and offset > known for offset in chosen_by):
            return CATCH_UP_POLLS_OLDER_MAX
        return CATCH_UP_POLLS_MAX if current is None or None in chosen_by else CATCH_UP_POLLS_FIRST_MAX

    def _windows_of(self, positions: Mapping[int, int]) -> dict[int, PartitionWindows]:
        """Return the windows of those partitions of which they can be read now."""
        try:
            return self._windows.read(positions, self._reader)
        except KafkaException as error:
            _log.warning("windows_not_read", model_name=self._parts.model_name, error=str(error))
        found: dict[int, PartitionWindows] = {}
        give_up_s = time.monotonic() + WINDOWS_SECONDS_MAX
        for number in random.sample(sorted(positions), len(positions) if len(positions) > 1 else 0):
            if time.monotonic() > give_up_s:
                break
            with suppress(KafkaException):
                found |= self._windows.read({number: positions[number]}, self._reader)
        return found

    def _may_come(self, worker: str) -> bool:
        """Return whether a worker may be about to give partitions up: it is not this one itself, and not dead."""
        return worker != self._parts.config.worker and not self._parts.host.fallen(worker)

    def _catch_up(self, polls_max: int) -> None:
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
        for _ in range(polls_max):
            if self._closed or self._stopping.is_set():
                break
            with suppress(FutureTimeoutError):
                caught_up.result(CATCH_UP_POLL_SECONDS)
                return
        else:  # as when the log is away, or a version takes long to load: what is here has to do
            _log.warning("registry_not_caught_up", model_name=self._parts.model_name)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(give_up)
