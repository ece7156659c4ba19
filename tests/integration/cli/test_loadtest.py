"""`loadtest` on the real broker: by topic and by HTTP, and on a model that stands still."""

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from hotswap_events import headers as header_names
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.inference.records import partition_of
from hotswap_stream.client.load.tally import LoadReport
from tests.support.checkout import ROOT
from tests.support.stages.asking import running_api
from tests.support.stages.hand_worker import Answer, HandWorker, Headers, answering, hand_worker
from tests.support.stages.serving import MODEL, PARTITIONS, Stage, open_stage, stage_settings
from tests.support.stages.windows import mean_artifact
from tests.support.stages.workers import running_worker


class Command:
    """The command line, as processes of their own."""

    def __init__(self, stage: Stage) -> None:
        settings = stage.settings
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOTSWAP_")}
        self._environment = {
            **inherited,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "events"))),
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": str(settings.kafka_bootstrap_servers),
            "HOTSWAP_TOPIC_PREFIX": settings.topic_prefix,
            "HOTSWAP_HOME": str(settings.home),
        }

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", "from hotswap_stream.cli import main; main()", "loadtest", *arguments,
            env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        process = await self.start(*arguments)
        out, err = await process.communicate()
        assert process.returncode == code, err.decode()
        return out.decode(), err.decode()

    async def report(self, *arguments: str, code: int = 0) -> LoadReport:
        out, _ = await self.run(*arguments, "--json", code=code)
        return msgspec.json.decode(out, type=LoadReport)


class Load(Command):
    """A stage with v1 in production, and a worker by hand."""

    def __init__(self, stage: Stage, worker: HandWorker) -> None:
        super().__init__(stage)
        self.stage, self.worker = stage, worker


def by_pin(headers: Headers) -> Answer:
    return answering(headers.get(header_names.MODEL_VERSION, b"v1").decode())


@pytest.fixture
async def load(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Load]:
    async with open_stage(stage_settings(kafka, topic_prefix, tmp_path)) as stage:
        await stage.register_answering(1.0)
        await stage.register_answering(2.0)
        await stage.switch("v1")
        async with hand_worker(stage, by_pin) as worker:
            yield Load(stage, worker)


async def test_by_topic_at_a_rate_and_with_a_concurrency(load: Load, tmp_path: Path) -> None:
    report = await load.report(MODEL, "--rate", "200", "--requests", "300", "--keys", "10")
    assert (report.sent, report.succeeded, report.errors, report.versions) == (300, 300, {}, {"v1": 300})
    assert (report.target, report.format, report.rate_wanted_per_s, report.concurrency) == (
        "topics",
        "msgpack",
        200,
        None,
    )
    assert report.latency_ms is not None
    assert 0 < report.latency_ms.p50 <= report.latency_ms.p99 <= report.latency_ms.p999 <= report.latency_ms.max
    assert {seen[header_names.ROUTING_KEY] for seen in load.worker.seen} == {f"key-{n}".encode() for n in range(10)}

    np.save(tmp_path / "rows.npy", np.ones((10, 4), dtype="<f4"))
    options = ("--format", "json", "--rows", "3", "--data", str(tmp_path / "rows.npy"), "--model-version", "v2")
    report = await load.report(MODEL, "--concurrency", "8", "--requests", "100", *options)
    assert (report.succeeded, report.concurrency, report.rows, report.versions) == (100, 8, 3, {"v2": 100})
    assert load.worker.seen[-1][header_names.CONTENT_TYPE] == b"application/json"

    out, err = await load.run(MODEL, "--requests", "20")
    assert "p99.9" in out
    assert "v1=20" in out
    assert err == ""


async def test_by_http(load: Load) -> None:
    settings = msgspec.structs.replace(load.stage.settings, api_port=0, api_infer_in_flight_max=2)
    async with running_api(settings) as url:
        report = await load.report(MODEL, "--http", url, "--concurrency", "2", "--requests", "100", "--keys", "3")
        assert (report.succeeded, report.errors, report.versions) == (100, {}, {"v1": 100})
        assert (report.target, report.format) == (url, "binary")
        assert load.worker.seen[-1][header_names.ROUTING_KEY].startswith(b"key-")
        load.worker.seconds_each = 0.02
        refused = await load.report(MODEL, "--http", url, "--concurrency", "20", "--requests", "200", code=1)
        assert refused.errors["HTTP 503"] + refused.succeeded == 200
        assert refused.error_percent > 0
        tolerated = ("--errors-max-percent", "100", "--format", "json")
        await load.report(MODEL, "--http", url, "--concurrency", "20", "--requests", "50", *tolerated)
        _, err = await load.run("nobody", "--http", url, code=1)
        assert "nobody" in err


async def test_the_open_loop_counts_what_waits_while_a_model_stands_still(load: Load) -> None:
    """All that is due while the model stands still waits, so half of all answers are slow, not a few."""
    load.worker.going.clear()
    testing = asyncio.create_task(load.report(MODEL, "--rate", "100", "--requests", "200", "--timeout", "60"))
    while not load.worker.consumer.highwater(next(iter(load.worker.consumer.assignment()))):
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.5)
    load.worker.going.set()
    report = await testing
    assert report.succeeded == 200
    assert report.latency_ms is not None
    assert report.latency_ms.max >= 1_000
    assert report.latency_ms.p50 >= 100


async def test_the_guides_commands_run(load: Load, tmp_path: Path) -> None:
    guide = (ROOT / "docs/guides/asking-models.md").read_text(encoding="utf-8")
    shown = re.findall(r"^    hotswap-stream loadtest (.*)$", guide, re.MULTILINE)
    assert len(shown) == 3
    np.savez(tmp_path / "rows.npz", x=np.ones((20, 4), dtype="<f4"))
    async with running_api(msgspec.structs.replace(load.stage.settings, api_port=0)) as url:
        here = {
            "digits": MODEL,
            "http://127.0.0.1:8000": url,
            "rows.npz": str(tmp_path / "rows.npz"),
            "30": "1",
            "10000": "100",
        }
        for command_line in shown:
            short = () if "--seconds" in command_line or "--requests" in command_line else ("--requests", "50")
            await load.run(*(here.get(word, word) for word in shlex.split(command_line)), *short)


async def test_ctrl_c_prints_what_there_is(load: Load) -> None:
    load.worker.going.clear()
    process = await load.start(MODEL, "--concurrency", "5", "--seconds", "600", "--json")
    while not load.worker.seen and not await _any_request(load.worker):
        await asyncio.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    report: dict[str, Any] = json.loads(out)
    assert (report["interrupted"], report["succeeded"], report["errors"]) == (True, 0, {})
    assert 0 < report["unfinished"] <= 5


async def _any_request(worker: HandWorker) -> bool:
    ends = await worker.consumer.end_offsets(list(worker.consumer.assignment()))
    return any(ends.values())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--rate", "5", "--concurrency", "5"), 2, "exclude each other"),
        (("--format", "binary"), 2, "binary for HTTP"),
        (("--model-version", "v9"), 3, "v9"),
        (("--data", "nowhere.npy"), 1, "nowhere.npy"),
        (("--http", "ftp://x"), 1, "is not a URL"),
    ],
)
async def test_wrong_use_says_what_is_wrong(load: Load, arguments: tuple[str, ...], code: int, words: str) -> None:
    _, err = await load.run(MODEL, *arguments, code=code)
    assert words in " ".join(err.split())


async def test_requests_of_a_series_go_to_one_partition(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """To a model that takes windows; partitions are those of Kafka's own partitioner."""
    settings = msgspec.structs.replace(stage_settings(kafka, topic_prefix, tmp_path), executor="eager")
    async with open_stage(settings) as stage, running_worker(settings):
        await stage.switch(await stage.register(await stage.store.put_artifact(mean_artifact())))
        command = Command(stage)
        report = await command.report(MODEL, "--requests", "60", "--concurrency", "8", "--keys", "7")
        assert (report.succeeded, report.errors) == (60, {})
        np.save(tmp_path / "steps.npy", np.ones((10, 1), dtype="<f4"))
        steps = ("--data", str(tmp_path / "steps.npy"), "--rows", "2", "--requests", "200")
        assert (await command.report(MODEL, *steps)).errors == {}
        folds = await bootstrap.window_reader(stage.settings).read(MODEL)
        async with asyncio.timeout(60):  # workers write windows about once a second
            while sum(len(list(fold.windows())) for fold in folds.values()) < 100:
                await asyncio.sleep(0.2)
                folds = await bootstrap.window_reader(stage.settings).read(MODEL)
        places = sorted((key.decode(), number) for number, fold in folds.items() for key, _, _ in fold.windows())
        assert places == sorted((f"key-{n}", partition_of(f"key-{n}", PARTITIONS)) for n in range(100))
        _, err = await command.run(MODEL, "--rows", "3", code=1)
        assert "rows must be 1, not 3" in " ".join(err.split())
