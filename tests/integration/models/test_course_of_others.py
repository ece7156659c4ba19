"""What anybody brings goes the whole way: published, promoted, asked, shadowed, swapped under load, taken back,
computed again; and each answer is what its version's own library says."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tritonclient.http as triton
from msgspec.structs import replace

from hotswap_events.inference.observation import Comparison
from hotswap_stream import bootstrap
from hotswap_stream.cli.audit.reproduce import _reproduce
from hotswap_stream.client import AsyncRegistryClient, Inference, TopicClient, publish_async
from hotswap_stream.settings import Settings
from tests.support.samples.models_of_others import SAMPLES, Sample
from tests.support.stages.asking import running_api
from tests.support.stages.observations import reading
from tests.support.stages.serving import stage_settings
from tests.support.stages.workers import running_worker

MODEL = "theirs"
KEY = "a-key-for-the-tests"
ASK_SECONDS_MAX = 60.0
AT_ONCE = 4
ANSWERS_MIN = 20
"""Answers of each version, while the load goes on."""


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    given = stage_settings(kafka, topic_prefix, tmp_path)
    return replace(given, api_port=0, api_keys=f"ada:{KEY}", cache=tmp_path / "cache", api_infer_timeout_ms=60_000)


class Asked:
    """Answers by topic and over HTTP, each held against what its version's own library says."""

    def __init__(self, sample: Sample, url: str, registry: AsyncRegistryClient, topics: TopicClient) -> None:
        self.seen = {"v1": 0, "v2": 0}
        self.offsets: set[tuple[int, int]] = set()
        self._sample = sample
        self._url = url.removeprefix("http://")
        self._registry = registry
        self._topics = topics

    async def by_topic(self) -> Inference:
        answer = await self._topics.infer(MODEL, self._sample.inputs, timeout_s=ASK_SECONDS_MAX)
        assert (answer.partition, answer.offset) not in self.offsets
        self.offsets.add((answer.partition, answer.offset))
        self._check(answer.model_version, answer.outputs)
        self.seen[answer.model_version] += 1
        return answer

    async def until(self, version: str) -> Inference:
        async with asyncio.timeout(ASK_SECONDS_MAX):
            while (answer := await self.by_topic()).model_version != version:
                pass
        return answer

    async def by_http(self, version: str) -> None:
        """In the form of the client, in JSON, and with the tensors' own bytes."""
        answer = await self._registry.infer(MODEL, self._sample.inputs)
        assert answer.model_version == version
        self._check(version, answer.outputs)
        for binary in (False, True):
            self._check(version, await asyncio.to_thread(self._by_triton, binary))

    def _by_triton(self, binary: bool) -> Mapping[str, Any]:
        with triton.InferenceServerClient(self._url, connection_timeout=60.0, network_timeout=60.0) as client:
            asked = []
            for name, array in self._sample.inputs.items():
                kind = "BYTES" if array.dtype == object else triton_kind(array)
                asked.append(triton.InferInput(name, list(array.shape), kind))
                asked[-1].set_data_from_numpy(array, binary_data=binary)
            wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in self._sample.wanted[0]]
            answer = client.infer(MODEL, asked, outputs=wanted, headers={"Authorization": f"Bearer {KEY}"})
            found = {output["name"]: answer.as_numpy(output["name"]) for output in answer.get_response()["outputs"]}
        return {
            name: np.array([text.decode() if isinstance(text, bytes) else text for text in array.ravel()], object)
            if array.dtype == object
            else array
            for name, array in found.items()
        }

    def _check(self, version: str, found: Mapping[str, Any]) -> None:
        wanted = self._sample.wanted[int(version[1:]) - 1]
        for name, array in wanted.items():
            given = np.asarray(found[name])
            if array.dtype.kind in "fc":
                limit = self._sample.difference_max * max(1.0, float(np.abs(array).max()))
                assert np.abs(given.reshape(array.shape) - array).max() <= limit
            else:
                assert given.ravel().astype(str).tolist() == array.ravel().astype(str).tolist()


def triton_kind(array: Any) -> str:
    return {"float32": "FP32", "int32": "INT32", "int64": "INT64"}[str(array.dtype)]


async def swapped_under_load(asked: Asked, registry: AsyncRegistryClient) -> None:
    """Ask all the time while v2 takes over; whoever asks gets an answer, by one of the two."""
    enough = asyncio.Event()

    async def ask() -> None:
        while not enough.is_set():
            await asked.by_topic()

    asking = [asyncio.create_task(ask()) for _ in range(AT_ONCE)]
    try:
        async with asyncio.timeout(ASK_SECONDS_MAX):
            for version in ("v1", "v2"):
                if version == "v2":
                    await registry.switch(MODEL, "v2")
                while asked.seen[version] < ANSWERS_MIN and not any(task.done() for task in asking):
                    await asyncio.sleep(0.01)
    finally:
        enough.set()
        await asyncio.gather(*asking)


@pytest.mark.parametrize("name", SAMPLES)
async def test_a_model_of_somebody_else_goes_the_whole_way(name: str, settings: Settings, tmp_path: Path) -> None:
    sample = await asyncio.to_thread(SAMPLES[name], tmp_path)
    async with running_api(settings) as url, running_worker(settings):
        async with (
            AsyncRegistryClient(url, KEY) as registry,
            TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as topics,
        ):
            for model in sample.versions:
                made = await publish_async(model, MODEL, example=sample.example, url=url, api_key=KEY, progress=False)
                assert made.label_agreement in (None, 1.0)
            await registry.switch(MODEL, "v1")
            asked = Asked(sample, url, registry, topics)
            await asked.until("v1")
            await asked.by_http("v1")

            # As a shadow v2 computes the same requests, and nobody gets its answers.
            shadow = {"kind": "shadow"}
            await registry.start_rollout(
                MODEL, ["v2"], shadow, policy={"metrics": [], "auto_archive": False}, forced=True
            )
            async with reading(settings, bootstrap.topics(settings).comparisons) as seen:
                async with asyncio.timeout(ASK_SECONDS_MAX):
                    while not seen.values:
                        assert (await asked.by_topic()).model_version == "v1"
            compared = msgspec.json.decode(seen.values[0], type=Comparison)
            assert compared.model_name == MODEL
            await registry.abort_rollout(MODEL)

            await swapped_under_load(asked, registry)
            await asked.by_http("v2")
            again = [await asked.until("v2")]
            await registry.rollback(MODEL)
            again.append(await asked.until("v1"))

        for answer in again:
            found = await _reproduce(settings, MODEL, answer.partition, answer.offset)
            assert (found.equal, found.follows_the_log) == (True, True)
            assert found.model_version == answer.model_version
