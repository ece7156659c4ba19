"""The same graph in lower precision, as a version of its own: it earns its place by evidence, and answers say so."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from benchmarks.live_rollout import MODEL, LiveDigits, live_digits
from hotswap_events.commands import RegisterVersion
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy, ShadowStrategy
from hotswap_stream import bootstrap
from hotswap_stream.adapters.onnx.names import GRAPH_FILE
from hotswap_stream.application.artifacts.bundle import pack_files
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.client.inference import Inference
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.settings import Settings, child_environment
from tests.support.samples.graphs import floats, graph_bytes, value
from tests.support.samples.processors import need_bf16

BF16 = VersionOptions(precision="bf16")
SECONDS_MAX = 240.0
MANIFEST = ArtifactManifest(
    kind="onnx",
    inputs=(TensorSpec(name="image", datatype="FP32", shape=(-1, 1, 28, 28)),),
    outputs=(TensorSpec(name="scores", datatype="FP32", shape=(-1, 10)),),
    warm_up={"image": (1, 1, 28, 28)},
)


def graph_of_images() -> bytes:
    """Ten scores of an image, by weights that mean nothing."""
    weights = np.random.default_rng(3).standard_normal((784, 10), np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["pixels"]),
        helper.make_node("MatMul", ["pixels", "w"], ["scores"]),
    ]
    inputs, outputs = [value("image", ("N", 1, 28, 28))], [value("scores", ("N", 10))]
    return graph_bytes(nodes, inputs, outputs, [floats("w", weights)])


async def registered(live: LiveDigits, artifact: ArtifactFacts, options: VersionOptions | None = None) -> None:
    provenance = Provenance(origin="imported", created_by="live")
    await live.command(RegisterVersion(**live.meta(), artifact=artifact, provenance=provenance, options=options))


async def asked(settings: Settings, model_version: str | None = None) -> Inference:
    image = np.random.default_rng(4).random((1, 1, 28, 28), np.float32)
    async with TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as client:
        return await client.infer(MODEL, {"image": image}, model_version=model_version, timeout_s=60)


def reproduced(settings: Settings, answer: Inference) -> dict[str, Any]:
    place = ("--partition", str(answer.partition), "--offset", str(answer.offset))
    command = (sys.executable, "-m", "hotswap_stream.cli", "audit", "reproduce", MODEL, "--json", *place)
    done = subprocess.run(command, env=child_environment(settings), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(600)
async def test_lower_precision_takes_over_by_its_agreement(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    need_bf16()
    settings = Settings(
        kafka_bootstrap_servers=kafka,
        topic_prefix=topic_prefix,
        home=tmp_path,
        request_partitions=2,
        log_level="warning",
        executor="onnxruntime",
    )
    policy = RolloutPolicy(
        metrics=(MetricRule(metric="agreement", threshold=0.8),),
        answers_min=50,
        bake_seconds=0,
        promote_after_shadow=True,
    )
    content = pack_files(MANIFEST, {GRAPH_FILE: graph_of_images()})
    artifact = await bootstrap.artifact_store(settings).put_artifact(content)
    async with live_digits(settings, rate=200, labelled=0.0) as live:
        await registered(live, artifact)
        await live.switched("v1")
        before = await asked(settings)
        await registered(live, artifact, BF16)
        await live.validated("v2", 0.9, ("v1", 0.9))  # validation is not the point: both count as equally good
        start = StartRollout(**live.meta(), strategy=ShadowStrategy(), candidates=("v2",), policy=policy)
        ended, _seconds = await live.rolled_out(start, seconds_max=SECONDS_MAX)
        state = live.registry.state(MODEL)
        after, pinned = await asked(settings), await asked(settings, "v1")

    assert (ended.status, state.active_version) == ("promoted", "v2")
    assert [version.options for version in state.versions.values()] == [PLAIN, BF16]
    [analysis] = ended.analyses
    [agreement] = analysis.evidence
    assert agreement.metric == "agreement"
    assert agreement.value is not None
    assert agreement.value > 0.8
    told = [(answer.model_version, answer.executor, answer.precision) for answer in (before, after, pinned)]
    assert told == [("v1", "onnxruntime", None), ("v2", "openvino", "bf16"), ("v1", "onnxruntime", None)]
    assert before.artifact_digest == after.artifact_digest == artifact.digest
    assert pinned.outputs["scores"].tobytes() == before.outputs["scores"].tobytes()
    assert after.outputs["scores"].tobytes() != before.outputs["scores"].tobytes()

    again = reproduced(settings, after)
    assert (again["equal"], again["follows_the_log"], again["chosen_by"]["precision"]) == (True, True, "bf16")
    assert again["reproduction"]["precision"] == "bf16"
