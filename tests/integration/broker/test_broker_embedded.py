"""The embedded broker serves, keeps its data, and says what is wrong when it cannot start."""

import os
import socket
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from hotswap_stream.broker import BrokerProgress, BrokerStartError, DiskFullError, EmbeddedKafka, PortTakenError
from hotswap_stream.broker.ports import HOST
from tests.support.kafka.topics import consume, create_topic, produce

_DEADLINE_S = 60.0


async def test_what_is_produced_is_consumed_by_a_group(kafka: str, topic_prefix: str) -> None:
    sent = [str(number).encode() for number in range(100)]
    await create_topic(kafka, topic_prefix)
    await produce(kafka, topic_prefix, sent)
    assert await consume(kafka, topic_prefix, 100, group_id=topic_prefix) == sent


async def test_an_unknown_topic_is_not_made_up(kafka: str, topic_prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic_prefix])
        assert described["error_code"] == 3
        assert topic_prefix not in await admin.list_topics()
    finally:
        await admin.close()


async def test_kept_data_survives_stop_crash_and_restart(tmp_path: Path, topic_prefix: str) -> None:
    events: list[BrokerProgress] = []
    broker = EmbeddedKafka(data_dir=tmp_path / "kept", on_progress=events.append)
    async with broker:
        first = broker.bootstrap_servers
        (node,) = broker.nodes
        assert node.log_dir.is_relative_to(tmp_path / "kept")
        await create_topic(first, topic_prefix)
        await produce(first, topic_prefix, [b"before the crash"])
        await node.kill()
        assert node.pid is None
        await node.start()
        await produce(first, topic_prefix, [b"after the crash"])
    assert broker.nodes == ()
    async with broker:
        assert broker.bootstrap_servers == first
        assert await consume(first, topic_prefix, 2) == [b"before the crash", b"after the crash"]
    with socket.socket() as other:
        other.bind((HOST, int(first.rsplit(":", 1)[1])))
        other.listen()
        async with broker:
            moved = broker.bootstrap_servers
            assert moved != first
            assert await consume(moved, topic_prefix, 2) == [b"before the crash", b"after the crash"]
    stages = [event.stage for event in events]
    assert stages.count("ready") == 3
    assert "after" in next(event.text for event in events if event.stage == "ready")


async def test_temporary_data_and_the_process_are_gone_after_stop() -> None:
    async with EmbeddedKafka() as broker:
        (node,) = broker.nodes
        assert node.pid is not None
        process, folder = psutil.Process(node.pid), node.log_dir.parent.parent
        assert folder.is_dir()
    assert not process.is_running()
    assert not folder.exists()


async def test_three_nodes_survive_the_loss_of_one(topic_prefix: str) -> None:
    async with EmbeddedKafka(nodes=3) as broker, AsyncExitStack() as stack:
        assert len(broker.bootstrap_servers.split(",")) == 3
        await create_topic(broker.bootstrap_servers, topic_prefix, partitions=3, replicas=3)
        producer = AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap_servers, acks="all", enable_idempotence=True, request_timeout_ms=3_000
        )
        await producer.start()
        stack.push_async_callback(producer.stop)
        sent = 0

        async def send(count: int) -> None:
            nonlocal sent
            for _ in range(count):
                await producer.send_and_wait(topic_prefix, str(sent).encode(), partition=sent % 3)
                sent += 1

        first, second, third = broker.nodes
        await send(30)
        await second.kill()
        # Its session goes on for three seconds, and nothing is taken for what it led: unless the others are told.
        assert await second.withdraw()
        assert await second.withdraw(), "to be told twice changes nothing"
        await send(30)
        await second.start()
        third.pause()
        assert third.pid is not None
        await send(30)
        third.resume()
        await send(30)
        await first.stop()
        await send(30)
        values = await consume(broker.bootstrap_servers, topic_prefix, sent)
        assert sorted(values, key=int) == [str(number).encode() for number in range(sent)]


def test_a_killed_owner_leaves_no_jvm_and_no_data() -> None:
    program = (
        "import asyncio\n"
        "from hotswap_stream.broker import EmbeddedKafka\n"
        "async def main():\n"
        "    broker = EmbeddedKafka()\n"
        "    await broker.start()\n"
        "    print('broker', broker.nodes[0].pid, broker.nodes[0].log_dir.parent.parent, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        try:
            line = next(line for line in owner.stdout if line.startswith("broker "))  # others are log lines
            process, folder = psutil.Process(int(line.split()[1])), Path(line.split()[2])
            assert folder.is_dir()
        finally:
            owner.kill()
    deadline = time.monotonic() + _DEADLINE_S
    while folder.exists() or (process.is_running() and process.status() != psutil.STATUS_ZOMBIE):
        assert time.monotonic() < deadline, "the broker outlived its owner"
        time.sleep(0.02)


async def test_a_taken_port_is_named() -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        broker = EmbeddedKafka(ports=[port])
        with pytest.raises(PortTakenError, match=f"port {port} "):
            await broker.start()
        assert broker.nodes == ()


async def test_a_port_that_is_taken_after_the_look_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        # The look found it free; then another process was quicker than the broker.
        monkeypatch.setattr("hotswap_stream.broker.embedded.require_free", lambda _ports: None)
        with pytest.raises(PortTakenError, match=f"port {port} "):
            await EmbeddedKafka(ports=[port]).start()


async def test_given_ports_are_used(topic_prefix: str) -> None:
    with socket.socket() as look:
        look.bind((HOST, 0))
        port = look.getsockname()[1]
    async with EmbeddedKafka(ports=[port]) as broker:
        assert broker.bootstrap_servers == f"{HOST}:{port}"


async def test_too_little_disk_is_said_before_the_start() -> None:
    with pytest.raises(DiskFullError, match="MiB free"):
        await EmbeddedKafka(disk_free_mib_min=1_000_000_000).start()


async def test_a_broker_that_cannot_start_shows_its_log() -> None:
    events: list[BrokerProgress] = []
    broker = EmbeddedKafka(kafka_options={"log.segment.bytes": "none"}, on_progress=events.append)
    with pytest.raises(BrokerStartError, match="ended with exit code 1, because of a setting") as caught:
        await broker.start()
    assert "Invalid value none for configuration log.segment.bytes" in caught.value.log_tail
    # It was not tried again, and the cache that all brokers of this machine start from is left alone.
    assert "retry" not in [event.stage for event in events]
    assert broker.nodes == ()
