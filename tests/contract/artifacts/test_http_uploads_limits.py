"""Uploads over HTTP where something breaks, is too slow, too large or too much; nothing is left of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from hotswap_stream.api import create_app
from hotswap_stream.api.protocol.connections import ConnectionLimits
from hotswap_stream.application.artifacts.uploads.receiving import WRITE_BYTES
from hotswap_stream.client import AsyncRegistryClient
from tests.support.cutting_proxy import cutting_proxy
from tests.support.problems import assert_problem
from tests.support.raw_http import RawAnswer, raw_connection
from tests.support.samples import graphs
from tests.support.samples.artifacts import linear_artifact
from tests.support.stages.http import served, services_on
from tests.support.stages.uploads import (
    DEADLINE_SECONDS,
    UPLOADS,
    WHOLE,
    UploadStage,
    digest_of,
    open_upload_stage,
)

WEIGHTS = np.ones((4, 2), "<f4").tobytes()


CHUNKED = "Transfer-Encoding: chunked"


def head(method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/octet-stream", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def sent(stage: UploadStage, *data: bytes) -> RawAnswer:
    async with raw_connection(stage.url) as connection:
        for each in data:
            await connection.send(each)
        answer = await connection.answer()
    assert answer is not None
    return answer


async def test_of_two_that_write_at_one_place_one_is_right(stage: UploadStage) -> None:
    content = linear_artifact()
    upload_id = await stage.begun(content)
    answers = await asyncio.gather(*(stage.piece(upload_id, 0, content) for _ in range(8)))
    codes = sorted(answer.json().get("code", "taken") for answer in answers)
    assert codes.count("taken") == 1
    assert set(codes) <= {"taken", "wrong-offset", "upload-busy"}
    assert (await stage.from_uploads(file=upload_id)).json()["artifact_digest"] == digest_of(content)


async def test_what_is_larger_than_any_may_be_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with open_upload_stage(tmp_path, {"artifact_bytes_max": 1_000}) as stage:
        assert_problem(await stage.whole(b"x" * 1_001), 413, "artifact-too-large")
        claimed = (await sent(stage, head("POST", WHOLE, "Content-Length: 10737418240"))).status
        assert claimed == 413
        chunk = b"190\r\n" + b"x" * 400 + b"\r\n"
        assert (await sent(stage, head("POST", WHOLE, CHUNKED), *[chunk] * 3)).status == 413
        assert_problem(await stage.begin(b"x", size_bytes=10 * 1024**3), 413, "artifact-too-large")
        assert_problem(await stage.begin(b"x", size_bytes=2**63), 422, "invalid-request")
        one, two = [await stage.uploaded(bytes([value]) * 600) for value in (1, 2)]
        assert_problem(await stage.from_uploads(file=one, beside={"two": two}), 413, "artifact-too-large")
        await stage.nothing_left()


async def test_who_goes_away_leaves_nothing(stage: UploadStage) -> None:
    content = linear_artifact()
    async with raw_connection(stage.url) as connection:
        await connection.send(head("POST", WHOLE, f"Content-Length: {len(content)}") + content[:100])
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not stage.files():
                await asyncio.sleep(0.01)
    await stage.nothing_left()


async def test_what_came_of_a_piece_before_the_connection_broke_stays(stage: UploadStage) -> None:
    content = bytes(3 * WRITE_BYTES)
    upload_id = await stage.begun(content)

    async def received_bytes() -> int:
        return int((await stage.http.get(f"{UPLOADS}/{upload_id}")).json()["received_bytes"])

    async with asyncio.timeout(DEADLINE_SECONDS):
        async with raw_connection(stage.url) as connection:
            path = f"{UPLOADS}/{upload_id}?offset=0"
            await connection.send(head("PATCH", path, f"Content-Length: {len(content)}") + content[: 2 * WRITE_BYTES])
            while await received_bytes() < WRITE_BYTES:
                await asyncio.sleep(0.01)
        while (answer := await stage.piece(upload_id, here := await received_bytes(), content[here:])).is_error:
            assert answer.json()["code"] in ("upload-busy", "wrong-offset")
    assert here >= WRITE_BYTES
    assert answer.json()["received_bytes"] == len(content)
    assert (await stage.http.client.delete(f"{UPLOADS}/{upload_id}")).status_code == 204


@asynccontextmanager
async def endless_trial(stage: UploadStage) -> AsyncIterator[None]:
    """A graph that never ends is uploaded, and tried; nobody waits for the answer any more at the end."""
    graph = graphs.endless()
    before = set(psutil.Process().children())
    async with raw_connection(stage.url) as connection:
        await connection.send(head("POST", WHOLE, f"Content-Length: {len(graph)}") + graph)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not set(psutil.Process().children()) - before:
                await asyncio.sleep(0.01)
        yield


async def test_who_goes_away_during_the_trial_ends_it(stage: UploadStage) -> None:
    before = set(psutil.Process().children())
    async with endless_trial(stage):
        pass
    await stage.nothing_left()
    assert set(psutil.Process().children()) <= before


@pytest.mark.slow
async def test_a_server_that_stops_ends_the_trial_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    async with AsyncExitStack() as client:
        async with open_upload_stage(tmp_path) as stage:
            await client.enter_async_context(endless_trial(stage))
        assert stage.files() == []
        assert set(psutil.Process().children()) <= before


async def test_a_body_that_is_too_slow_leaves_nothing(stage: UploadStage) -> None:
    """The limit of the server, which is there for all bodies; the one for uploads is longer than a test."""
    limits = ConnectionLimits(body_seconds_max=0.2)
    services = services_on(stage.http.registry, stage.folder, uploads=stage.uploads, artifacts=stage.http.artifacts)
    async with served(create_app(services), limits=limits) as url, raw_connection(url) as connection:
        await connection.send(head("POST", WHOLE, "Content-Length: 1000") + b"some")
        answer = await connection.answer()
        assert answer is not None
        assert answer.status == 408
        await stage.nothing_left()


async def test_a_folder_is_shared_by_processes_and_outlives_them(tmp_path: Path) -> None:
    content = linear_artifact()
    async with open_upload_stage(tmp_path) as first:
        upload_id = await first.begun(content)
        await first.piece(upload_id, 0, content[:100])
        async with open_upload_stage(tmp_path) as second:
            await second.piece(upload_id, 100, content[100:200])
        await first.piece(upload_id, 200, content[200:300])
    async with open_upload_stage(tmp_path) as third:
        assert (await third.piece(upload_id, 300, content[300:])).status_code == 200
        assert (await third.from_uploads(file=upload_id)).json()["artifact_digest"] == digest_of(content)
        assert third.files() == []


async def test_what_is_too_old_is_deleted_at_the_start(tmp_path: Path) -> None:
    async with open_upload_stage(tmp_path) as stage:
        upload_id = await stage.begun(b"abc")
    record = stage.folder / "hotswap" / f"{upload_id}.json"
    fields = msgspec.json.decode(record.read_bytes())
    record.write_bytes(msgspec.json.encode({**fields, "expires_at": 0}))
    async with open_upload_stage(tmp_path) as stage:
        await stage.nothing_left()


async def test_no_more_uploads_than_there_are_places(tmp_path: Path) -> None:
    async with open_upload_stage(tmp_path, {"uploads_max": 2}) as stage:
        kept = [await stage.begun(b"abc") for _ in range(2)]
        for answer in (await stage.begin(b"abc"), await stage.whole(linear_artifact())):
            assert_problem(answer, 503, "too-many-uploads")
            assert answer.headers["retry-after"] == "1"
        await stage.http.client.delete(f"{UPLOADS}/{kept[0]}")
        assert (await stage.whole(linear_artifact())).status_code == 201


async def test_a_broken_connection_costs_what_was_on_its_way(stage: UploadStage) -> None:
    graph = graphs.with_weights_beside("w")
    noise = WEIGHTS + bytes(3_000_000)
    async with cutting_proxy(stage.url, [1_000_000, 1_500_000]) as proxy, AsyncRegistryClient(proxy.url) as client:
        told: list[int] = []
        kept = await client.upload(graph, beside={"w": noise}, progress=lambda sent, _all: told.append(sent))
        assert proxy.cut == 2
        assert kept["kind"] == "onnx"
        assert told != sorted(told), "nothing was sent again"
        assert told[-1] == len(graph) + len(noise)
