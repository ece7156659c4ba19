"""A version trained here, answering live: requests like its training data show no shift, other ones do."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest
import structlog
import torch
from typer.testing import CliRunner

from hotswap_stream import bootstrap
from hotswap_stream.adapters.torch.data.digits import load_digits_split
from hotswap_stream.api import create_app
from hotswap_stream.application.drift.report import DriftReport, drift_report
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.training.runs import TrainingSpec
from hotswap_stream.cli.app import build_app
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.settings import Settings
from tests.support.stages.http import served, services_on
from tests.support.stages.serving import MODEL as WINDOWED
from tests.support.stages.serving import open_stage, stage_settings
from tests.support.stages.windows import STEPS, mean_artifact

MODEL = "digits"
SECONDS_MAX = 60.0


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return msgspec.structs.replace(stage_settings(kafka, topic_prefix, tmp_path), request_partitions=1)


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


class Live:
    """v1 in production on a worker, and a way to ask it."""

    def __init__(self, settings: Settings, registry: Registry, client: TopicClient, model_name: str = MODEL) -> None:
        self.settings, self.registry = settings, registry
        self._client, self._model_name = client, model_name

    async def asked(self, images: torch.Tensor) -> datetime:
        """Send these until enough of them are in the observations; when it began."""
        since, sent = datetime.now(UTC), 0
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                # One after the other: of many that are there at once, a worker looks at a few.
                for image in images:
                    await self._client.infer(MODEL, {"image": image.unsqueeze(0).numpy()}, timeout_s=SECONDS_MAX)
                sent += len(images)
                found = await self.until(since, sent)
                # And of many in one second: a quick machine has to be asked for some seconds.
                if all(each.verdict != "too-few" for each in found.distributions):
                    return since

    async def until(self, since: datetime, rows: int) -> DriftReport:
        """Wait for what is in the observations."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                history = bootstrap.recorded_history(self.settings)
                found = await drift_report(self.registry.fold.streams, self._model_name, history, since=since)
                assert isinstance(found, DriftReport)
                if found.rows >= rows:
                    return found
                await asyncio.sleep(0.2)

    async def cli(self, *arguments: str) -> str:
        """What a command printed."""
        environment = {
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka_bootstrap_servers,
            "HOTSWAP_TOPIC_PREFIX": self.settings.topic_prefix,
            "HOTSWAP_HOME": str(self.settings.home),
        }
        result = await asyncio.to_thread(CliRunner().invoke, build_app(), arguments, env=environment)
        assert result.exit_code == 0, (arguments, result.output, result.exception)
        return result.stdout


@asynccontextmanager
async def live(settings: Settings) -> AsyncIterator[Live]:
    client = TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix)
    await bootstrap.ensure_control_topics(settings)
    async with client, bootstrap.open_training(settings) as trainer:
        spec = TrainingSpec(run_id="run-1", model_name=MODEL, architecture="digits-cnn", epochs=5, created_by="test")
        report = await trainer.train(spec, actor="test")
        assert report.ended_well, report
        assert [result.event_types[0] for result in report.results] == [
            "hotswap.model.training-started.v1",
            "hotswap.model.trained.v1",
            "hotswap.model.profiled.v1",
            "hotswap.model.validated.v1",
        ]
        worker = await bootstrap.build_worker(settings, "w1")
        await worker.start()
        try:
            yield Live(settings, trainer.registry, client)
        finally:
            await worker.stop()


async def test_a_shift_of_the_live_images_is_seen(settings: Settings, tmp_path: Path) -> None:
    split = load_digits_split()
    async with live(settings) as stage:
        profile = stage.registry.state(MODEL).versions["v1"].profile
        assert profile is not None
        assert (profile.rows, set(profile.sketches)) == (len(split.train), {"input", "score"})
        assert split.train.digest() in profile.source
        told = await stage.cli("events", "--model", MODEL)
        assert "profiled v1 of digits (1,259 rows of the bundled digits' training part" in told

        await stage.asked(split.train.images[::4])
        report = json.loads(await stage.cli("drift", MODEL, "--json"))
        assert report["verdict"] == "none", report
        assert {each["name"]: each["verdict"] for each in report["distributions"]} == {"input": "none", "score": "none"}
        assert "no shift is shown" in await stage.cli("drift", MODEL)

        since = (await stage.asked(1 - split.train.images[::4])).isoformat()
        drawn = tmp_path / "drift.svg"
        said = await stage.cli("drift", MODEL, "--from", since, "--plot", str(drawn))
        assert "the live data have shifted" in said
        assert drawn.read_text(encoding="utf-8").startswith("<svg")
        history = bootstrap.recorded_history(settings)
        app = create_app(services_on(stage.registry, tmp_path, recorded=history, environment=settings.topic_prefix))
        async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
            over_http = (await client.get(f"/api/models/{MODEL}/drift", params={"since": since})).json()
        by_name = {each["name"]: each for each in over_http["distributions"]}
        assert (over_http["verdict"], by_name["input"]["verdict"]) == ("shift", "shift")
        assert by_name["input"]["distance"] > 0.9
        # Paper is 0 and ink is 1, so an inverted page is bright.
        assert by_name["input"]["live"]["p05"] > by_name["input"]["training"]["p95"]


async def test_what_workers_see_of_windows_is_what_a_profile_of_the_series_sees(
    settings: Settings, tmp_path: Path
) -> None:
    """Requests bring a step each; the model, the observations and the profile look at the windows behind them."""
    steps = np.random.default_rng(1).normal(size=300).astype(np.float32)
    file = tmp_path / "series.npy"
    np.save(file, steps)
    async with open_stage(settings) as stage:
        await stage.switch(await stage.register(await stage.store.put_artifact(mean_artifact())))
        worker = await bootstrap.build_worker(settings, "w1")
        await worker.start()
        try:
            since = datetime.now(UTC)
            async with TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as client:
                for step in steps:
                    await client.infer(
                        WINDOWED, {"history": step.reshape(1, 1)}, routing_key="a", timeout_s=SECONDS_MAX
                    )
            windows = len(steps) - STEPS + 1
            asking = Live(settings, stage.registry, client, WINDOWED)
            await asking.until(since, windows)
            said = await asking.cli("profile", WINDOWED, "v1", "--data", str(file))
            assert "profiled" in said
            report = json.loads(await asking.cli("drift", WINDOWED, "--from", since.isoformat(), "--json"))
        finally:
            await worker.stop()
    assert (report["profile_rows"], report["rows"], report["verdict"]) == (windows, windows, "none")
    by_name = {each["name"]: each for each in report["distributions"]}
    # Four elements a row: each step of the window by itself, too.
    assert set(by_name) == {"input", "input.0", "input.1", "input.2", "input.3", "score"}
    means = np.sort(np.lib.stride_tricks.sliding_window_view(steps, STEPS).mean(axis=1))
    assert by_name["input"]["training"]["p50"] == pytest.approx(float(np.median(means)), abs=0.1)
    assert by_name["score"]["distance"] < 0.05
    assert by_name["input"]["live_count"] >= 50
