"""Webhooks as MLflow itself signs them: followed once each, and by nobody else's word."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature

from tests.support.stages.mlflow import NAME, MlflowStage, open_mlflow_stage

SECRET = "a-secret-of-both-sides"  # noqa: S105
PATH = "/api/mlflow/webhooks"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[MlflowStage]:
    async with open_mlflow_stage(tmp_path, mlflow_webhook_secret=SECRET) as opened:
        yield opened


async def deliver(
    stage: MlflowStage,
    entity: str,
    action: str,
    data: dict[str, Any],
    *,
    delivery_id: str = "one",
    secret: str = SECRET,
    age_s: int = 0,
    **headers: str,
) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"entity": entity, "action": action, "timestamp": "2026-01-01T00:00:00+00:00", "data": data})
    timestamp = str(int(time.time()) - age_s)
    sent = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": delivery_id,
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": _generate_hmac_signature(secret, delivery_id, timestamp, body),
        **headers,
    }
    answer = await stage.http.client.post(PATH, content=body, headers=sent)
    return answer.status_code, answer.json()


def created(source: str, version: str = "7") -> dict[str, Any]:
    tags = {"team": "cats"}
    return {"name": NAME, "version": version, "source": source, "run_id": "r1", "tags": tags, "description": "Best"}


async def test_a_version_is_imported_under_its_number_and_promoted_by_its_alias(stage: MlflowStage) -> None:
    status, answer = await deliver(stage, "model_version", "created", created(await stage.source()))
    assert (status, answer) == (200, {"done": "imported", "model_version": "v7"})
    version = stage.http.registry.state(NAME).versions["v7"]
    assert version.tags["team"] == "cats"
    assert version.provenance is not None
    assert version.provenance.created_by == "mlflow-webhook"

    alias = {"name": NAME, "alias": "champion", "version": "7"}
    status, answer = await deliver(stage, "model_version_alias", "created", alias, delivery_id="two")
    assert (status, answer["code"]) == (409, "illegal-step")  # it passed no gate yet

    number = await stage.passed()
    alias = {"name": NAME, "alias": "champion", "version": number}
    status, answer = await deliver(stage, "model_version_alias", "created", alias, delivery_id="three")
    assert (status, answer) == (200, {"done": "promoted", "model_version": f"v{number}"})
    assert stage.http.registry.state(NAME).active_version == f"v{number}"

    # What is taken away there goes on answering here.
    status, answer = await deliver(
        stage, "model_version_alias", "deleted", {"name": NAME, "alias": "champion"}, delivery_id="four"
    )
    assert (status, answer) == (200, {"done": "nothing"})
    assert stage.http.registry.state(NAME).active_version == f"v{number}"


async def test_other_aliases_are_names_and_nothing_else(stage: MlflowStage) -> None:
    await deliver(stage, "model_version", "created", created(await stage.source()), delivery_id="zero")
    alias = {"name": NAME, "alias": "best", "version": "7"}
    assert (await deliver(stage, "model_version_alias", "created", alias))[1]["done"] == "alias"
    assert stage.http.registry.state(NAME).aliases == {"best": "v7"}
    gone = {"name": NAME, "alias": "best"}
    assert (await deliver(stage, "model_version_alias", "deleted", gone, delivery_id="two"))[1] == {"done": "alias"}
    assert stage.http.registry.state(NAME).aliases == {}


async def test_a_delivery_applies_once(stage: MlflowStage) -> None:
    source = await stage.source()
    assert (await deliver(stage, "model_version", "created", created(source)))[0] == 200
    status, answer = await deliver(stage, "model_version", "created", created(source))
    assert (status, answer["code"]) == (401, "unauthorized")
    assert "came before" in answer["detail"]
    # A refusal is final, too: nobody can have it tried again and again.
    bad = created("models:/elsewhere/1", "8")
    assert (await deliver(stage, "model_version", "created", bad, delivery_id="bad"))[1]["code"] == "source-refused"
    assert (await deliver(stage, "model_version", "created", bad, delivery_id="bad"))[0] == 401


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"secret": "a-secret-of-others!"}, "signature"),
        ({"age_s": 400}, "another time"),
        ({"age_s": -400}, "another time"),
        ({"X-MLflow-Timestamp": "1700000000"}, "signature"),
        ({"X-MLflow-Signature": "v1,"}, "signature"),
        ({"X-MLflow-Signature": ""}, "are needed"),
        ({"X-MLflow-Delivery-Id": "x" * 500}, "are needed"),
    ],
)
async def test_nobody_else_is_followed(options: dict[str, Any], says: str, stage: MlflowStage) -> None:
    status, answer = await deliver(stage, "model_version", "created", created(await stage.source()), **options)
    assert (status, answer["code"]) == (401, "unauthorized")
    assert says in answer["detail"]
    assert SECRET not in answer["detail"]
    assert NAME not in stage.http.registry.fold.streams


@pytest.mark.parametrize("data", [{}, {"name": NAME}, {"name": "", "version": "1", "source": "x"}, {"name": 5}])
async def test_what_cannot_be_read_is_refused_in_words(data: dict[str, Any], stage: MlflowStage) -> None:
    status, answer = await deliver(stage, "model_version", "created", data)
    assert (status, answer["code"]) == (422, "invalid-value")


async def test_what_is_not_followed_is_heard_and_left(stage: MlflowStage) -> None:
    assert await deliver(stage, "registered_model", "created", {"name": NAME}) == (200, {"done": "nothing"})


async def test_without_a_secret_none_are_taken(tmp_path: Path) -> None:
    async with open_mlflow_stage(tmp_path) as stage:
        status, answer = await deliver(stage, "registered_model", "created", {"name": NAME})
        assert status == 404
        assert "HOTSWAP_MLFLOW_WEBHOOK_SECRET" in answer["detail"]
