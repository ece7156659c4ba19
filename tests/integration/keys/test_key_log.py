"""The keys topic on a real broker: what one writes all others know, whatever else lies there."""

import asyncio
from datetime import UTC, datetime

import msgspec
from aiokafka import AIOKafkaProducer

from hotswap_events.topics import Topics
from hotswap_stream import bootstrap
from hotswap_stream.application.keys.changes import KeyOrder, made, revoked, rotated
from hotswap_stream.settings import Settings


async def write_nonsense(servers: str, topic: str, key_id: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    await producer.start()
    try:
        for key, value in (
            (b"\xff\xfe", b"\xff{"),
            (key_id.encode() + b"x", b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
            (b"nobody-knows/revoked", b"null"),
            (b"abcdefghijkl", None),
        ):
            await producer.send_and_wait(topic, value, key=key, partition=0)
    finally:
        await producer.stop()


async def test_a_key_made_by_one_opens_for_all_until_it_is_revoked(kafka: str, topic_prefix: str) -> None:
    settings = Settings(kafka_bootstrap_servers=kafka, topic_prefix=topic_prefix)
    await bootstrap.ensure_control_topics(settings)
    now = datetime.now(UTC)
    async with bootstrap.key_log(settings) as ours, bootstrap.key_log(settings) as others:
        new = made(ours.table, KeyOrder(name="ci", scopes=("read",)), by="ada", now=now)
        await ours.append(new.record)
        assert ours.table.find(new.token, now) == new.record
        await write_nonsense(kafka, Topics(topic_prefix).keys, new.token.key_id)
        second = rotated(ours.table, "ci", old_valid_seconds=60, now=now)
        await ours.append(second.record)
        async with asyncio.timeout(60):
            while others.table.find(second.token, now) != second.record:
                await asyncio.sleep(0.02)
        assert others.table.find(new.token, now) == second.record
        await others.append(revoked(others.table, "ci", by="bob", reason="lost", now=now))
        assert others.table.find(second.token, now) == "revoked"
    async with bootstrap.key_log(settings) as later:
        assert later.table.find(second.token, now) == "revoked"
        assert later.table.revoked[new.token.key_id].reason == "lost"
        assert new.token.secret.encode() not in msgspec.json.encode(list(later.table.keys.values()))
