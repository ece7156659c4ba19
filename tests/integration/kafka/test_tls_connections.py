"""Connections with TLS end, also in the event loop that the product's processes run in."""

import asyncio
from collections.abc import Mapping
from typing import Any

import uvloop
from aiokafka import TopicPartition
from confluent_kafka import Producer
from confluent_kafka.cimpl import NewTopic

from hotswap_stream import bootstrap
from hotswap_stream.kafka.reading import read_all
from hotswap_stream.kafka.sessions import open_reader
from hotswap_stream.settings import load_settings
from tests.support.kafka.secured_broker import SecuredBroker

TOPIC, RECORDS = "known", 200
READERS = 20
"""Of so many readers, a third waited for ever for their connection's end."""


async def _read(options: Mapping[str, Any]) -> int:
    async with open_reader(options) as consumer:
        return sum([len(records) async for _, records in read_all(consumer, [TopicPartition(TOPIC, 0)])])


async def _read_often(options: Mapping[str, Any]) -> list[int]:
    async with asyncio.timeout(90):
        return [await _read(options) for _ in range(READERS)]


def test_each_reader_ends(secured: SecuredBroker) -> None:
    for future in secured.admin.create_topics([NewTopic(TOPIC, 1, 1)]).values():
        future.result()
    producer = Producer({"bootstrap.servers": secured.root})
    for _ in range(RECORDS):
        producer.produce(TOPIC, b"x" * 1_000)
    assert producer.flush(60) == 0
    settings = load_settings(secured.by_certificate("ANONYMOUS"))
    options = bootstrap.connection(settings).client_options()
    assert uvloop.run(_read_often(options)) == [RECORDS] * READERS
