"""Single records to topics, each confirmed."""

import asyncio
from collections.abc import Mapping
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from hotswap_stream.application.topics.records import OutboundRecord
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka.producer_stop import stop_producer
from hotswap_stream.kafka.sessions import started_producer
from hotswap_stream.kafka.uncancelled import to_the_end

PUBLISH_SECONDS_MAX = 20.0
FLUSH_SECONDS_MAX = 1.0


class KafkaPublisher:
    """A Publisher. It connects with the first record; `close` it, or use it with `async with`."""

    def __init__(self, client_options: Mapping[str, Any]) -> None:
        self._client_options = dict(client_options)
        self._connecting = asyncio.Lock()
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, record: OutboundRecord) -> None:
        """See Publisher."""
        try:
            async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                producer = await self._connected()
                await producer.send_and_wait(record.topic, record.value, key=record.key, headers=list(record.headers))
        except (KafkaError, TimeoutError, OSError) as error:
            raise LogUnavailableError(f"a record for {record.topic!r} was not confirmed: {error!r}") from error

    async def close(self) -> None:
        """Disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await to_the_end(stop_producer(producer, flush_seconds_max=FLUSH_SECONDS_MAX))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                self._producer = await started_producer(self._client_options, max_request_size=1_048_576)
            return self._producer
