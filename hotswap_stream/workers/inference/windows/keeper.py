"""The windows of a model's loop: taken out of its requests, written to the model's windows topic, read back.

Written is only what was answered: whoever takes the partition over goes on after the last answer, and must find every
window as it was right there. See docs/explanation/windows.md.
"""

import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException, Message

from hotswap_events.inference.windows import WindowRecord, WindowRule
from hotswap_stream.application.windows.fold import WindowFold
from hotswap_stream.application.windows.rule import next_rule
from hotswap_stream.workers.inference.requests.records import RequestRecord, records_of
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
from hotswap_stream.workers.inference.spread_producer import SpreadProducer
from hotswap_stream.workers.inference.waiting import Wait
from hotswap_stream.workers.inference.windows.inheriting import inherit
from hotswap_stream.workers.inference.windows.partition import PartitionWindows
from hotswap_stream.workers.inference.windows.reading import TopicReader
from hotswap_stream.workers.inference.windows.steps import WindowSteps
from hotswap_stream.workers.inference.windows.window import Window, window_of

_log = structlog.get_logger(__name__)

FLUSH_SECONDS = 1.0
FLUSH_RECORDS_MAX = 2_000
"""Written of a partition at a time; if more series change in a second, more requests are read again at a restart."""


Settle = Callable[[Collection[int]], Collection[int]]
"""See `WindowKeeper.begin`."""


class WindowKeeper:
    """Keep the windows of one life of a loop, for its thread."""

    def __init__(
        self,
        model_name: str,
        *,
        request_topic: str,
        topic: str,
        keys_max: int,
        read_entry: Callable[[RequestRecord], Request | Unreadable],
        ensure_topic: Callable[[], None],
        stopping: threading.Event,
    ) -> None:
        self.active = False
        """Whether any partition has windows."""
        self._model_name = model_name
        self._request_topic = request_topic
        self._topic = topic
        self._keys_max = keys_max
        self._read_entry = read_entry
        self._ensure_topic = ensure_topic
        self._stopping = stopping
        self._writer = secrets.token_hex(8)
        self._partitions: dict[int, PartitionWindows] = {}
        self._seen_rule: WindowRule | None = None
        self._next_flush = 0.0
        self._producer: SpreadProducer | None = None
        self._unwritten = 0
        """Records of windows that are on their way."""
        self._failed: KafkaError | None = None
        self._settle: Settle = set
        self._on_error: Callable[[KafkaError], None] = lambda _error: None

    def begin(self, producer: SpreadProducer, settle: Settle, on_error: Callable[[KafkaError], None]) -> None:
        """Write through the producer of the answers.

        `settle` waits for the answers of partitions and returns those of which all are in their topic: Kafka may take
        nothing of one for now. It may raise KafkaException.
        """
        self._producer, self._settle, self._on_error = producer, settle, on_error

    # --- requests ----------------------------------------------------------------------------------------------------

    def take(self, entries: Sequence[Request | Unreadable], rule: WindowRule | None) -> list[WindowSteps] | None:
        """Take in what a batch brings; None where nothing is kept. `rule`: see `VersionSlots.window_rule`.

        Everything taken before must have been answered. KafkaException.
        """
        if rule is not self._seen_rule:
            self._follow(rule)
        if not self.active:
            return None
        return [self._partitions[entry.record.partition].take(entry) for entry in entries]

    def _follow(self, wanted: WindowRule | None) -> None:
        """Put a changed rule into the topic before the first request that it is applied to."""
        self._seen_rule = wanted
        if wanted is None:
            return  # what is kept is kept on, for the versions that took it
        changing = {
            number: rule
            for number, windows in self._partitions.items()
            if (rule := next_rule(windows.rule, wanted)) != windows.rule
        }
        if not changing:
            return
        self._ensure_topic()
        if changing.keys() - self._settle(changing):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "answers unsent, and windows wait for them"))
        for number, rule in changing.items():
            windows = self._partitions[number]
            self._write(number, windows, records_max=None)
            windows.change_rule(rule)
            self._write(number, windows, records_max=None)
        self._sync()
        self.active = True
        _log.info("windows_kept", model_name=self._model_name, partitions=sorted(changing), rule=wanted)

    # --- the topic ---------------------------------------------------------------------------------------------------

    def flush_if_due(self) -> None:
        """Write what changed, about once a second. Everything taken must have been answered. KafkaException."""
        if not self.active:
            return
        now = time.monotonic()
        if now >= self._next_flush:
            self._next_flush = now + FLUSH_SECONDS
            dirty = [number for number, windows in self._partitions.items() if windows.dirty]
            for number in self._settle(dirty) if dirty else ():
                self._write(number, self._partitions[number], FLUSH_RECORDS_MAX)

    def flush(self, settled: Collection[int]) -> None:
        """Write what changed in partitions of which all answers are there; return when it is, too. KafkaException."""
        dirty = [number for number in settled if number in self._partitions and self._partitions[number].dirty]
        for number in dirty:
            self._write(number, self._partitions[number], records_max=None)
        if dirty:
            self._sync()

    def _sync(self) -> None:
        """Return when all windows that were written are in their topic. KafkaException."""
        if self._producer is None:
            return
        least, wait = self._unwritten, Wait(self._stopping, "windows unsent, none of them taken")
        while self._unwritten:
            if self._unwritten < least:
                least = self._unwritten
                wait.progress()
            wait.check()
            self._producer.poll(0.01)
        if self._failed is not None:
            raise KafkaException(self._failed)

    def _write(self, number: int, windows: PartitionWindows, records_max: int | None) -> None:
        evicted = windows.evicted
        for key, record in windows.changes(len(windows) if records_max is None else records_max):
            self._produce(number, key, None if record is None else msgspec.msgpack.encode(record))
        marker = windows.marker()
        if marker is None:
            return
        if evicted > windows.evicted_reported:
            _log.warning(
                "windows_evicted",
                model_name=self._model_name,
                partition=number,
                windows=evicted - windows.evicted_reported,
                keys_max=self._keys_max,
            )
            windows.evicted_reported = evicted
        self._produce(number, marker[0], msgspec.msgpack.encode(marker[1]))
        for key in windows.deletions():
            self._produce(number, key, None)

    def _produce(self, partition: int, key: bytes, value: bytes | None) -> None:
        producer = self._producer
        if producer is None:
            raise RuntimeError("begin first")
        wait = None
        while True:
            try:
                producer.produce(self._topic, value, key, partition, on_delivery=self._delivered)
                self._unwritten += 1
                return
            except BufferError:
                wait = wait or Wait(self._stopping, "no room for windows")
                in_flight = len(producer)
                producer.poll(0.05)
                if len(producer) < in_flight:
                    wait.progress()
                wait.check()

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        self._unwritten -= 1
        if error is not None:
            self._failed = error
            self._on_error(error)

    # --- partitions --------------------------------------------------------------------------------------------------

    def release(self, partitions: Collection[int] | None = None) -> None:
        """Write nothing more of these partitions, or of all: they are somebody else's until the next `install`."""
        for number in list(self._partitions) if partitions is None else partitions:
            self._partitions.pop(number, None)
        self.active = any(windows.rule is not None for windows in self._partitions.values())

    def install(self, found: Mapping[int, PartitionWindows]) -> None:
        """Keep the windows of these partitions too, as `read` found them."""
        self._partitions.update(found)
        self._seen_rule = None
        self.active = any(windows.rule is not None for windows in self._partitions.values())

    def read(self, positions: Mapping[int, int], reader: TopicReader) -> dict[int, PartitionWindows]:
        """Return the windows of partitions as they were when the requests below these offsets were taken in.

        For any thread, beside the loop. KafkaException.
        """
        found = {
            number: PartitionWindows(self._model_name, self._writer, next_offset=offset, keys_max=self._keys_max)
            for number, offset in positions.items()
        }
        if not found or not reader.exists(self._topic):
            return found
        for number, fold in reader.windows(self._topic, sorted(found)).items():
            self._restore(found[number], fold, reader.end(self._request_topic, number))
        inherit(
            found,
            reader,
            topic=self._topic,
            request_topic=self._request_topic,
            stopping=self._stopping,
        )
        self._check_offsets(found, positions, reader)
        self._replay(found, positions, reader)
        for number, windows in found.items():
            windows.end_replay(positions[number])
        return found

    def _restore(self, windows: PartitionWindows, fold: WindowFold[WindowRecord], requests_end: int) -> None:
        if fold.marker is None:
            return
        restored: list[tuple[bytes, Window]] = []
        # A marker beyond the end says that the request topic was made anew, so all records are.
        below = requests_end if fold.marker.next_offset <= requests_end else None
        for series, record, writers in fold.windows(below):
            try:
                restored.append((series, window_of(record, writers)))
            except ValueError as error:
                _log.error("window_unreadable", model_name=self._model_name, key=series, error=str(error))
        if fold.unreadable:
            _log.error("windows_unreadable", model_name=self._model_name, records=fold.unreadable)
        windows.restore(restored, fold.marker, fold.marker_writers)

    def _check_offsets(
        self, found: dict[int, PartitionWindows], positions: Mapping[int, int], reader: TopicReader
    ) -> None:
        for number, windows in found.items():
            if windows.next_offset <= positions[number]:
                continue
            _log.warning(
                "windows_ahead_of_answers",
                model_name=self._model_name,
                partition=number,
                windows=windows.next_offset,
                answers=positions[number],
            )
            if windows.next_offset > reader.end(self._request_topic, number):
                windows.forget_offsets(positions[number])

    def _replay(self, found: dict[int, PartitionWindows], positions: Mapping[int, int], reader: TopicReader) -> None:
        def take(message: Message) -> None:
            (record,) = records_of(self._request_topic, [message])
            try:
                found[record.partition].take(self._read_entry(record), evict=False)
            except Exception:  # noqa: BLE001  # it was answered by an error, and brought nothing
                _log.exception("window_step_left_out", partition=record.partition, offset=record.offset)

        began = time.monotonic()
        ranges = {
            number: (windows.next_offset, positions[number])
            for number, windows in found.items()
            if windows.rule is not None and windows.next_offset < positions[number]
        }
        reader.between(self._request_topic, ranges, take)
        _log.info(
            "windows_loaded",
            model_name=self._model_name,
            windows={number: len(windows) for number, windows in sorted(found.items())},
            requests_read_again=sum(stop - start for start, stop in ranges.values()),
            replay_ms=round((time.monotonic() - began) * 1000),
        )
