"""What all queries have in common: what has not changed is not sent again, and one reads what one wrote, anywhere."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hotswap_stream.api.app import openapi_document
from hotswap_stream.api.protocol.document import WITH_ETAG
from hotswap_stream.api.queries import own_writes
from tests.support.stages.http import MODEL, HttpStage, NewLog, open_http_stage

STREAMS = ("/api/events/stream", "/api/live")
"""They do not end."""


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path) as stage:
        yield stage


async def test_what_the_client_has_is_not_sent_again(stage: HttpStage) -> None:
    await stage.promoted()
    paths = {
        operation["get"]["operationId"]: path.replace("{model_name}", MODEL)
        for path, operation in openapi_document()["paths"].items()
        if "get" in operation
    }
    for operation_id in WITH_ETAG:
        answer = await stage.get(paths[operation_id])
        etag = answer.headers["etag"]
        for known in (etag, f'"no", {etag}', f"W/{etag}", "*"):
            again = await stage.client.get(paths[operation_id], headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag), operation_id
        other = await stage.client.get(paths[operation_id], headers={b"If-None-Match": b'"no", garbage,,\xff'})
        assert (other.status_code, other.json()) == (200, answer.json())
        head = await stage.client.head(paths[operation_id], headers={"If-None-Match": etag})
        assert head.status_code == 304
    changed = await stage.accepted("disable")
    fresh = await stage.client.get(f"/api/models/{MODEL}", headers={"If-None-Match": etag})
    assert (fresh.status_code, fresh.json()["sequence"]) == (200, changed["sequence"])
    missing = await stage.client.get("/api/models/nobody", headers={"If-None-Match": "*"})
    assert missing.status_code == 404


async def test_a_parameter_that_a_route_does_not_know_is_refused(stage: HttpStage) -> None:
    """`?as_of=7` was answered with the present."""
    await stage.promoted()
    answer = await stage.get("/api/models", as_of=0)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "unknown-parameter")
    assert problem["detail"] == "there is no parameter 'as_of' here; did you mean 'as_of_time' or 'as_of_offset'?"
    assert {"as_of_offset", "as_of_time", "after"} <= set(problem["legal"])
    assert problem["errors"][0] | {"message": ""} == {"message": "", "key": "as_of", "source": "query"}
    assert (await stage.get("/api/models", as_of_offset=0)).status_code == 200
    # None of the framework's own, none in a path, and none that only another method knows.
    for path, name in (
        ("/api/models", "model_name"),
        (f"/api/models/{MODEL}", "model_name"),
        ("/api/session", "x" * 999),
    ):
        refused = await stage.client.get(path, params={name: "1"})
        assert refused.json()["code"] == "unknown-parameter", path
        assert len(refused.content) < 2_000
    by_post = await stage.client.post("/api/models/m/disable?after=1", json={})
    assert by_post.json()["detail"].endswith("it takes none")


async def test_every_route_refuses_unknown_parameters_but_those_of_other_protocols(stage: HttpStage) -> None:
    await stage.promoted()
    asked = []
    for path, item in openapi_document()["paths"].items():
        for method in ("get", "put", "post", "delete", "patch"):
            if method in item and path.startswith("/api/") and not path.startswith("/api/2.0/"):
                named = path.replace("{model_name}", MODEL).replace("{request_partition}", "0")
                named = re.sub(r"\{request_offset\}", "0", named)
                answer = await stage.client.request(method, re.sub(r"\{\w+\}", "v1", named) + "?beside=1&and=2")
                assert (answer.status_code, answer.json()["code"]) == (422, "unknown-parameter"), (method, path)
                assert "'beside' here (and 1 more)" in answer.json()["detail"]
                assert "422" in item[method]["responses"]
                asked.append(path)
    assert len(asked) > 100
    others = ("/v2", "/v2/models/digits", "/api/2.0/mlflow/registered-models/search", "/metrics", "/livez")
    for path in others:
        assert (await stage.client.get(path, params={"beside": "1"})).status_code == 200, path


async def test_null_is_no_value_of_a_parameter_that_takes_no_text(stage: HttpStage) -> None:
    """`?as_of_offset=null` was answered with the present."""
    await stage.promoted()
    asked, texts = set[str](), set[str]()
    for path, item in openapi_document()["paths"].items():
        for method in {"get"} & item.keys():
            operation = item[method]
            named = path.replace("{model_name}", MODEL).replace("{request_partition}", "0")
            named = re.sub(r"\{\w+\}", "v1", named.replace("{request_offset}", "0"))
            for parameter in operation.get("parameters", ()) if path.startswith("/api/") else ():
                if parameter.get("in") != "query" or path in STREAMS:
                    continue
                name, schema = parameter["name"], parameter["schema"]
                kinds = {str(each.get("type")) for each in schema.get("oneOf", [schema])}
                plain = any("string" in kind for kind in kinds) and not {"format", "enum"} & schema.keys()
                answer = await stage.client.request(method, named, params={name: "null"})
                if plain:
                    assert "is no value" not in answer.text, (method, path, name)
                else:
                    of_mlflow = path.startswith("/api/2.0/")
                    assert answer.status_code == (400 if of_mlflow else 422), (method, path, name)
                    assert of_mlflow or name in answer.text or "null" in answer.text
                (texts if plain else asked).add(name)
    assert {"as_of_offset", "as_of_time", "before_sequence", "limit"} <= asked
    assert texts


async def test_one_reads_what_one_wrote_from_another_server(
    new_log: NewLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        open_http_stage(new_log(), tmp_path / "one") as stage,
        open_http_stage(new_log(), tmp_path / "other") as other,
    ):
        await stage.promoted()
        for number in range(10):
            step = "disable" if number % 2 == 0 else "enable"
            written = await stage.accepted(step)
            read = await other.get(f"/api/models/{MODEL}", after=written["offset"])
            assert (read.status_code, read.json()["sequence"]) == (200, written["sequence"])
        assert (await other.get("/api/models", after=0)).json() == (await stage.get("/api/models")).json()
        wrong = [await other.get("/api/models", after=text) for text in ("x", "-1", "1.5", 10**18, 10**30)]
        assert {answer.status_code for answer in wrong} == {422}
        monkeypatch.setattr(own_writes, "WAITING_MAX", 0)
        late = await other.get("/api/models", after=10**18)
        assert (late.status_code, late.json()["code"]) == (503, "not-read-yet")
        assert late.headers["retry-after"]
