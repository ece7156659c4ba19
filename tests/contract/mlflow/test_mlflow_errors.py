"""Whatever is no success comes in MLflow's form, with words that say what would be right; nothing changes by it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowException
from mlflow.protos import databricks_pb2, model_registry_pb2

from tests.support.stages.mlflow import KEYS, NAME, MlflowStage, open_mlflow_stage

BASE = "/api/2.0/mlflow"
ADA = {"Authorization": f"Bearer {KEYS['ada']}"}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[MlflowStage]:
    async with open_mlflow_stage(tmp_path) as stage:
        await stage.ask(lambda client: client.create_registered_model(NAME))
        yield stage


def assert_error(answer: httpx.Response, status: int, code: str, *words: str) -> None:
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()
    assert (answer.status_code, error["error_code"]) == (status, code), error
    assert code in databricks_pb2.ErrorCode.keys()  # noqa: SIM118
    for word in words:
        assert word in error["message"], error


async def post(stage: MlflowStage, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": "application/json", **ADA, **headers}
    return await stage.http.client.post(f"{BASE}/{path}", content=content, headers=sent)


async def test_every_path_of_the_service_answers_in_its_form(stage: MlflowStage) -> None:
    """Each of MLflow's own list, with what it can make nothing of."""
    asked = 0
    for method in model_registry_pb2.ModelRegistryService.DESCRIPTOR.methods:
        for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
            path = f"/api/2.0{endpoint.path}"
            if endpoint.method == "GET":
                answer = await stage.http.client.get(path, params={"name": "none", "version": "1", "page_token": "x"})
            else:
                body = {"name": "none", "version": "1", "key": "a", "alias": "b", "source": "hotswap:x", "stage": "c"}
                answer = await stage.http.client.request(endpoint.method, path, json=body, headers=ADA)
            if answer.status_code != 200:  # a new model is begun by its name
                assert set(answer.json()) == {"error_code", "message"}
                assert answer.json()["error_code"] not in ("ENDPOINT_NOT_FOUND", "INTERNAL_ERROR"), answer.text
                assert answer.status_code not in (408, 429, 500, 502, 503, 504), "its clients would try again"
            asked += 1
    assert asked == 22
    assert [*stage.http.registry.fold.streams] == [NAME, "none"]


async def test_a_key_is_needed_for_everything(stage: MlflowStage) -> None:
    with pytest.raises(MlflowException, match=r"UNAUTHENTICATED: this needs an API key.*MLFLOW_TRACKING_TOKEN") as none:
        await stage.ask(lambda client: client.set_registered_model_tag(NAME, "a", "1"), key=None)
    assert none.value.error_code == "UNAUTHENTICATED"
    with pytest.raises(MlflowException, match="UNAUTHENTICATED: the API key is not known here"):
        await stage.ask(lambda client: client.create_registered_model("trees"), key="somebody-else")
    with pytest.raises(MlflowException, match="UNAUTHENTICATED"):
        await stage.ask(lambda client: client.get_registered_model(NAME), key=None)
    listing = await stage.http.client.get("/api/2.0/mlflow-artifacts/artifacts", params={"path": NAME})
    assert_error(listing, 401, "UNAUTHENTICATED")


async def test_what_is_not_here_is_said_to_be_so(stage: MlflowStage) -> None:
    await stage.version()
    refused: list[tuple[Any, str]] = [
        (
            lambda client: client.rename_registered_model(NAME, "trees"),
            "NOT_IMPLEMENTED: .*register its versions under",
        ),
        (lambda client: client.delete_registered_model(NAME), "NOT_IMPLEMENTED: .*archive its versions"),
        (lambda client: client.delete_model_version(NAME, "1"), "NOT_IMPLEMENTED: .*transition it to stage Archived"),
        (lambda client: client.get_registered_model("trees"), "RESOURCE_DOES_NOT_EXIST: .*there is flowers"),
        (
            lambda client: client.get_model_version(NAME, "7"),
            "RESOURCE_DOES_NOT_EXIST: 'flowers' has no version '7'; it",
        ),
        (lambda client: client.create_registered_model(NAME), "RESOURCE_ALREADY_EXISTS: there is a model 'flowers'"),
        (
            lambda client: client.create_registered_model("a b"),
            "INVALID_PARAMETER_VALUE: .*letters, digits, '_' and '-'",
        ),
        (lambda client: client.create_model_version("a.b", "s"), "INVALID_PARAMETER_VALUE: .*letters, digits"),
        (
            lambda client: client.create_model_version("trees", "s"),
            "RESOURCE_DOES_NOT_EXIST: there is no model 'trees'",
        ),
        (lambda client: client.set_registered_model_alias(NAME, "v7", "1"), "INVALID_PARAMETER_VALUE|Invalid alias"),
        (lambda client: client.list_webhooks(), "ENDPOINT_NOT_FOUND"),
    ]
    for question, words in refused:
        with pytest.raises(MlflowException, match=words):
            await stage.ask(question)
    assert list(stage.http.registry.fold.streams) == [NAME]
    assert stage.http.registry.state(NAME).sequence == 2


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (f"hotswap:sha256:{'0' * 64}", "put it there first"),
        ("hotswap:sha256:0", "64 lower-case hex digits"),
        ("models:/trees/1", "there is no model 'trees'; there is flowers"),
        ("models:/flowers/9", "has no version '9'; it has none yet"),
        ("models:/flowers@blue", "has no alias 'blue'; it has none yet"),
        ("models:/m-0123456789abcdef", "cannot be read here"),
        ("s3://bucket/model", "cannot be read here"),
        ("/etc", "cannot be read here"),
        ("", "cannot be read here"),
        ("x" * 4_097, "length <= 4096"),
    ],
)
async def test_a_source_that_cannot_be_taken_registers_nothing(stage: MlflowStage, source: str, words: str) -> None:
    answer = await post(stage, "model-versions/create", {"name": NAME, "source": source})
    assert_error(answer, 400, "INVALID_PARAMETER_VALUE", words)
    assert not stage.http.registry.state(NAME).versions


async def test_requests_that_cannot_be_read_change_nothing(stage: MlflowStage) -> None:
    create = "registered-models/create"
    assert_error(await post(stage, create, b"{"), 400, "MALFORMED_REQUEST", "cannot be read as JSON")
    assert_error(await post(stage, create, []), 400, "INVALID_PARAMETER_VALUE", "object")
    assert_error(await post(stage, create, {}), 400, "INVALID_PARAMETER_VALUE", "name")
    assert_error(await post(stage, create, {"name": 3}), 400, "INVALID_PARAMETER_VALUE", "str")
    assert_error(await post(stage, create, {"name": "trees", "tags": [{"key": "a"}]}), 400, "INVALID_PARAMETER_VALUE")
    many = [{"key": f"t{number}", "value": ""} for number in range(65)]
    assert_error(await post(stage, create, {"name": "trees", "tags": many}), 400, "INVALID_PARAMETER_VALUE", "64")
    assert_error(await post(stage, create, b""), 400, "INVALID_PARAMETER_VALUE", "needs a body")
    text = {"content-type": "text/plain"}
    assert_error(await post(stage, create, b"{}", **text), 400, "INVALID_PARAMETER_VALUE", "application/json is needed")
    large = {"name": "trees", "description": "x" * 2_000_000}
    assert_error(await post(stage, create, large), 413, "INVALID_PARAMETER_VALUE", "1048576 bytes")
    assert_error(await stage.http.client.get(f"{BASE}/runs/get"), 404, "ENDPOINT_NOT_FOUND", "/schema lists")
    assert_error(await stage.http.client.put(f"{BASE}/{create}"), 405, "ENDPOINT_NOT_FOUND")
    assert_error(await stage.http.client.get("/api/3.0/mlflow/server-info"), 404, "ENDPOINT_NOT_FOUND")
    query = {"name": NAME, "max_results": "0"}
    owner = {"X-API-Key": KEYS["ada"]}
    answer = await stage.http.client.get(f"{BASE}/registered-models/search", params=query, headers=owner)
    assert_error(answer, 400, "INVALID_PARAMETER_VALUE", "max_results")
    elsewhere = {"Origin": "https://elsewhere.example"}
    assert_error(await post(stage, create, {"name": "trees"}, **elsewhere), 403, "PERMISSION_DENIED")
    assert list(stage.http.registry.fold.streams) == [NAME]


async def test_unknown_fields_are_passed_over_and_another_release_is_read(stage: MlflowStage) -> None:
    answer = await post(stage, "registered-models/create", {"name": "trees", "deployment_job_id": "x", "newer": {}})
    assert answer.status_code == 200
    assert answer.json()["registered_model"]["name"] == "trees"
