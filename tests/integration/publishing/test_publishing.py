"""From an estimator to answers: published over HTTP, asked by topic and over HTTP, swapped, and rolled back."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from hotswap_stream import bootstrap
from hotswap_stream.client import (
    AsyncRegistryClient,
    Inference,
    PublishError,
    RefusedError,
    TopicClient,
    publish,
    publish_async,
)
from hotswap_stream.settings import Settings
from tests.support.samples.graphs import with_operator
from tests.support.stages.asking import running_api
from tests.support.stages.serving import stage_settings
from tests.support.stages.workers import running_worker

MODEL = "cancer"
KEY = "a-key-for-the-tests"
FEATURES, CLASSES = load_breast_cancer(return_X_y=True)
NAMES = np.array(["malignant", "benign"])


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    given = stage_settings(kafka, topic_prefix, tmp_path)
    return replace(given, api_port=0, api_open=None, api_keys=f"ada:{KEY}", cache=tmp_path / "cache")


def forest(seed: int) -> Any:
    return RandomForestClassifier(10, max_depth=4, random_state=seed).fit(FEATURES, NAMES[CLASSES])


@asynccontextmanager
async def asking(settings: Settings, url: str) -> AsyncIterator[tuple[AsyncRegistryClient, TopicClient]]:
    async with (
        AsyncRegistryClient(url, KEY) as registry,
        TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as topics,
    ):
        yield registry, topics


async def answered(registry: AsyncRegistryClient, topics: TopicClient, version: str) -> list[Inference]:
    """What the version answers by topic and over HTTP to all rows, as soon as it does."""
    inputs: Mapping[str, Any] = {"x": FEATURES.astype(np.float32)}
    while True:
        by_topic = await topics.infer(MODEL, inputs, timeout_s=60)
        if by_topic.model_version == version:
            return [by_topic, await registry.infer(MODEL, inputs)]


def assert_equal(answers: list[Inference], model: Any, version: str) -> None:
    for answer in answers:
        assert answer.model_version == version
        assert answer.outputs["label"].tolist() == model.predict(FEATURES).tolist()
        assert np.abs(answer.outputs["probabilities"] - model.predict_proba(FEATURES)).max() < 1e-6


async def test_an_estimator_serves_is_swapped_and_rolled_back(settings: Settings) -> None:
    first, second = forest(1), forest(2)
    async with running_api(settings) as url, running_worker(settings), asking(settings, url) as (registry, topics):
        where: dict[str, Any] = {"url": url, "api_key": KEY, "progress": False}
        one = await publish_async(
            first, MODEL, example=FEATURES, metrics={"accuracy": 0.9}, tags={"team": "a"}, **where
        )
        assert (one.model_version, one.status, one.label_agreement) == ("v1", "registered", 1.0)
        assert 0 < max(difference.absolute for difference in one.differences) < 1e-6

        version = await registry.version(MODEL, "v1")
        assert version["artifact"]["digest"] == one.artifact_digest
        assert version["provenance"]["created_by"] == "ada"
        assert version["provenance"]["environment"].keys() >= {"python", "scikit-learn", "skl2onnx"}
        assert version["tags"].items() >= {"framework": "scikit-learn", "converter": "skl2onnx", "team": "a"}.items()
        assert version["metrics"]["conversion.label_agreement"] == 1.0
        assert version["metrics"]["conversion.max_abs_difference"] < 1e-6
        assert version["metrics"]["accuracy"] == 0.9

        await registry.validate(MODEL, "v1", {"accuracy": 0.9}, "all rows", promote_first=True)
        assert_equal(await answered(registry, topics, "v1"), first, "v1")

        # Blocking, in a thread, as from a script; it waits for the verdict that comes meanwhile.
        publishing = asyncio.create_task(
            asyncio.to_thread(publish, second, MODEL, example=FEATURES, wait="verdict", **where)
        )
        while len((await registry.versions(MODEL))["versions"]) < 2:
            await asyncio.sleep(0.05)
        baseline: dict[str, Any] = {"baseline_version": "v1", "baseline_figures": {"accuracy": 0.9}}
        await registry.validate(MODEL, "v2", {"accuracy": 0.95}, "all rows", **baseline)
        two = await publishing
        assert (two.model_version, two.status) == ("v2", "passed")
        await registry.promote(MODEL, "v2")
        assert_equal(await answered(registry, topics, "v2"), second, "v2")

        await registry.rollback(MODEL)
        assert_equal(await answered(registry, topics, "v1"), first, "v1")


async def test_what_is_refused_leaves_no_version(settings: Settings, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.onnx"
    await asyncio.to_thread(damaged.write_bytes, with_operator("Foo"))
    async with running_api(settings) as url, AsyncRegistryClient(url, KEY) as registry:
        where: dict[str, Any] = {"url": url, "api_key": KEY, "progress": False}
        with pytest.raises(RefusedError, match="Foo"):
            await publish_async(damaged, MODEL, **where)
        with pytest.raises(PublishError, match="5 features"):
            await publish_async(forest(1), MODEL, example=FEATURES[:, :5], **where)
        with pytest.raises(RefusedError, match="401"):
            await publish_async(forest(1), MODEL, example=FEATURES, **{**where, "api_key": "another"})
        assert (await registry.models())["models"] == []


async def test_it_goes_straight_to_the_store(settings: Settings) -> None:
    to = bootstrap.store_target(settings, "ada")
    published = await publish_async(forest(1), MODEL, example=FEATURES, to=to, version="first", reason="why not")
    assert published.model_version == "first"
    async with bootstrap.open_registry(settings) as registry:
        version = registry.state(MODEL).versions["first"]
        assert version.artifact.digest == published.artifact_digest
        assert version.trial is not None
        assert version.metrics["conversion.label_agreement"] == 1.0
    store = bootstrap.artifact_store(settings)
    manifest = (await store.fetch(published.artifact_digest)).manifest
    assert manifest.labels == ("benign", "malignant")
    assert [spec.name for spec in manifest.outputs] == ["probabilities", "label"]
