"""Windows topics: read to their ends when somebody asks, and their newest records looked at now and then."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import Any, Self

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from hotswap_events.inference.windows import WindowStatusRecord
from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.recent_records import read_recently
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.application.windows.fold import WindowFold
from hotswap_stream.application.windows.split import SplitSeries, WindowFolds, split_series
from hotswap_stream.errors import HotswapError, LogUnavailableError
from hotswap_stream.kafka.reading import read_all
from hotswap_stream.kafka.sessions import open_admin, open_reader
from hotswap_stream.kafka.topic_partitions import described_partitions, home_partitions, partition_numbers

FRESH_SECONDS = 2.0
"""Whoever asks again within this time gets what was read; workers write about once a second."""
MODELS_REMEMBERED_MAX = 8
READ_SECONDS_MAX = 30.0
POLL_MS = 200
LOOK_SECONDS = 30.0
"""How long until a model is looked at again, where there is time for it."""
LOOK_BACK_SECONDS = 600.0
"""Older records say nothing: whoever mended their producers is not told of it any more."""
NOTHING_TO_DO_SECONDS = 1.0
"""How long until it is looked whether there is a model."""
LOOK_RECORDS_MAX = 2_000
"""Newest records of a topic that are looked at, the same number in each partition."""
LOOK_BYTES_MAX = 8 * 1024**2
FETCH_BYTES_MAX = 64 * 1024
"""What one answer of the broker holds of a partition."""
LOOKS_SHARE_MAX = 0.1
"""Share of the time that looks may take; longer ones come less often."""

_log = structlog.get_logger(__name__)


class KafkaWindowReader:
    """A WindowReader. It reads one topic at a time, for all who ask."""

    def __init__(self, client_options: Mapping[str, Any], topics: Topics) -> None:
        self._client_options = dict(client_options)
        self._topics = topics
        self._one_at_a_time = asyncio.Lock()
        self._read: OrderedDict[str, tuple[float, WindowFolds]] = OrderedDict()

    async def read(self, model_name: str) -> WindowFolds:
        """See WindowReader."""
        async with self._one_at_a_time:
            at_s, folds = self._read.pop(model_name, (-FRESH_SECONDS, {}))
            if time.monotonic() - at_s >= FRESH_SECONDS:
                folds, at_s = await self._now(self._topics.windows(model_name)), time.monotonic()
            self._read[model_name] = at_s, folds
            while len(self._read) > MODELS_REMEMBERED_MAX:
                self._read.popitem(last=False)
            return folds

    def homes(self, key: bytes, partitions: int) -> frozenset[int]:
        """See WindowReader."""
        return home_partitions(key, partitions)

    async def _now(self, topic: str) -> WindowFolds:
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                partitions = sorted(await partition_numbers(self._client_options, topic))
                return await self._folds(topic, partitions) if partitions else {}
        except (KafkaError, OSError) as error:
            raise LogUnavailableError(f"{topic} cannot be read: {error!r}") from error
        except TimeoutError:
            raise LogUnavailableError(f"{topic} was not read to its end within {READ_SECONDS_MAX} s") from None

    async def _folds(self, topic: str, partitions: list[int]) -> WindowFolds:
        folds = {partition: WindowFold(WindowStatusRecord) for partition in partitions}
        async with open_reader(self._client_options) as consumer:
            wanted = [TopicPartition(topic, partition) for partition in partitions]
            async for partition, records in read_all(consumer, wanted, poll_ms=POLL_MS):
                for record in records:
                    folds[partition.partition].apply(record.key, record.value)
        return folds


class KafkaSplitView:
    """A SplitView. It looks at one topic at a time, and reads a limited part of it. Use it with `async with`."""

    def __init__(
        self, client_options: Mapping[str, Any], topics: Topics, *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._client_options = {**client_options, "max_partition_fetch_bytes": FETCH_BYTES_MAX}
        self._admin_options = dict(client_options)
        self._topics = topics
        self._look_seconds = look_seconds
        self._names: frozenset[str] = frozenset()
        self._found: dict[str, SplitSeries] = {}
        self._tasks = WatchedTasks("looking for split series")

    def watch(self, model_names: Iterable[str]) -> None:
        """See SplitView."""
        self._names = frozenset(model_names)

    def of(self, model_name: str) -> SplitSeries | None:
        """See SplitView."""
        return self._found.get(model_name)

    async def __aenter__(self) -> Self:
        self._tasks.start(self._look_again_and_again(), name="split-series")
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._tasks.stop()

    async def look(self) -> None:
        """Look once at each of the models that take windows.

        Raises:
            KafkaError: The cluster cannot be asked which do.
        """
        topics = {self._topics.windows(name): name for name in sorted(self._names)}
        described: Mapping[str, list[Any]] = {}
        if topics:
            async with open_admin(self._admin_options) as admin:
                described = await described_partitions(admin, list(topics))
        self._found = {name: found for name, found in self._found.items() if self._topics.windows(name) in described}
        for topic, partitions in described.items():
            began_s, name = time.monotonic(), topics[topic]
            try:
                async with asyncio.timeout(READ_SECONDS_MAX):
                    self._found[name] = await self._newest(topic, [each["partition"] for each in partitions])
            except (KafkaError, OSError, TimeoutError, HotswapError) as error:
                self._found.pop(name, None)  # nothing is known
                _log.warning("split_series_unknown", model_name=name, error=repr(error))
            await asyncio.sleep((time.monotonic() - began_s) * (1 / LOOKS_SHARE_MAX - 1))

    async def _look_again_and_again(self) -> None:
        while True:
            try:
                await self.look()
            except (KafkaError, OSError) as error:
                _log.warning("split_series_unknown", error=repr(error))
            except Exception:  # noqa: BLE001 - what records of others say must not end the agents
                _log.exception("split_series_unknown")
            await asyncio.sleep(self._look_seconds if self._names else NOTHING_TO_DO_SECONDS)

    async def _newest(self, topic: str, partitions: list[int]) -> SplitSeries:
        folds = {partition: WindowFold(WindowStatusRecord) for partition in partitions}
        records = read_recently(
            self._client_options,
            topic,
            seconds_back=LOOK_BACK_SECONDS,
            records_back_max=max(1, LOOK_RECORDS_MAX // max(1, len(partitions))),
        )
        size = 0
        async with aclosing(records):
            async for record in records:
                size += len(record.key or b"") + len(record.value or b"")
                if size > LOOK_BYTES_MAX:
                    break
                if record.partition in folds:
                    folds[record.partition].apply(record.key, record.value)
        return split_series(folds, home_partitions)
