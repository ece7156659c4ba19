"""Queries and commands by HTTP, and what live streams cost, each beside the least that could do the same.

    python -m benchmarks.api_queries

- `GET /api/models` and `GET /api/status` next to Litestar routes that give the same msgspec structs by the same server.
- A command next to a bare produce to a topic of one partition that is read back, by the same client library. As queries
  are, it is asked by a bare connection, so that the server is measured; once more by httpx, as a Python program asks.
- Ten clients of `/api/live` while 5,000 answers a second are observed: processor time of the API, next to none.

All on one broker, with 20 models, by turns.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.serving_processes import broker_settings, process, url_of
from hotswap_events.commands import RegisterVersion, SwitchVersion
from hotswap_events.inference.observation import LatencyCounts, Observation
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_events.topics import TopicSpec
from hotswap_stream import bootstrap
from hotswap_stream.bootstrap.topic_care import create_topics
from hotswap_stream.settings import Settings

MODELS = 20
CONNECTIONS = 8
REQUESTS = 2_000
ROUNDS = 5
COMMANDS = 100
STREAMS = 10
LIVE_SECONDS = 15.0
QUERY_AIM = 0.7
COMMAND_AIM = 3.0
LIVE_AIM = 0.05


async def _models(settings: Settings) -> None:
    artifact = ArtifactFacts(digest="sha256:" + "a" * 64, size_bytes=1)
    async with bootstrap.open_registry(settings, "benchmark") as registry:
        for number in range(MODELS):
            meta: dict[str, Any] = {"actor": "benchmark", "model_name": f"m{number:04}"}
            made = RegisterVersion(
                command_id=f"r{number}",
                artifact=artifact,
                provenance=Provenance(origin="imported", created_by="benchmark"),
                **meta,
            )
            assert (await registry.handle(made)).status == "accepted"
            switched = SwitchVersion(command_id=f"s{number}", model_version="v1", **meta)
            assert (await registry.handle(switched)).status == "accepted"


async def _per_second(url: str, path: str) -> float:
    """Ask a server by some connections at once; return answers a second."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    asked = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()

    async def one(count: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for _ in range(count):
            writer.write(asked)
            await _answer(reader)
        writer.close()

    began_s = time.perf_counter()
    await asyncio.gather(*(one(REQUESTS // CONNECTIONS) for _ in range(CONNECTIONS)))
    return REQUESTS / (time.perf_counter() - began_s)


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    lines = head.lower().split(b"\r\n")
    size = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
    return await reader.readexactly(size)


async def _commands_ms(url: str) -> list[float]:
    host, port, taken = urlsplit(url).hostname, urlsplit(url).port, []
    reader, writer = await asyncio.open_connection(host, port)
    for number in range(COMMANDS):
        head = f"POST {_command(number)} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        began_s = time.perf_counter()
        writer.write(f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
        answer = await _answer(reader)
        taken.append((time.perf_counter() - began_s) * 1_000)
        assert msgspec.json.decode(answer)["status"] == "accepted", answer
    writer.close()
    return taken


async def _commands_by_httpx_ms(url: str) -> list[float]:
    taken = []
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        for number in range(COMMANDS):
            began_s = time.perf_counter()
            answer = await http.post(_command(number), json={})
            taken.append((time.perf_counter() - began_s) * 1_000)
            assert answer.json()["status"] == "accepted", answer.text
    return taken


def _command(number: int) -> str:
    return f"/api/models/m0000/{'disable' if number % 2 == 0 else 'enable'}"


async def _bare_ms(settings: Settings) -> list[float]:
    topic = "bench.bare-log"
    await create_topics(
        settings, [TopicSpec(name=topic, partitions=1, cleanup_policy="delete", retention_ms=-1, append_time=True)]
    )
    servers, part, taken = settings.kafka_bootstrap_servers, TopicPartition(topic, 0), []
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=0, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=None, auto_offset_reset="latest")
    await producer.start()
    await consumer.start()
    try:
        consumer.assign([part])
        await consumer.seek_to_end(part)
        await consumer.position(part)
        for _ in range(COMMANDS):
            began_s = time.perf_counter()
            sent = asyncio.create_task(producer.send_and_wait(topic, bytes(800), key=b"m0000"))
            await consumer.getone()
            await sent
            taken.append((time.perf_counter() - began_s) * 1_000)
    finally:
        await producer.stop()
        await consumer.stop()
    return taken


def _cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _live_share(settings: Settings, url: str, pid: int, streams: int) -> tuple[float, int]:
    """Observe 5,000 answers a second while some clients listen; return the API's share of a core, and bytes sent."""
    got = 0

    async def listen() -> None:
        nonlocal got
        async with httpx.AsyncClient(base_url=url, timeout=60) as http, http.stream("GET", "/api/live") as answer:
            async for chunk in answer.aiter_raw():
                got += len(chunk)

    topic = bootstrap.topics(settings).observations
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers, linger_ms=0)
    await producer.start()
    clients = [asyncio.create_task(listen()) for _ in range(streams)]
    waits = LatencyCounts(buckets=dict.fromkeys(range(8, 32), 10), total_ms=900.0)
    run, number = f"run-{time.monotonic_ns()}", 0
    try:
        await asyncio.sleep(1)
        began_s, cpu_s = time.perf_counter(), _cpu_s(pid)
        while time.perf_counter() - began_s < LIVE_SECONDS:
            number += 1
            now = datetime.now(UTC)
            for model in range(MODELS):
                seen = Observation(
                    worker="w",
                    worker_run=run,
                    sequence=number,
                    model_name=f"m{model:04}",
                    model_version="v1",
                    role="primary",
                    since=now,
                    until=now,
                    answers=5_000 // MODELS,
                    compute=waits,
                    total=waits,
                    queue=waits,
                )
                await producer.send(topic, msgspec.json.encode(seen), key=seen.model_name.encode())
            await asyncio.sleep(max(0.0, began_s + number - time.perf_counter()))
        return (_cpu_s(pid) - cpu_s) / (time.perf_counter() - began_s), got
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await producer.stop()


async def _measure() -> list[dict[str, object]]:
    results: list[dict[str, object]] = []
    async with broker_settings(1) as settings:
        await create_topics(settings, bootstrap.topics(settings).control_specs())
        await _models(settings)
        api_command = (sys.executable, "-m", "hotswap_stream.cli", "api", "--port", "0")
        bare_command = (sys.executable, "-m", "benchmarks.bare_queries", str(MODELS))
        with process(api_command, settings) as api, process(bare_command, settings) as bare:
            url, other = await asyncio.to_thread(url_of, api), await asyncio.to_thread(url_of, bare)
            for path, bare_path in (("/api/models", "/models"), ("/api/status", "/status")):
                await _per_second(url, path)
                await _per_second(other, bare_path)
                ours, theirs = [], []
                for _ in range(ROUNDS):
                    ours.append(await _per_second(url, path))
                    theirs.append(await _per_second(other, bare_path))
                ratio = median(mine / its for mine, its in zip(ours, theirs, strict=True))
                results.append(
                    {
                        "name": f"GET {path}",
                        "ours": round(median(ours)),
                        "unit": "answers/s",
                        "compared_with": "a bare Litestar route with the same struct",
                        "comparison": round(median(theirs)),
                        "ratio": round(ratio, 3),
                        "aim": f">= {QUERY_AIM}",
                        "holds": ratio >= QUERY_AIM,
                    }
                )
            commands, by_httpx, produced = list[float](), list[float](), list[float]()
            for _ in range(3):
                commands += await _commands_ms(url)
                by_httpx += await _commands_by_httpx_ms(url)
                produced += await _bare_ms(settings)
            bare_ms = median(produced)
            for name, taken, aimed in (("HTTP", commands, True), ("HTTP from httpx", by_httpx, False)):
                ratio = median(taken) / bare_ms
                results.append(
                    {
                        "name": f"a command by {name}, p50",
                        "ours": round(median(taken), 2),
                        "unit": "ms",
                        "compared_with": "a bare produce and read-back",
                        "comparison": round(bare_ms, 2),
                        "ratio": round(ratio, 2),
                        "aim": f"<= {COMMAND_AIM}" if aimed else "-",
                        "holds": not aimed or ratio <= COMMAND_AIM,
                    }
                )
            alone, _none = await _live_share(settings, url, api.pid, 0)
            listened, got = await _live_share(settings, url, api.pid, STREAMS)
            results.append(
                {
                    "name": f"{STREAMS} clients of /api/live, {got / STREAMS / LIVE_SECONDS / 1024:.1f} KiB/s each",
                    "ours": round(listened, 4),
                    "unit": "of a core",
                    "compared_with": "nobody listens",
                    "comparison": round(alone, 4),
                    "ratio": round(listened - alone, 4),
                    "aim": f"at most {LIVE_AIM} more",
                    "holds": listened - alone <= LIVE_AIM,
                }
            )
    return results


def run() -> list[dict[str, object]]:
    """Return the results, one a figure."""
    return asyncio.run(_measure())


if __name__ == "__main__":
    for result in run():
        print(result)
