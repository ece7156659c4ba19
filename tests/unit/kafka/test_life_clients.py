"""The clients of a life of a loop are there before they are needed; on librdkafka's own broker."""

import asyncio
import threading
from typing import Any

import pytest
from confluent_kafka import Producer

from hotswap_stream.kafka import librdkafka
from hotswap_stream.workers.inference.kafka_clients import WAYS_MS, answer_producer
from hotswap_stream.workers.inference.loop import clients
from hotswap_stream.workers.inference.loop.window_wiring import window_keeper
from tests.support.kafka.mock_broker import mock_broker
from tests.support.stages.model_loop import ANSWERS, REQUESTS, TOPICS, loop_parts


async def opened_and_closed(address: str) -> None:
    stopping = threading.Event()
    async with loop_parts(address) as parts:
        windows = window_keeper(parts, asyncio.get_running_loop(), stopping)
        opened = await asyncio.to_thread(
            clients.open_clients,
            parts,
            stopping,
            windows,
            on_consumer_error=lambda _error: None,
            on_answered=lambda _partition, _offset: None,
            on_commit=lambda _error, _places: None,
        )
        await asyncio.to_thread(opened.close)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the producers of answers wait for more, of those that were made."""
    lingers: list[float] = []

    def noting(*given: Any, linger_ms: float, **more: Any) -> Producer:
        lingers.append(linger_ms)
        return answer_producer(*given, linger_ms=linger_ms, **more)

    monkeypatch.setattr(clients, "answer_producer", noting)
    return lingers


async def test_producers_are_made_before_a_partition_is_given(made: list[float]) -> None:
    """Each needs half a second until it may write, and a partition that was given waits for its answers."""
    with mock_broker(REQUESTS, ANSWERS, TOPICS.dead_letters) as address:
        await opened_and_closed(address)
    assert sorted(made) == list(WAYS_MS)


async def test_a_life_begins_where_no_broker_says_how_many_partitions_there_are(
    made: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(librdkafka, "ASK_SECONDS_MAX", 0.1)
    await opened_and_closed("127.0.0.1:1")
    assert not made
