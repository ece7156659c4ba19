"""The guide to one's own model: its code runs, as it stands there, on a broker, an API and a worker."""

import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from hotswap_stream import bootstrap
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.client import RegistryClient
from hotswap_stream.settings import Settings
from tests.support.checkout import ROOT
from tests.support.stages.asking import running_api
from tests.support.stages.serving import stage_settings
from tests.support.stages.workers import running_worker

GUIDE = ROOT / "docs" / "guides" / "serve-your-own-model.md"
URL, KAFKA = "http://127.0.0.1:8000", "127.0.0.1:30299"
_CODE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return replace(stage_settings(kafka, topic_prefix, tmp_path), api_port=0, cache=tmp_path / "cache")


def sections() -> dict[str, list[str]]:
    """Heading → its blocks of Python."""
    parts = GUIDE.read_text(encoding="utf-8").split("\n## ")[1:]
    blocks = {part.splitlines()[0]: _CODE.findall(part) for part in parts}
    return {heading: code for heading, code in blocks.items() if code}


def run(blocks: list[str], url: str, kafka: str, prefix: str) -> dict[str, Any]:
    """Run the blocks one after the other, as in a notebook; return the names that they leave."""
    names: dict[str, Any] = {}
    for block in blocks:
        assert URL in block
        code = block.replace(URL, url).replace(f'"{KAFKA}"', f'"{kafka}", prefix="{prefix}"')
        exec(compile(code, str(GUIDE), "exec"), names)  # noqa: S102 - the guide's own code is what is tested
    return names


async def test_the_guides_code_runs(settings: Settings) -> None:
    blocks = sections()
    assert list(blocks) == ["scikit-learn", "XGBoost and LightGBM", "torch", "ONNX"]
    async with running_api(settings) as url, running_worker(settings):
        left: dict[str, dict[str, Any]] = {}
        for heading, code in blocks.items():
            left[heading] = await asyncio.to_thread(
                run, code, url, settings.kafka_bootstrap_servers or "", settings.topic_prefix
            )
        async with bootstrap.open_registry(settings) as registry:
            assert_story(registry)
        await asyncio.to_thread(assert_answers, left, url)


def assert_story(registry: Registry) -> None:
    active = {
        name: registry.state(name).active_version for name in ("cancer", "people", "diabetes", "words", "softmax")
    }
    assert active == dict.fromkeys(active, "v1"), "the second one of the first model was rolled back"
    assert len(registry.state("cancer").versions) == 2


def assert_answers(left: dict[str, dict[str, Any]], url: str) -> None:
    trees = left["XGBoost and LightGBM"]
    assert np.abs(trees["answer"].outputs["variable"].ravel() - trees["model"].predict(trees["X"][:3])).max() < 1e-3
    people = left["scikit-learn"]
    assert people["answer"].outputs["label"].tolist() == ["yes"]
    assert left["torch"]["answer"].outputs["output"].shape == (1, 2)
    assert np.allclose(left["ONNX"]["answer"].outputs["y"], [[0.26894143, 0.7310586]])
    with RegistryClient(url) as registry:
        found = registry.infer("cancer", {"x": people["X"].astype("float32")}).outputs["label"]
    assert (found == people["y"]).mean() > 0.9


def test_the_guides_examples_are_short() -> None:
    for heading, blocks in sections().items():
        lines = [line for line in blocks[0].splitlines() if line.strip()]
        assert len(lines) <= 20, heading
