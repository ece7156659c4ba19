"""The example package, installed into an environment of its own, and served from there by a worker process."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from hotswap_events.inference.fleet import FleetPlugin, FleetRecord
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.settings import Settings
from tests.support.checkout import ROOT
from tests.support.processes.commands import environment_with, hotswap, running
from tests.support.stages.serving import Stage, open_stage, stage_settings

PACKAGE = {"package": "hotswap-example-plugins", "version": "0.1.0"}
TICKETS, REVIEWS, DIGITS = "tickets", "reviews", "digits"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and its metadata, as pip puts them into site-packages."""
    folder = tmp_path_factory.mktemp("environment")
    arguments = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(folder)]
    ran = subprocess.run(
        [sys.executable, "-m", "pip", "install", *arguments, str(ROOT / "examples" / "plugins")],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        yield stage


@pytest.fixture
def environment(settings: Settings, installed: Path) -> dict[str, str]:
    """The environment of processes in which the package is installed."""
    found = environment_with(
        {
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
            "HOTSWAP_TOPIC_PREFIX": settings.topic_prefix,
            "HOTSWAP_HOME": str(settings.home),
            "HOTSWAP_REQUEST_PARTITIONS": "1",
            "HOTSWAP_EXECUTOR": "eager",
        }
    )
    return {**found, "PYTHONPATH": os.pathsep.join((str(installed), found["PYTHONPATH"]))}


def ran(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def told(stage: Stage, model_name: str) -> FleetRecord:
    """The first record of a worker that serves the model."""
    count = 0
    while True:
        count += 1
        for record in await stage.records(stage.topics.fleet, 0, count):
            if record.value:
                found = msgspec.json.decode(record.value, type=FleetRecord)
                if found.model_name == model_name and found.serving_version is not None:
                    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_package_is_installed_trained_with_served_and_shown(
    stage: Stage, settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    listed = msgspec.json.decode(ran(environment, *hotswap("plugins", "--json")), type=list[FleetPlugin])
    has = [
        FleetPlugin(kind="architecture", name="example-digits", **PACKAGE),
        FleetPlugin(kind="runtime", name="example-reviews", **PACKAGE),
        FleetPlugin(kind="runtime", name="example-tickets", **PACKAGE),
        FleetPlugin(kind="evaluator", name="example-costs", **PACKAGE),
    ]
    assert listed == has

    for model in (TICKETS, REVIEWS):
        file = tmp_path / f"{model}.safetensors"
        ran(environment, sys.executable, "-m", f"hotswap_example_plugins.{model}", str(file))
        ran(environment, *hotswap("register", model, str(file), "--actor", "test"))
        ran(environment, *hotswap("switch", model, "v1", "--actor", "test"))
    ran(environment, *hotswap("train", DIGITS, "--actor", "test", "--architecture", "example-digits", "--epochs", "2"))

    with running(environment, "worker", "--name", "w1"):
        async with TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as client:
            texts = np.array(["Refund my invoice!", "It is DOWN: timeout", "hello"], object)
            sorted_out = await client.infer(TICKETS, {"text": texts}, timeout_s=90)
            reviews = np.array(["A good, great film", "Awful.", "Of people"], object)
            told_apart = await client.infer(REVIEWS, {"text": reviews}, timeout_s=90)
            digits = await client.infer(DIGITS, {"image": np.zeros((2, 1, 28, 28), np.float32)}, timeout_s=90)
        record = await told(stage, TICKETS)
    assert sorted_out.outputs["queue"].ravel().tolist() == ["billing", "outage", "people"]
    assert sorted_out.outputs["scores"].tolist() == [[5.0, 0.0], [0.0, 4.0], [0.0, 0.0]]
    good = 1 / (1 + np.exp(-np.array([5.0, -3.0, 0.0])))  # what the graph makes of its tokenizer's words
    np.testing.assert_allclose(told_apart.outputs["scores"][:, 1], good, rtol=1e-6)
    assert digits.outputs["scores"].shape == (2, 10)
    assert list(record.plugins) == has
    manifest = (await stage.store.fetch(record.versions["v1"].artifact_digest)).manifest
    assert manifest.package is not None
    assert (manifest.package.name, manifest.package.version) == ("hotswap-example-plugins", "0.1.0")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_worker_without_the_package_names_it(stage: Stage, environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "tickets.safetensors"
    ran(environment, sys.executable, "-m", "hotswap_example_plugins.tickets", str(file))
    content = await asyncio.to_thread(file.read_bytes)
    await stage.switch(await stage.register(await stage.store.put_artifact(content)))
    without = {**environment, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "events")))}
    with running(without, "worker", "--name", "w1"):
        missing = None
        count = 0
        while missing is None:
            count += 1
            for found in await stage.records(stage.topics.fleet, 0, count):
                version = msgspec.json.decode(found.value or b"{}", type=dict[str, object]).get("versions", {})
                missing = version.get("v1", {}).get("missing") if isinstance(version, dict) else None
    assert missing == {"kind": "runtime", "name": "example-tickets", **PACKAGE}
