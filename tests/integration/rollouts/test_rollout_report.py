"""The report on a rollout over HTTP, of observations and feedback in the real broker's topics."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import CanaryStrategy
from hotswap_stream import bootstrap
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.settings import Settings
from tests.support.samples.observations import ObservedTraffic
from tests.support.stages.asking import running_api
from tests.support.stages.serving import MODEL, open_stage, stage_settings

ROW = {"x": [[1.0, 2.0, 3.0, 4.0]]}


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return msgspec.structs.replace(stage_settings(kafka, topic_prefix, tmp_path), api_port=0, executor="eager")


async def test_observations_and_labels_are_read_from_their_topics(kafka: str, settings: Settings) -> None:
    async with open_stage(settings) as stage:
        for value in (1.0, 2.0):
            await stage.register_answering(value)
        await stage.switch("v1")
        canary = StartRollout(**stage.meta(), strategy=CanaryStrategy(weight=500), candidates=("v2",), forced=True)
        await stage.command(canary)
        rollout = stage.registry.state(MODEL).rollout
        assert rollout is not None
        traffic = ObservedTraffic()
        traffic.now = rollout.started_at + timedelta(seconds=1)
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()
        try:
            for _second in range(60):
                for record in traffic.second({"v1": 0.99, "v2": 0.8}, {"v1": 9_500, "v2": 500}, model_name=MODEL):
                    encoded = msgspec.json.encode(record)
                    await producer.send_and_wait(stage.topics.observations, encoded, MODEL.encode())
        finally:
            await producer.stop()
        worker = await bootstrap.build_worker(settings, "w1")
        await worker.start()
        try:
            async with TopicClient(kafka, prefix=stage.topics.prefix) as client:
                for model_version in ("v1", "v2"):
                    answer = await client.infer(MODEL, ROW, model_version=model_version)
                    await client.feedback(
                        MODEL, request_partition=answer.partition, request_offset=answer.offset, label=0
                    )
                primary = await client.infer(MODEL, ROW, routing_key="somebody")
                await client.feedback(
                    MODEL, request_partition=primary.partition, request_offset=primary.offset, label=0
                )
        finally:
            await worker.stop()
        async with running_api(settings) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
            found = await http.get(f"/api/models/{MODEL}/rollout/report")
            missing = await http.get(f"/api/models/{MODEL}/rollout/report", params={"rollout_id": "r2"})
    assert found.status_code == 200, found.text
    report: dict[str, Any] = found.json()
    requests = {arm["model_version"]: arm["requests"] for arm in report["arms"]}
    assert requests["v1"] - 22_800 in (0, 1), "the worker has sent what it saw, too"
    assert requests["v2"] - 1_200 == 22_801 - requests["v1"]
    assert report["advice"] == "roll back"
    labelled = {arm["model_version"]: arm["accuracy"] for arm in report["arms"]}
    # Answers that named their version are not the split's.
    assert [rate["count"] for rate in labelled.values() if rate is not None] == [1]
    assert labelled[primary.model_version]["count"] == 1
    assert (missing.status_code, missing.json()["code"], missing.json()["legal"]) == (404, "unknown-rollout", ["r1"])
