"""Windows topics, read to their ends when somebody asks."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from hotswap_events.topics import Topics
from hotswap_events.windows import WindowStatusRecord
from hotswap_stream.application.windows.fold import WindowFold
from hotswap_stream.application.windows.view import WindowFolds
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka.reading import read_all
from hotswap_stream.kafka.sessions import open_reader
from hotswap_stream.kafka.topic_partitions import partition_numbers

FRESH_SECONDS = 2.0
"""Whoever asks again within this time gets what was read; workers write about once a second."""
MODELS_REMEMBERED_MAX = 8
READ_SECONDS_MAX = 30.0
POLL_MS = 200


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
