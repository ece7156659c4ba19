"""Datasets and the retention of requests over HTTP: listed, shown, fetched, and refused in words."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from hotswap_stream.adapters.evaluation.labelled_set import labelled_set
from hotswap_stream.adapters.evaluation.set_artifacts import pack_set
from tests.support.problems import assert_problem
from tests.support.samples.artifacts import linear_artifact
from tests.support.samples.datasets import record_dataset
from tests.support.stages.http import MODEL, HttpStage, NewLog, open_http_stage

PATH = f"/api/models/{MODEL}/datasets"


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path) as stage:
        yield stage


async def test_datasets_are_listed_shown_and_fetched(stage: HttpStage) -> None:
    assert_problem(await stage.client.get(PATH), 404, "unknown-model")
    await stage.registered()
    assert (await stage.client.get(PATH)).json()["datasets"] == []
    content = linear_artifact(seed=7)
    facts = await stage.artifacts.put_artifact(content)
    command = record_dataset(dataset_name="week", artifact_digest=facts.digest, size_bytes=len(content))
    assert (await stage.registry.handle(command)).status == "accepted"
    (found,) = (await stage.client.get(PATH)).json()["datasets"]
    assert (found["artifact_digest"], found["names"], found["rows"]) == (facts.digest, ["week"], 1_000)
    for named in ("week", facts.digest):
        assert (await stage.client.get(f"{PATH}/{named}")).json() == found
        fetched = await stage.client.get(f"{PATH}/{named}/content")
        assert fetched.content == content
    problem = assert_problem(await stage.client.get(f"{PATH}/month"), 404, "unknown-dataset")
    assert problem["legal"] == ["week"]


async def test_a_stored_set_is_recorded_as_a_dataset_and_nothing_else_is(stage: HttpStage) -> None:
    content = pack_set(labelled_set({"x": np.zeros((3, 4), np.float32), "labels": np.arange(3)}))
    digest = (await stage.artifacts.put_artifact(content)).digest
    body = {"artifact_digest": digest, "dataset_name": "mine", "source": "mine.npz"}
    answer = await stage.client.post(f"{PATH}/stored", json=body)
    assert answer.json()["event_types"] == ["hotswap.model.dataset-built.v1"], answer.text
    found = (await stage.client.get(f"{PATH}/mine")).json()
    assert (found["artifact_digest"], found["rows"], found["source"]) == (digest, 3, "mine.npz")
    model = (await stage.artifacts.put_artifact(linear_artifact(seed=7))).digest
    for wrong in (model, f"sha256:{'0' * 64}"):
        refusal = await stage.client.post(f"{PATH}/stored", json={"artifact_digest": wrong})
        assert_problem(refusal, 422, "invalid-value")
    assert_problem(await stage.client.post(f"{PATH}/stored", json={"artifact_digest": "../x"}), 422, "invalid-request")


async def test_who_builds_none_says_so_and_what_is_not_known_is_refused(stage: HttpStage) -> None:
    await stage.registered()
    assert_problem(await stage.client.post(PATH, json={}), 501, "not-carried")
    assert_problem(await stage.client.post(PATH, json={"order": {"truth": "beauty"}}), 422, "invalid-request")
    assert_problem(await stage.client.post(PATH, json={"order": {"truht": "label"}}), 422, "invalid-value")


async def test_retention_is_set_and_shown(stage: HttpStage) -> None:
    path = f"/api/models/{MODEL}/retention"
    await stage.registered()
    assert (await stage.client.get(path)).json()["is_default"]
    answer = await stage.client.put(path, json={"retention": {"seconds": 3_600}, "reason": "privacy"})
    assert answer.json()["event_types"] == ["hotswap.model.request-retention-set.v1"]
    assert (await stage.client.get(path)).json()["retention"] == {"seconds": 3_600}
    assert_problem(await stage.client.put(path, json={"retention": {"seconds": 1}}), 422, "invalid-request")
