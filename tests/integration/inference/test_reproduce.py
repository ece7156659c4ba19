"""Answers computed again from the log, on the real broker, by the command an auditor would use."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from hotswap_events import headers as names
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.settings import Settings, child_environment
from tests.support.stages.serving import MODEL, Stage, open_stage, stage_settings
from tests.support.stages.workers import running_worker

REQUESTS = 40
RAW = [(names.CONTENT_TYPE, b"application/msgpack")]


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """A network with random weights is active, and has answered requests of many sizes that came in at once."""
    manifest = manifest_of("ffnn-784-32-32-32-10", {})
    chance = np.random.default_rng(5)
    async with open_stage(settings) as stage:
        module = build_module(manifest.architecture, manifest.arguments)
        await stage.register(await stage.store.put_artifact(save_module(module, manifest)))
        await stage.switch("v1")
        for number in range(REQUESTS):
            rows = 1 + number % 3
            data = chance.standard_normal((rows, 784), dtype="<f4")
            tensor: dict[str, Any] = {"name": manifest.inputs[0].name, "shape": [rows, 784], "datatype": "FP32"}
            if number % 2:
                await stage.send(msgspec.msgpack.encode({"inputs": [tensor | {"data": data.tobytes()}]}), headers=RAW)
            else:
                await stage.send(json.dumps({"inputs": [tensor | {"data": data.ravel().tolist()}]}).encode())
        await stage.send(b"not a request")
        async with running_worker(settings):
            await stage.answers(REQUESTS + 1)
        yield stage


def _reproduce(settings: Settings, offset: int, *, partition: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "hotswap_stream.cli", "audit", "reproduce", MODEL, "--json"),
            *("--partition", str(partition), "--offset", str(offset)),
        ],
        env=child_environment(settings),
        capture_output=True,
        text=True,
        timeout=120,
    )


async def test_answers_are_the_same_bit_for_bit(stage: Stage) -> None:
    for offset in (0, 17, REQUESTS - 1):
        done = _reproduce(stage.settings, offset)
        assert done.returncode == 0, (done.stdout, done.stderr)
        found = json.loads(done.stdout)
        assert found["equal"]
        assert found["follows_the_log"]
        assert found["chosen_by"]["versions_allowed"] == ["v1"]
        assert [difference["differing"] for difference in found["reproduction"]["differences"]] == [0]


async def test_what_cannot_be_computed_again_says_why(stage: Stage) -> None:
    for offset, partition, words in (
        (REQUESTS, 0, "was refused, nothing was computed: request-unreadable"),
        (REQUESTS + 1, 0, f"it holds 0 to {REQUESTS}"),
        (0, 1, "it is empty"),
        (0, 99, "has no partition 99"),
    ):
        done = _reproduce(stage.settings, offset, partition=partition)
        assert done.returncode == 1
        assert words in done.stderr
