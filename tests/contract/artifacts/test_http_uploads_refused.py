"""What is no model, or not what was announced, is refused over HTTP, and nothing of it is left."""

import gzip
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hotswap_stream.client import AsyncRegistryClient
from tests.support.problems import assert_problem
from tests.support.samples import graphs
from tests.support.samples.artifacts import linear_artifact
from tests.support.stages.uploads import (
    FROM_UPLOADS,
    OCTETS,
    UPLOADS,
    UploadStage,
    digest_of,
    open_upload_stage,
)

WEIGHTS = np.ones((4, 2), "<f4").tobytes()


BAD: dict[str, tuple[bytes, str, str]] = {
    "pickle": (pickle.dumps({"a": 1}), "not-an-artifact", "pickle"),
    "old pickle": (b"cos\nsystem\n(S'true'\ntR.", "not-an-artifact", "pickle"),
    "gzip": (gzip.compress(graphs.linear()), "not-an-artifact", "gzip"),
    "zip": (b"PK\x03\x04" + b"\0" * 60, "not-an-artifact", "zip"),
    "text": (b"{}", "not-an-artifact", "text"),
    "a graph cut off": (graphs.linear()[:-20], "not-servable", ""),
    "an artifact cut off": (linear_artifact()[:-4], "not-an-artifact", ""),
    "no manifest": (linear_artifact().replace(b"hotswap.manifest", b"hotswap.manifesT"), "not-an-artifact", "manifest"),
    "noise": (bytes(range(1, 200)), "not-servable", ""),
    "an unknown operator": (graphs.with_operator("Nothing"), "not-servable", "Nothing"),
    "weights that are not there": (graphs.with_weights_beside("weights.bin"), "not-servable", "weights.bin"),
}


@pytest.mark.parametrize(("content", "code", "said"), BAD.values(), ids=BAD)
async def test_what_is_no_model_is_refused_either_way(stage: UploadStage, content: bytes, code: str, said: str) -> None:
    before = await stage.http.artifacts.list()
    if code == "not-an-artifact":  # no trial, which takes seconds and is the same either way
        assert said in assert_problem(await stage.whole(content), 422, code)["detail"]
    upload_id = await stage.uploaded(content)
    assert said in assert_problem(await stage.from_uploads(file=upload_id), 422, code)["detail"]
    assert_problem(await stage.from_uploads(file=upload_id), 404, "unknown-upload")
    assert await stage.http.artifacts.list() == before


async def test_an_empty_file_is_refused(stage: UploadStage) -> None:
    assert_problem(await stage.whole(b""), 422, "body-missing")

    async def nothing() -> AsyncIterator[bytes]:
        for _ in range(0):
            yield b""

    assert "empty" in assert_problem(await stage.whole(nothing()), 422, "not-an-artifact")["detail"]
    assert "size_bytes" in assert_problem(await stage.begin(b""), 422, "invalid-request")["detail"]


async def test_other_bytes_than_the_digest_names_are_refused(stage: UploadStage) -> None:
    content = linear_artifact()
    problem = assert_problem(await stage.whole(content, digest=digest_of(b"other")), 422, "digest-mismatch")
    assert digest_of(content) in problem["detail"]
    upload_id = (await stage.begin(content, digest=digest_of(b"other"))).json()["upload_id"]
    assert (await stage.piece(upload_id, 0, content)).status_code == 200
    assert_problem(await stage.from_uploads(file=upload_id), 422, "digest-mismatch")
    for wrong in ("", "sha256:", "sha256:" + "A" * 64, "md5:" + "0" * 32, "../../etc/passwd"):
        assert_problem(await stage.whole(content, digest=wrong), 422, "invalid-request")
        assert (await stage.begin(content, digest=wrong)).status_code in (400, 422)


NAMES = (
    "../weights", "/etc/passwd", "a/../../b", "..", ".", "", ".hidden", "a//b", "a\\b", "a\0b", "C:\\x", "x" * 200,
    "a/b/c/d/e/f/g/h/i", "model.onnx", "naïve",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_beside_that_leads_away_is_refused(stage: UploadStage, name: str) -> None:
    file, weights = await stage.uploaded(graphs.with_weights_beside("weights.bin")), await stage.uploaded(WEIGHTS)
    assert_problem(await stage.from_uploads(file=file, beside={name: weights}), 422, "not-an-artifact")


async def test_what_stands_twice_is_refused(stage: UploadStage) -> None:
    file = await stage.uploaded(graphs.with_weights_beside("w"))
    assert_problem(await stage.from_uploads(file=file, beside={"w": file}), 422, "invalid-value")
    body = f'{{"file": "{file}", "beside": {{"w": "{"1" * 32}", "w": "{"2" * 32}"}}}}'
    answer = await stage.http.client.post(FROM_UPLOADS, content=body, headers={"content-type": "application/json"})
    assert "'w' stands twice" in assert_problem(answer, 422, "invalid-value")["detail"]
    assert_problem(await stage.whole(b"x", warm_up=["x=1", "x=2"]), 422, "invalid-value")
    await stage.http.client.delete(f"{UPLOADS}/{file}")


async def test_nothing_goes_with_an_artifact_that_has_a_manifest(stage: UploadStage) -> None:
    assert_problem(await stage.whole(linear_artifact(), label="a"), 422, "not-an-artifact")
    file, other = await stage.uploaded(linear_artifact()), await stage.uploaded(b"more")
    assert_problem(await stage.from_uploads(file=file, beside={"more": other}), 422, "not-an-artifact")


@pytest.mark.parametrize(
    "query",
    [{"warm_up": "x"}, {"warm_up": "x=1xx"}, {"warm_up": "x=-1"}, {"batching": "maybe"}, {"allow_non_finite": "2"}],
)
async def test_options_that_do_not_fit_are_refused(stage: UploadStage, query: dict[str, Any]) -> None:
    assert (await stage.whole(graphs.linear(), **query)).status_code == 422


OTHER_TYPES: tuple[dict[str, str], ...] = (
    {},
    {"content-type": "application/json"},
    {"content-type": "multipart/form-data; boundary=x"},
    {"content-type": "text/plain"},
    {**OCTETS, "content-encoding": "gzip"},
)


@pytest.mark.parametrize("headers", OTHER_TYPES)
async def test_bytes_are_sent_as_bytes(stage: UploadStage, headers: dict[str, str]) -> None:
    assert_problem(await stage.whole(linear_artifact(), headers), 415, "wrong-content-type")
    upload_id = await stage.begun(b"abc")
    assert_problem(await stage.piece(upload_id, 0, b"abc", headers), 415, "wrong-content-type")
    assert_problem(await stage.piece(upload_id, 0, b""), 422, "body-missing")
    assert (await stage.http.client.delete(f"{UPLOADS}/{upload_id}")).status_code == 204


async def test_a_key_is_needed_where_there_are_keys(tmp_path: Path) -> None:
    async with open_upload_stage(tmp_path, api_keys={"ci": "key-of-ci"}) as stage:
        for answer in (
            await stage.whole(linear_artifact()),
            await stage.begin(b"abc"),
            await stage.piece("0" * 32, 0, b"abc"),
            await stage.http.client.delete(f"{UPLOADS}/{'0' * 32}"),
            await stage.from_uploads(file="0" * 32),
        ):
            assert_problem(answer, 401, "unauthorized")
        async with AsyncRegistryClient(stage.url, "key-of-ci") as client:
            assert (await client.upload(linear_artifact()))["artifact_digest"] == digest_of(linear_artifact())
