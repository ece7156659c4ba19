"""Every way to hand in a model, and every kind of bad file: a clear error, nothing registered, nothing left behind.

What only a process finds out that opens the file comes by two of the ways and one in turns, since all have the same
process behind them; by all of them with HOTSWAP_TEST_BAD_INPUT=whole, which takes minutes.
"""

import asyncio
import json
import os
import pickle
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature
from msgspec import Struct
from msgspec.structs import replace

from hotswap_stream import bootstrap
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.client import TopicClient, publish_async
from hotswap_stream.errors import HotswapError
from hotswap_stream.settings import Settings
from tests.support.raw_http import RawAnswer, raw_connection
from tests.support.samples import graphs
from tests.support.samples.artifacts import linear_artifact
from tests.support.stages.asking import running_api
from tests.support.stages.command_line import command_line
from tests.support.stages.serving import stage_settings
from tests.support.stages.uploads import OCTETS, digest_of
from tests.support.stages.workers import running_worker

KEY, SECRET = "a-key-for-the-tests", "a-secret-of-both-sides"
SERVED, NAME = "served", "handed-in"
HUGE_BYTES = 10 * 1024**3
WEIGHTS = np.ones((4, 2), "<f4").tobytes()
MLMODEL = "flavors:\n  onnx: {data: model.onnx, onnx_version: 1.19.0}\nmlflow_version: 3.17.2\n"


class Bad(Struct, frozen=True):
    """A bad file. `says`: what of the error is about it; `huge`: the file has 10 GB, of which these are the first."""

    content: bytes
    says: tuple[str, ...]
    huge: bool = False
    linked: bool = False
    """The weights beside it are a link to a file elsewhere."""
    tried: bool = False
    """Only a process that opens it finds out."""


BAD: dict[str, Bad] = {
    "empty": Bad(b"", ("empty", "body-missing", "size_bytes")),
    "graph cut off": Bad(graphs.linear()[:-20], ("cannot be read", "no outputs"), tried=True),
    "artifact cut off": Bad(linear_artifact()[:-4], ("the file holds", "tensor", "is no ONNX graph")),
    "wrong magic": Bad(b"PK\x03\x04" + bytes(100), ("zip",)),
    "pickle in disguise": Bad(pickle.dumps({"a": 1}), ("pickle",)),
    "huge": Bad(graphs.linear(), ("10737418240",), huge=True),
    "graph that claims 10 GB": Bad(graphs.claiming(HUGE_BYTES), ("cannot be read",), tried=True),
    "artifact that claims 10 GB": Bad(HUGE_BYTES.to_bytes(8, "little") + b'{"a"', ("cannot be read",), tried=True),
    "climbs out": Bad(graphs.with_weights_beside("../weights.bin"), ("../weights.bin",), tried=True),
    "link": Bad(graphs.with_weights_beside("weights.bin"), ("weights.bin", "link"), linked=True, tried=True),
    "NaN in the weights": Bad(graphs.linear(float("nan")), ("NaN",), tried=True),
    "unknown operator": Bad(graphs.with_operator("Foo"), ("Foo",), tried=True),
    "input named twice": Bad(graphs.named_twice(), ("twice",), tried=True),
}


Way = Callable[[Bad], Awaitable[str]]


class Ways:
    """Every way to hand in the file `folder/model.onnx`; each returns what is said of it."""

    def __init__(self, settings: Settings, url: str, http: httpx.AsyncClient, folder: Path) -> None:
        self._url, self._http, self._folder = url, http, folder
        self._file = folder / "model.onnx"
        self._variables = {
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
            "HOTSWAP_TOPIC_PREFIX": settings.topic_prefix,
            "HOTSWAP_HOME": str(settings.home),
            "HOTSWAP_CACHE": str(settings.cache),
        }

    def of(self, bad: Bad, turn: int) -> "dict[str, Way]":
        """Those by which a file is handed in, by name."""
        always: dict[str, Way] = {"client": self._client, "upload": self._upload}
        others: dict[str, Way] = {
            "register": self._register,
            "MLflow": self._mlflow,
            "publish": self._publish,
            "webhook": self._webhook,
            "pieces": self._pieces,
        }
        if bad.tried and os.environ.get("HOTSWAP_TEST_BAD_INPUT") != "whole":
            name = [*others][turn % len(others)]
            others = {name: others[name]}
        return always | others

    async def _command(self, *arguments: str) -> str:
        def invoke() -> str:
            with command_line(self._variables) as cli:
                result = cli(*arguments, code=1)
                assert "Traceback" not in result.output, result.output
                return str(result.output)

        return await asyncio.to_thread(invoke)

    async def _register(self, bad: Bad) -> str:
        del bad
        return await self._command("register", NAME, str(self._file), "--actor", "me")

    async def _publish(self, bad: Bad) -> str:
        del bad
        return await self._command("publish", NAME, str(self._file), "--actor", "me")

    async def _client(self, bad: Bad) -> str:
        del bad
        try:
            await publish_async(self._file, NAME, url=self._url, api_key=KEY, progress=False)
        except HotswapError as error:
            return str(error)
        return "was taken"

    async def _upload(self, bad: Bad) -> str:
        path = "/api/artifacts"
        if not bad.huge:
            return self._refused(await self._http.post(path, content=bad.content, headers=OCTETS))
        async with raw_connection(self._url) as connection:
            lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {KEY}"]
            lines += ["Content-Type: application/octet-stream", f"Content-Length: {HUGE_BYTES}", "", ""]
            await connection.send("\r\n".join(lines).encode())
            answer: RawAnswer | None = await connection.answer()
        assert answer is not None
        assert answer.status == 413
        return answer.body.decode()

    async def _pieces(self, bad: Bad) -> str:
        size = HUGE_BYTES if bad.huge else len(bad.content)
        body = {"size_bytes": size, "digest": digest_of(bad.content)}
        begun = await self._http.post("/api/uploads", json=body)
        if begun.status_code != 201:
            return self._refused(begun)
        upload_id = begun.json()["upload_id"]
        sent = await self._http.patch(f"/api/uploads/{upload_id}?offset=0", content=bad.content, headers=OCTETS)
        assert sent.status_code == 200, sent.text
        return self._refused(await self._http.post("/api/artifacts/from-uploads", json={"file": upload_id}))

    async def _mlflow(self, bad: Bad) -> str:
        del bad
        body = {"name": NAME, "source": self._folder.as_uri()}
        return self._refused(await self._http.post("/api/2.0/mlflow/model-versions/create", json=body))

    async def _webhook(self, bad: Bad) -> str:
        del bad
        data = {"name": NAME, "version": "1", "source": self._folder.as_uri(), "run_id": "r1", "tags": {}}
        at, delivery = str(int(time.time())), self._folder.name
        body = json.dumps({"entity": "model_version", "action": "created", "timestamp": "now", "data": data})
        headers = {
            "Content-Type": "application/json",
            "X-MLflow-Delivery-Id": delivery,
            "X-MLflow-Timestamp": at,
            "X-MLflow-Signature": _generate_hmac_signature(SECRET, delivery, at, body),
        }
        return self._refused(await self._http.post("/api/mlflow/webhooks", content=body, headers=headers))

    @staticmethod
    def _refused(answer: httpx.Response) -> str:
        text = answer.text
        assert 400 <= answer.status_code < 500, text
        return text


class Stage(Struct):
    """An environment with a model that is served, and what it has on the disk and in the log."""

    settings: Settings
    url: str
    http: httpx.AsyncClient
    registry: Registry
    models: Path
    temporary: Path

    async def state(self) -> dict[str, Any]:
        """All that a model which was refused must leave as it was."""
        await self.registry.catch_up()
        kept = [path.name for path in (self.settings.home / "artifacts").rglob("*") if path.is_file()]
        uploads = [path for path in (self.settings.home / "uploads").rglob("*") if path.is_file()]
        return {
            "versions": {name: [*self.registry.state(name).versions] for name in (SERVED, NAME)},
            "artifacts": sorted(kept),
            "uploads": sorted(path.name for path in uploads if path.name != "lock"),
            "temporary": sorted(path.name for path in self.temporary.iterdir()),
        }

    async def settled(self) -> dict[str, Any]:
        """The state once what was begun for the served model has put away its own files: the API's folder stays."""
        for _ in range(600):
            state = await self.state()
            if not state["uploads"] and len(state["temporary"]) <= 1:
                break
            await asyncio.sleep(0.1)
        return state

    async def asked(self) -> list[float]:
        async with TopicClient(
            self.settings.kafka_bootstrap_servers or "", prefix=self.settings.topic_prefix
        ) as client:
            answer = await client.infer(SERVED, {"x": np.ones((1, 4), np.float32)}, timeout_s=150)
        return [float(number) for number in answer.outputs["y"].ravel()]


@asynccontextmanager
async def open_stage(settings: Settings, models: Path, temporary: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(running_api(settings))
        headers = {"Authorization": f"Bearer {KEY}"}
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=headers, timeout=120))
        registry = await stack.enter_async_context(bootstrap.open_registry(settings, "test"))
        stage = Stage(settings, url, http, registry, models, temporary)
        await publish_async(graphs.linear(), SERVED, url=url, api_key=KEY, progress=False)
        switched = await http.post(f"/api/models/{SERVED}/switch", json={"model_version": "v1", "reason": "first"})
        assert switched.status_code == 200, switched.text
        begun = await http.post("/api/2.0/mlflow/registered-models/create", json={"name": NAME})
        assert begun.status_code == 200, begun.text
        yield stage


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return replace(
        stage_settings(kafka, topic_prefix, tmp_path / "home"),
        cache=tmp_path / "cache",
        api_port=0,
        api_open=None,
        api_keys=f"ada:{KEY}",
        mlflow_file_roots=str(tmp_path / "models"),
        mlflow_webhook_secret=SECRET,
    )


def written(folder: Path, bad: Bad) -> None:
    """Write the file as an MLflow directory has it, and one of weights outside the directory."""
    folder.mkdir(parents=True)
    (folder / "MLmodel").write_text(MLMODEL)
    with (folder / "model.onnx").open("wb") as file:
        file.write(bad.content)
        if bad.huge:
            file.truncate(HUGE_BYTES)  # takes no place on the disk
    (folder.parent / "weights.bin").write_bytes(WEIGHTS)
    if bad.linked:
        (folder / "weights.bin").symlink_to(folder.parent / "weights.bin")


@pytest.mark.timeout(400)
async def test_each_way_refuses_each_bad_file_and_nothing_is_left(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, temporary = tmp_path / "models", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    wrong: list[str] = []
    async with open_stage(settings, models, temporary) as stage, running_worker(settings) as worker:
        answered = await stage.asked()
        before = await stage.settled()
        for number, (kind, bad) in enumerate(BAD.items()):
            folder = models / f"model-{number}"
            await asyncio.to_thread(written, folder, bad)
            for way, hand_in in Ways(settings, stage.url, stage.http, folder).of(bad, number).items():
                said = await hand_in(bad)
                if not any(word in said for word in bad.says):
                    wrong.append(f"{kind} by {way}: {said[:300]}")
                if (after := await stage.state()) != before:
                    changed = {name: (before[name], found) for name, found in after.items() if found != before[name]}
                    wrong.append(f"{kind} by {way} changed {changed}")
                    before = after
        assert worker.trouble() is None
        assert await stage.asked() == answered
    assert not wrong, "\n".join(wrong)
