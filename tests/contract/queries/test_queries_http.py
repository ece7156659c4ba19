"""What all queries have in common: what has not changed is not sent again, and one reads what one wrote, anywhere."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hotswap_stream.api.app import openapi_document
from hotswap_stream.api.protocol.document import WITH_ETAG
from hotswap_stream.api.queries import own_writes
from tests.support.stages.http import MODEL, HttpStage, NewLog, open_http_stage


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
