"""A graph that lies in the store is registered over HTTP: it is tried first, and the event says what that measured."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hotswap_stream.adapters.onnx.names import GRAPH_FILE
from hotswap_stream.application.artifacts.bundle import pack_files
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from tests.support.problems import assert_problem
from tests.support.samples.graphs import linear, with_operator
from tests.support.samples.processors import need_bf16
from tests.support.stages.http import MODEL, HttpStage, NewLog, open_http_stage

MANIFEST = ArtifactManifest(
    kind="onnx",
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),),
    warm_up={"x": (1, 4)},
)


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path) as stage:
        yield stage


async def stored(stage: HttpStage, graph: bytes) -> str:
    return (await stage.artifacts.put_artifact(pack_files(MANIFEST, {GRAPH_FILE: graph}))).digest


async def test_a_graph_in_the_store_is_tried_when_it_is_registered(stage: HttpStage) -> None:
    accepted = await stage.accepted("versions", {"artifact_digest": await stored(stage, linear())})
    trial = accepted["version"]["trial"]
    assert trial["executor"].startswith("onnx")
    (event,) = (await stage.get("/api/events")).json()["events"]
    assert event["event"]["data"]["trial"] == trial

    refused = await stage.command("versions", {"artifact_digest": await stored(stage, with_operator("Foo"))})
    assert "Foo" in assert_problem(refused, 422, "not-servable")["detail"]
    assert len((await stage.get(f"/api/models/{MODEL}/versions")).json()["versions"]) == 1


async def test_a_graph_is_registered_with_its_options(stage: HttpStage) -> None:
    digest = await stored(stage, linear())
    plain = await stage.accepted("versions", {"artifact_digest": digest})
    for options, words in (
        ({"precision": "int8"}, "known are f32, bf16"),
        ({"executor": "onnxruntime", "precision": "bf16"}, "does not compute with bf16"),
        ({"executor": "eager"}, "does not compute artifacts of kind 'onnx'"),
    ):
        refused = await stage.command("versions", {"artifact_digest": digest, **options})
        assert words in assert_problem(refused, 422, "invalid-value")["detail"]
    assert len((await stage.get(f"/api/models/{MODEL}/versions")).json()["versions"]) == 1
    need_bf16()
    lower = await stage.accepted("versions", {"artifact_digest": digest, "precision": "bf16"})
    assert "options" not in plain["version"]
    assert lower["version"]["options"] == {"precision": "bf16"}
    assert lower["version"]["artifact"] == plain["version"]["artifact"]
    # It was tried with what will compute it.
    assert (plain["version"]["trial"]["executor"], lower["version"]["trial"]["executor"]) == ("onnxruntime", "openvino")
    assert len((await stage.get(f"/api/models/{MODEL}/versions")).json()["versions"]) == 2
