"""A validation set that lies in the store is chosen over HTTP, and no clean-up ever takes it."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from safetensors.numpy import save

from hotswap_stream import bootstrap
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.evaluation.labelled_set import Array, labelled_set
from hotswap_stream.adapters.evaluation.set_artifacts import pack_set
from hotswap_stream.application.artifacts.cleanup import adopt
from hotswap_stream.application.artifacts.file import pack_artifact, read_manifest
from hotswap_stream.settings import Settings
from tests.support.problems import assert_problem
from tests.support.stages.http import MODEL, PASSED, HttpStage, NewLog, open_http_stage

OCTETS = {"Content-Type": "application/octet-stream"}
PATH = f"/api/models/{MODEL}/validation-set"


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path) as stage:
        yield stage


def arrays_of(rows: int) -> dict[str, Array]:
    return {"x": np.ones((rows, 4), np.float32), "target": np.arange(rows, dtype=np.float64)}


def packed(rows: int) -> bytes:
    return pack_set(labelled_set(arrays_of(rows)))


def weights(rows: int) -> bytes:
    return bytes(save(arrays_of(rows)))


async def stored(stage: HttpStage, rows: int = 3) -> str:
    return (await stage.artifacts.put_artifact(packed(rows))).digest


async def test_a_set_is_chosen_changed_and_shown(stage: HttpStage) -> None:
    assert_problem(await stage.client.get(PATH), 404, "unknown-model")
    await stage.registered()
    assert (await stage.client.get(PATH)).json() == {"model_name": MODEL, "validation_set": None}
    first, second = await stored(stage), await stored(stage, rows=7)
    answer = await stage.client.put(PATH, json={"artifact_digest": first, "source": "by hand", "reason": "ours"})
    assert answer.json()["event_types"] == ["hotswap.model.validation-set-chosen.v1"]
    found = (await stage.client.get(PATH)).json()["validation_set"]
    assert (found["artifact_digest"], found["kind"], found["rows"]) == (first, "regression", 3)
    await stage.client.put(PATH, json={"artifact_digest": second})
    assert (await stage.client.get(PATH)).json()["validation_set"]["rows"] == 7
    again = await stage.client.put(PATH, json={"artifact_digest": second})
    assert again.json()["status"] == "unchanged"


async def test_a_packed_set_is_uploaded_and_chosen(new_log: NewLog, tmp_path: Path) -> None:
    store = open_artifact_store(ArtifactStoreConfig(url=str(tmp_path / "artifacts")))
    settings = Settings(home=tmp_path, topic_prefix="test")
    async with (
        bootstrap.open_uploads(settings, store) as uploads,
        open_http_stage(new_log(), tmp_path, uploads=uploads, artifacts=store) as stage,
    ):
        await stage.registered()
        answer = await stage.client.post("/api/artifacts", content=packed(5), headers=OCTETS)
        assert answer.status_code == 201, answer.text
        sent = answer.json()
        assert (sent["kind"], sent["trial"]) == ("dataset", None)
        await stage.client.put(PATH, json={"artifact_digest": sent["artifact_digest"]})
        assert (await stage.client.get(PATH)).json()["validation_set"]["rows"] == 5
        no_set = pack_artifact(replace(read_manifest(packed(5)), arguments={"kind": "regression"}), weights(5))
        refused = await stage.client.post("/api/artifacts", content=no_set, headers=OCTETS)
        assert "rows" in assert_problem(refused, 422, "not-an-artifact")["detail"]
        assert len(await store.list()) == 2


async def test_what_is_no_set_is_refused(stage: HttpStage) -> None:
    version = await stage.registered()
    digest = (await stage.client.get(f"/api/models/{MODEL}/versions/{version}")).json()["artifact"]["digest"]
    of_a_version = await stage.client.put(PATH, json={"artifact_digest": digest})
    assert "a validation set is needed" in assert_problem(of_a_version, 422, "invalid-value")["detail"]
    missing = await stage.client.put(PATH, json={"artifact_digest": f"sha256:{'0' * 64}"})
    assert "put it there first" in assert_problem(missing, 422, "invalid-value")["detail"]
    registered = await stage.command("versions", {"artifact_digest": await stored(stage)})
    assert "cannot be a version" in assert_problem(registered, 422, "invalid-value")["detail"]


async def test_figures_of_a_regression_draw_a_verdict_by_gates(stage: HttpStage) -> None:
    version = await stage.registered()
    await stage.client.put(PATH, json={"artifact_digest": await stored(stage)})
    figures = {**PASSED, "figures": {"rmse": 1.0}}
    looked = (await stage.accepted(f"versions/{version}/validate", figures))["version"]
    assert looked["verdict"] == "inconclusive"
    assert "validation-policy set" in looked["validation"]["detail"]
    gate = {"figure": "rmse", "better": "lower", "threshold": 2.0, "relative_margin": 0.1}
    policy = f"/api/models/{MODEL}/validation-policy"
    assert (await stage.client.put(policy, json={"policy": {"gates": [gate]}})).status_code == 200
    passed = (await stage.accepted(f"versions/{version}/validate", figures))["version"]
    assert (passed["verdict"], passed["validation"]["thresholds"]) == (
        "passed",
        {"rmse.threshold": 2.0, "rmse.relative_margin": 0.1},
    )


async def test_a_clean_up_keeps_a_set_in_use(stage: HttpStage) -> None:
    await stage.promoted()
    digest = await stored(stage)
    await stage.client.put(PATH, json={"artifact_digest": digest})
    for _ in range(2):
        await stage.registered()
    report = (await stage.command("cleanup", {"keep": 0, "apply": True})).json()
    assert report["deleted"]
    assert await stage.artifacts.exists(digest)
    await stage.artifacts.references.forget(await stage.artifacts.references.environment())
    await stage.registry.catch_up()
    assert digest in await adopt(stage.registry, stage.artifacts)
