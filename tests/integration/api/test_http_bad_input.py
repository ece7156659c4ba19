"""Bad input over HTTP that needs more than a body: each is refused clearly, leaves a dead letter where it got as far
as a worker, and the next request is answered."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from hotswap_events import headers as names
from hotswap_events.commands import ArchiveVersion
from hotswap_stream import bootstrap
from hotswap_stream.settings import Settings
from tests.support.stages.asking import INPUT, running_api
from tests.support.stages.serving import MODEL, Stage, headers, open_stage, stage_settings

MANY_BYTES = 100 * 1024**2


class Asked:
    """v1 is active, v2 is archived; a worker and the API run."""

    def __init__(self, stage: Stage, url: str, http: httpx.AsyncClient) -> None:
        self.stage = stage
        self.url = url
        self.http = http

    async def post(self, content: bytes, *, path: str = f"models/{MODEL}/infer", **named: str) -> httpx.Response:
        return await self.http.post(f"/v2/{path}", content=content, headers=named)

    async def still_answers(self) -> None:
        """A right request is answered."""
        answer = await self.post(json.dumps({"inputs": [INPUT]}).encode())
        assert answer.json()["outputs"][0]["data"] == [1.0, 1.0]


@pytest.fixture
async def asked(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Asked]:
    settings: Settings = stage_settings(kafka, topic_prefix, tmp_path)
    async with open_stage(settings) as stage:
        for value in (1.0, 2.0):
            await stage.register_answering(value)
        await stage.command(ArchiveVersion(**stage.meta(), model_version="v2"))
        await stage.switch("v1")
        worker = await bootstrap.build_worker(settings, "w1")
        await worker.start()
        try:
            async with running_api(settings) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
                found = Asked(stage, url, http)
                await found.still_answers()
                yield found
        finally:
            await worker.stop()


def _binary(values: list[float], cut: int = 0) -> tuple[bytes, dict[str, str]]:
    raw = np.array(values, dtype="<f4").tobytes()
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}
    text = json.dumps({"inputs": [tensor]}).encode()
    named = {"content-type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
    return text + raw[: len(raw) - cut], named


async def test_each_is_refused_and_the_next_is_answered(asked: Asked) -> None:
    good = json.dumps({"inputs": [INPUT]}).encode()
    nan, named = _binary([1.0, float("nan"), 3.0, 4.0])
    cut, cut_named = _binary([1.0, 2.0, 3.0, 4.0], cut=3)
    infinite = good.replace(b"1.0", b"1e999")
    cases = [
        ("NaN", await asked.post(nan, **named), 400, "NaN or infinity"),
        ("infinity in JSON", await asked.post(infinite), 400, "out of range"),
        ("NaN in JSON", await asked.post(good.replace(b"1.0", b"NaN")), 400, "not an inference request"),
        ("truncated tensor", await asked.post(cut, **cut_named), 400, "bytes after the end"),
        ("wrong length header", await asked.post(nan, **{**named, "Inference-Header-Content-Length": "9"}), 400, "not"),
        ("no length header", await asked.post(nan, **{"content-type": named["content-type"]}), 400, "not an inference"),
        ("archived version", await asked.post(good, path=f"models/{MODEL}/versions/v2/infer"), 404, "archived"),
        ("deadline", await asked.post(good, **{names.DEADLINE: str(int(time.time() * 1000) - 5_000)}), 504, "deadline"),
        ("deadline that is none", await asked.post(good, **{names.DEADLINE: "soon"}), 400, names.DEADLINE),
        ("routing key", await asked.post(good, **{names.ROUTING_KEY: "k" * 300}), 400, names.ROUTING_KEY),
    ]
    for name, answer, status, words in cases:
        assert answer.status_code == status, (name, answer.text)
        assert list(answer.json()) == ["error"], name
        assert words in answer.json()["error"], (name, answer.text)
    await asked.still_answers()
    (letter,) = await asked.stage.records(asked.stage.topics.dead_letters, None, 1)
    assert headers(letter)[names.DEAD_LETTER_CAUSE].startswith(b"wrong-input")


async def _raw(url: str, head: bytes, body_bytes: int) -> bytes:
    """Send a head and that many bytes of body, as far as they are taken; the first bytes of what comes back."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(head)
        chunk = b"x" * 65_536
        for _ in range(body_bytes // len(chunk)):
            writer.write(chunk)
            try:
                async with asyncio.timeout(5):
                    await writer.drain()
            except (ConnectionError, TimeoutError):
                break
        async with asyncio.timeout(60):
            return await reader.read(4_096)
    except ConnectionError:
        return b""  # the server closed while it was still being sent to
    finally:
        writer.close()


async def test_a_body_of_100_mb_is_refused_before_it_is_read(asked: Asked) -> None:
    head = f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: {MANY_BYTES}\r\n\r\n".encode()
    assert (await _raw(asked.url, head, 0)).startswith(b"HTTP/1.1 413")
    await _raw(asked.url, head, MANY_BYTES)
    await asked.still_answers()


async def test_header_values_that_are_no_utf8_stop_nothing(asked: Asked) -> None:
    good = json.dumps({"inputs": [INPUT]}).encode()
    for name in (names.ROUTING_KEY, "traceparent", "content-type", "x-anything"):
        head = (
            f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nhost: localhost\r\n".encode()
            + f"content-length: {len(good)}\r\n{name}: ".encode()
            + b"\xff\xfe\r\n\r\n"
            + good
        )
        answer = await _raw(asked.url, head, 0)
        assert answer.split(b" ", 2)[1] in (b"200", b"400", b"415"), answer
    await asked.still_answers()
