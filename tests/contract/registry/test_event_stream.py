"""The live event stream: from the log, then as events come; it can be resumed, and costs nobody else anything."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.api.registry.event_stream import StreamEnd, log_messages
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.registry import tail as registry_tail
from hotswap_stream.application.registry.feed import EntryFilter
from tests.support.stages.http import HttpStage, NewLog, open_http_stage, services_on, started_registry

DEADLINE_SECONDS = 60.0


class StreamMessage(msgspec.Struct, frozen=True):
    """One server-sent event."""

    id: str = ""
    event: str = "message"
    data: str = ""
    comment: str = ""

    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self.data)
        return decoded


async def messages_of(answer: httpx.Response) -> AsyncGenerator[StreamMessage, None]:
    """The messages of a stream, by the rules browsers follow."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if not line:
            if fields:
                yield StreamMessage(**{key: value for key, value in fields.items() if key != "retry"})
            fields = {}
            continue
        name, _, value = line.partition(":")
        fields[name or "comment"] = value.removeprefix(" ")


async def take(messages: AsyncIterator[StreamMessage], count: int) -> list[StreamMessage]:
    """The next messages that are not comments."""
    taken: list[StreamMessage] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(taken) < count:
            message = await anext(messages)
            if message.data:
                taken.append(message)
    return taken


@asynccontextmanager
async def written(shared: MemoryRegistry) -> AsyncIterator[MemoryRegistryLog]:
    """Another process's access to the log, started."""
    log = MemoryRegistryLog(shared)
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path, heartbeat_seconds=0.2) as stage:
        yield stage


async def test_events_come_from_the_log_and_then_as_they_happen(stage: HttpStage) -> None:
    await stage.registered()
    async with (
        stage.client.stream("GET", "/api/events/stream", params={"from_offset": 0}) as answer,
        aclosing(messages_of(answer)) as messages,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        (first,) = await take(messages, 1)
        assert first.id == "0"
        assert first.json()["event"]["type"] == "hotswap.model.trained.v1"
        await stage.accepted("versions/v1/stage", {"reason": "try\nit"})
        await stage.accepted("versions/v1/archive")
        staged, archived = await take(messages, 2)
        assert (staged.id, archived.id) == ("1", "2")
        assert staged.json()["event"]["reason"] == "try\nit"
        assert (await stage.get("/api/status")).json()["event_stream_clients"] == 1
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await anext(messages)).comment != "heartbeat":
                pass
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await stage.get("/api/status")).json()["event_stream_clients"]:
            await asyncio.sleep(0.01)


async def test_a_client_that_comes_back_misses_nothing_and_gets_nothing_twice(stage: HttpStage) -> None:
    for _ in range(3):
        await stage.registered()
    headers = {"Last-Event-ID": "0"}
    async with (
        stage.client.stream("GET", "/api/events/stream", headers=headers) as answer,
        aclosing(messages_of(answer)) as messages,
    ):
        assert [message.id for message in await take(messages, 2)] == ["1", "2"]
    async with (
        stage.client.stream("GET", "/api/events/stream", params={"type": "staged"}) as answer,
        aclosing(messages_of(answer)) as messages,
    ):
        await stage.accepted("versions/v1/archive")
        await stage.accepted("versions/v2/stage")
        (only,) = await take(messages, 1)
        assert only.id == "4"
    wrong = await stage.client.get("/api/events/stream", headers={"Last-Event-ID": "latest"})
    assert wrong.status_code == 422
    assert wrong.json()["code"] == "invalid-value"


async def test_streams_end_with_a_word_when_the_server_stops(new_log: NewLog, tmp_path: Path) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        async with open_http_stage(new_log(), tmp_path) as stage:
            request = client.build_request("GET", f"{stage.url}/api/events/stream")
            answer = await client.send(request, stream=True)
        async with asyncio.timeout(DEADLINE_SECONDS):
            last = [message async for message in messages_of(answer)][-1]
        await answer.aclose()
    assert last.event == "end"
    assert last.json() == {"reason": "the server is stopping", "next_offset": 0}


async def test_no_more_clients_than_the_limit(tmp_path: Path) -> None:
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    async with open_http_stage(log, tmp_path, event_stream_clients_max=1) as stage:
        async with stage.client.stream("GET", "/api/events/stream") as first:
            assert first.status_code == 200
            second = await stage.client.get("/api/events/stream")
            assert second.status_code == 503
            assert second.json()["code"] == "too-many-clients"
            assert second.headers["retry-after"]
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await stage.get("/api/status")).json()["event_stream_clients"]:
                await asyncio.sleep(0.01)
        async with stage.client.stream("GET", "/api/events/stream") as third:
            assert third.status_code == 200


async def test_clients_without_a_key_keep_nobody_out(tmp_path: Path) -> None:
    """64 streams without a key were all there were: dashboards with a key got 503."""
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    async with (
        open_http_stage(
            log, tmp_path, event_stream_clients_max=2, api_keys={"ops": "key-of-ops"}, open_to="loopback"
        ) as stage,
        stage.client.stream("GET", "/api/events/stream") as first,
        stage.client.stream("GET", "/api/events/stream") as second,
    ):
        assert (first.status_code, second.status_code) == (200, 200)
        assert (await stage.client.get("/api/events/stream")).status_code == 503
        headers = {"X-API-Key": "key-of-ops"}
        async with stage.client.stream("GET", "/api/events/stream", headers=headers) as dashboard:
            assert dashboard.status_code == 200
            async with aclosing(messages_of(second)) as messages:
                (last,) = await take(messages, 1)
            assert last.event == "end"
            assert "other clients" in last.json()["reason"]
            assert (await stage.get("/api/status")).json()["event_stream_clients"] == 2


async def test_a_client_that_falls_out_of_memory_is_told_where_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_tail, "TAIL_RECORDS_MAX", 8)
    shared = MemoryRegistry(SystemClock())
    async with started_registry(MemoryRegistryLog(shared)) as registry, written(shared) as log:
        services = services_on(registry, tmp_path, heartbeat_seconds=0.05)
        runtime = ApiRuntime(services)
        async with aclosing(log_messages(runtime, 0, EntryFilter(), asyncio.Event())) as messages:
            await log.append(b"", [b"{}"] * 3)
            await registry.catch_up()
            taken = [await anext(messages) for _ in range(4)]
            assert [message.id for message in taken] == [None, 0, 1, 2]
            while (await anext(messages)).comment != "heartbeat":
                pass
            for _ in range(3):
                await log.append(b"", [b"{}"] * 3)
            await registry.catch_up()
            (last,) = [message async for message in messages]
        runtime.close()
        await services.side.close()
    assert last.event == "end"
    assert isinstance(last.data, bytes)
    end = msgspec.json.decode(last.data, type=StreamEnd)
    assert end.next_offset == 3
    assert "too slow" in end.reason


async def test_a_client_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    shared = MemoryRegistry(SystemClock())
    record = b'{"filler": "' + b"x" * 500_000 + b'"}'
    records = 100  # 50 MB: more than the sockets between them hold
    async with (
        open_http_stage(MemoryRegistryLog(shared), tmp_path, send_seconds_max=0.3) as stage,
        written(shared) as log,
    ):
        host, port = stage.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1_024)
        writer.write(b"GET /api/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"offset 0")
        for _ in range(records):
            await log.append(b"", [record])
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await stage.get("/api/status")).json()["event_stream_clients"]:
                await asyncio.sleep(0.01)
        received_bytes = 0
        async with asyncio.timeout(DEADLINE_SECONDS):
            while chunk := await reader.read(1_000_000):
                received_bytes += len(chunk)
        assert received_bytes < records * len(record)
        writer.close()
        await writer.wait_closed()
