"""Asking models through the HTTP gateway, with tritonclient and with the clients of the API."""

import asyncio
import json
import struct
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
import tritonclient.http as triton

from hotswap_stream.client import (
    AsyncRegistryClient,
    RefusedError,
    RegistryClient,
)
from tests.support.problems import assert_problem
from tests.support.stages.asking import INPUT, ROWS, UNSERVED, Served, open_served, running_api
from tests.support.stages.serving import MODEL, open_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with open_served(kafka, tmp_path_factory.mktemp("asking")) as served:
        yield served


async def test_json_through_the_gateway(served: Served) -> None:
    answer = await served.infer()
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    content = answer.json()
    assert content["outputs"] == [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 1.0]}]
    assert (content["id"], content["model_name"], content["model_version"]) == ("r", MODEL, "v1")
    assert content["parameters"]["worker"] == "w1"
    named = await served.http.post(f"/v2/models/{MODEL}/versions/v1/infer", json={"inputs": [INPUT]})
    assert named.json()["model_version"] == "v1"


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        (f"{MODEL}/infer", {"inputs": [INPUT]}, 200),
        (f"{MODEL}/versions/v1/infer", {"inputs": [INPUT], "parameters": {"binary_data_output": True}}, 200),
        (f"{MODEL}/infer", {"inputs": []}, 400),
        ("nobody/infer", {"inputs": [INPUT]}, 404),
        (f"{UNSERVED}/infer", {"inputs": [INPUT]}, 503),
        (f"{MODEL}/infer", {"inputs": [INPUT | {"data": [1.0] * 50_000}]}, 413),
    ],
)
async def test_a_path_that_only_the_framework_understands_is_answered_alike(
    served: Served, path: str, content: dict[str, Any], status: int
) -> None:
    direct, routed = [await served.http.post(f"/v2/models/{path}{end}", json=content) for end in ("", "/")]
    assert (direct.status_code, routed.status_code) == (status, status), (direct.text, routed.text)
    for name in ("content-type", "retry-after"):
        assert routed.headers.get(name) == direct.headers.get(name)
    length = "inference-header-content-length"
    assert (length in routed.headers) == (length in direct.headers) == ("parameters" in content)
    if status == 200:  # each answer has facts of its own
        assert routed.content.startswith(f'{{"model_name":"{MODEL}"'.encode())
    else:
        assert routed.content == direct.content


async def test_an_id_may_repeat_over_http_unless_the_caller_says_no(served: Served) -> None:
    path, body = f"/v2/models/{MODEL}/infer", {"id": uuid.uuid4().hex, "inputs": [INPUT]}
    assert [(await served.http.post(path, json=body)).status_code for _ in range(5)] == [200] * 5
    once = {"id": uuid.uuid4().hex, "inputs": [INPUT]}
    headers = {"hotswap-repeated-id": "refused"}
    first, again = [await served.http.post(path, json=once, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (200, 409)
    assert once["id"] in again.json()["error"]


async def test_an_answer_leads_to_the_event_that_chose_it(served: Served) -> None:
    """By the id of the request and by its place; what is not found says where it was looked for."""
    request_id = uuid.uuid4().hex
    answer = await served.http.post(f"/v2/models/{MODEL}/infer", json={"id": request_id, "inputs": [INPUT]})
    facts = answer.json()["parameters"]
    by_id = await served.http.get(f"/api/answers/{request_id}", params={"model_name": MODEL})
    assert by_id.status_code == 200, by_id.text
    found = by_id.json()
    assert found["request_id"] == request_id
    assert (found["model_version"], found["because"], found["follows_the_log"]) == ("v1", "in-production", True)
    assert found["artifact_digest"] == found["registered_digest"] == facts["artifact_digest"]
    event = (await served.http.get("/api/events", params={"from_offset": facts["registry_offset"], "limit": 1})).json()
    assert found["chosen_by"]["offset"] == facts["registry_offset"]
    assert found["chosen_by"]["actor"] == event["events"][0]["event"]["actor"] == "test"
    place = f"{facts['request_partition']}/{facts['request_offset']}"
    assert (await served.http.get(f"/api/models/{MODEL}/answers/{place}")).json() == found
    assert (await served.http.get(f"/api/answers/{request_id}")).json() == found
    for path, code, says in (
        ("/api/answers/never-asked", "unknown-answer", f"the newest of {MODEL}, {UNSERVED}"),
        (f"/api/models/{MODEL}/answers/0/999999", "unknown-answer", "offset 999999 of partition 0"),
        (f"/api/models/{MODEL}/answers/77/0", "unknown-answer", "partition 77"),
        ("/api/models/nobody/answers/0/0", "unknown-model", "nobody"),
    ):
        problem = assert_problem(await served.http.get(path), 404, code)
        assert says in problem["detail"]
    assert (await served.http.get(f"/api/models/{MODEL}/answers/-1/0")).status_code in (404, 422)


async def test_raw_tensors_through_the_gateway(served: Served) -> None:
    tensor = INPUT | {"parameters": {"binary_data_size": 16}}
    del tensor["data"]
    for wished, binary in (({"binary_data_output": True}, True), ({}, False)):
        text = json.dumps({"inputs": [tensor], "parameters": wished}).encode()
        answer = await served.http.post(
            f"/v2/models/{MODEL}/infer",
            content=text + struct.pack("<4f", 1, 2, 3, 4),
            headers={"Inference-Header-Content-Length": str(len(text))},
        )
        assert answer.status_code == 200, answer.text
        if binary:
            length = int(answer.headers["Inference-Header-Content-Length"])
            assert json.loads(answer.content[:length])["outputs"][0]["parameters"] == {"binary_data_size": 8}
            assert struct.unpack("<2f", answer.content[length:]) == (1.0, 1.0)
        else:
            assert answer.json()["outputs"][0]["data"] == [1.0, 1.0]


@pytest.mark.parametrize("binary", [True, False])
async def test_tritonclient_gets_right_predictions(served: Served, binary: bool) -> None:
    def ask() -> None:
        client = triton.InferenceServerClient(served.url.removeprefix("http://"))
        try:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready(MODEL)
            assert client.is_model_ready(MODEL, "v1")
            assert not client.is_model_ready(MODEL, "v9")
            assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
            metadata = client.get_model_metadata(MODEL)
            assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
            assert metadata["versions"] == ["v1"]
            index = {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}
            assert index == {MODEL: "READY", UNSERVED: "UNAVAILABLE"}
            tensor = triton.InferInput("x", [3, 4], "FP32")
            tensor.set_data_from_numpy(ROWS, binary_data=binary)
            wanted = triton.InferRequestedOutput("y", binary_data=binary)
            for outputs in ([wanted], None):
                answer = client.infer(MODEL, [tensor], outputs=outputs, request_id="t")
                assert answer.as_numpy("y").tolist() == [[1.0, 1.0]] * 3
                assert answer.get_response()["model_version"] == "v1"
            with pytest.raises(triton.InferenceServerException, match=MODEL):
                client.infer("nobody", [tensor])
        finally:
            client.close()

    await asyncio.to_thread(ask)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": [1.0]}, "4 values"),
        ({"shape": [1, 5], "data": [1.0] * 5}, "the model takes [-1, 4]"),
        ({"shape": [0, 4], "data": []}, "rows"),
        ({"datatype": "INT32"}, "the model takes FP32"),
        ({"datatype": "BYTES"}, "BYTES"),
        ({"name": "z"}, "inputs are ['z']"),
        ({"data": [1.0, None, 3.0, 4.0]}, "cannot be read|not numbers"),
        ({"data": "abcd"}, "array"),
    ],
)
async def test_a_wrong_tensor_is_refused_in_the_protocols_form(
    served: Served, changes: dict[str, Any], words: str
) -> None:
    answer = await served.infer(**changes)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]
    assert any(word in answer.json()["error"] for word in words.split("|")), answer.text


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "words"),
    [
        (f"models/{MODEL}/infer", b"{", {}, 400, "not an inference request"),
        (f"models/{MODEL}/infer", b"", {}, 400, "not an inference request"),
        (f"models/{MODEL}/infer", b'{"inputs": []}', {}, 400, "inputs"),
        (f"models/{MODEL}/infer", b"[" * 50_000, {}, 400, "not an inference request"),
        (f"models/{MODEL}/infer", b"{}", {"content-type": "text/csv"}, 415, "text/csv"),
        (f"models/{MODEL}/infer", b"{}", {"content-encoding": "gzip"}, 415, "gzip"),
        (f"models/{MODEL}/infer", b"x" * 100_001, {}, 413, "100000"),
        (f"models/{MODEL}/infer", b"{}", {"Inference-Header-Content-Length": "3"}, 400, "only 2 bytes"),
        ("models/nobody/infer", b"{}", {}, 404, MODEL),
        (f"models/{MODEL}/versions/v9/infer", b"{}", {}, 404, "v1"),
        (f"models/{UNSERVED}/versions/v9/infer", b"{}", {}, 404, "v1"),
        (f"models/{UNSERVED}/infer", b"{}", {}, 503, "no active version"),
        ("nothing/here", b"{}", {}, 404, "nothing is at"),
    ],
)
async def test_a_wrong_request_is_refused_in_the_protocols_form(
    served: Served, path: str, content: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = await served.http.post(f"/v2/{path}", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]
    assert ("Retry-After" in answer.headers) == (status == 503)


async def test_metadata_of_what_cannot_be_asked(served: Served) -> None:
    for path, status in (("nobody", 404), (f"{UNSERVED}/ready", 503), (f"{MODEL}/versions/v9", 404)):
        answer = await served.http.get(f"/v2/models/{path}")
        assert (answer.status_code, list(answer.json())) == (status, ["error"])
    other = await served.http.get(f"/v2/models/{MODEL}/versions/v2")
    assert (other.status_code, other.json()["versions"]) == (200, ["v2"])
    ready = await served.http.post("/v2/repository/index", json={"ready": True})
    assert ready.json() == [{"name": MODEL, "version": "v1", "state": "READY", "reason": ""}]


async def test_predict_takes_nested_lists(served: Served) -> None:
    row = [1.0, 2.0, 3.0, 4.0]
    for data, rows in ((row, 1), ([row, row], 2)):
        answer = await served.http.post("/api/predict", json={"model_name": MODEL, "data": data})
        assert answer.status_code == 200, answer.text
        content = answer.json()
        assert content["predictions"] == [{"label": 0, "scores": [1.0, 1.0]}] * rows
        assert content["model_version"] == "v1"
    for body, status, words in (
        ({"data": row}, 400, "2 models"),
        ({"model_name": "nobody", "data": row}, 404, "nobody"),
        ({"model_name": UNSERVED, "data": row}, 503, "no active version"),
        ({"model_name": MODEL, "data": [row, [1.0]]}, 400, "regular shape"),
        ({"model_name": MODEL, "data": [1.0]}, 400, "the model takes"),
        ({"model_name": MODEL, "data": []}, 400, "the model takes"),
        ({"model_name": MODEL}, 422, "data"),
    ):
        answer = await served.http.post("/api/predict", json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
        assert words in answer.json()["detail"]


async def test_the_gateway_times_out_and_has_a_limit(served: Served, tmp_path: Any) -> None:
    """An API of its own: no worker serves its one model, and it takes one request at a time."""
    settings = msgspec.structs.replace(
        served.stage.settings,
        topic_prefix=f"asking-{uuid.uuid4().hex[:12]}",
        api_infer_timeout_ms=1_000,
        api_infer_in_flight_max=1,
    )
    async with open_stage(settings) as stage, running_api(settings) as url:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            await http.get("/api/health/ready")
            body = {"inputs": [INPUT]}
            both = [http.post(f"/v2/models/{MODEL}/infer", json=body) for _ in range(2)]
            late, busy = sorted(await asyncio.gather(*both), key=lambda answer: -answer.status_code)
            assert (late.status_code, busy.status_code) == (504, 503)
            assert busy.headers["Retry-After"] == "1"
            assert "no more are taken" in busy.json()["error"]
            again = await http.post("/api/predict", json={"data": INPUT["data"]})
            assert (again.status_code, again.json()["code"]) == (504, "inference-timeout")


async def test_the_registry_clients_ask_command_and_infer(served: Served) -> None:
    async with AsyncRegistryClient(served.url) as client:
        assert [model["model_name"] for model in (await client.models())["models"]] == [MODEL, UNSERVED]
        assert (await client.model(MODEL))["active_version"] == "v1"
        assert [version["model_version"] for version in (await client.versions(MODEL))["versions"]] == ["v2", "v1"]
        first = await client.switch(MODEL, "v2", reason="try", command_id="switch-once")
        await until_answered_by(client, "v2")
        again = await client.switch(MODEL, "v2", reason="try", command_id="switch-once")
        assert (first["status"], again["status"]) == ("accepted", "unchanged")
        assert (await client.events(last=1))["events"][0]["event"]["data"]["model_version"] == "v2"
        with pytest.raises(RefusedError) as refused:
            await client.archive(MODEL, "v2")
        assert (refused.value.status, refused.value.code) == (409, "illegal-step")
        assert refused.value.legal
        await client.rollback(MODEL, emergency=True)
        await until_answered_by(client, "v1")
        with pytest.raises(RefusedError, match="nobody"):
            await client.infer("nobody", {"x": ROWS})

    def blocking() -> Any:
        with RegistryClient(served.url) as client:
            with pytest.raises(RefusedError, match="v9"):
                client.promote(MODEL, "v9")
            assert client.reload(MODEL, "v1")["status"] == "unchanged"
            with pytest.raises(RefusedError, match="put it there first"):
                client.register(MODEL, f"sha256:{'0' * 64}")
            return client.infer(MODEL, {"x": ROWS.tolist()}, outputs=["y"], id="b")

    answer = await asyncio.to_thread(blocking)
    assert (answer.id, answer.model_version, answer.outputs["y"].tolist()) == ("b", "v1", [[1.0, 1.0]] * 3)


async def until_answered_by(client: AsyncRegistryClient, model_version: str) -> None:
    async with asyncio.timeout(60):
        while (await client.infer(MODEL, {"x": ROWS})).model_version != model_version:
            await asyncio.sleep(0.01)
