"""Uploads over HTTP, whole and in pieces: what is kept, and where a piece may go."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hotswap_stream import bootstrap
from hotswap_stream.client import AsyncRegistryClient, RefusedError, RegistryClient
from hotswap_stream.settings import Settings
from tests.support.problems import assert_problem
from tests.support.samples import graphs
from tests.support.samples.artifacts import linear_artifact
from tests.support.stages.http import MODEL
from tests.support.stages.uploads import (
    OCTETS,
    UPLOADS,
    UploadStage,
    digest_of,
    open_upload_stage,
)

WEIGHTS = np.ones((4, 2), "<f4").tobytes()


async def test_a_graph_is_tried_and_kept_and_its_digest_registers_it(stage: UploadStage) -> None:
    content = graphs.linear()
    answer = await stage.whole(content, digest=digest_of(content), label=["no", "yes"])
    assert answer.status_code == 201, answer.text
    kept = answer.json()
    assert (kept["kind"], kept["warnings"]) == ("onnx", [])
    assert kept["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert kept["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}]
    assert kept["trial"]["executor"] == "onnxruntime"
    assert kept["trial"]["opsets"] == {"": 17}
    artifact = await stage.http.artifacts.fetch(kept["artifact_digest"])
    assert (artifact.size_bytes, artifact.manifest.labels) == (kept["size_bytes"], ("no", "yes"))
    again = await stage.whole(content, label=["no", "yes"])
    assert again.json()["artifact_digest"] == kept["artifact_digest"]
    registered = await stage.http.accepted("versions", {"artifact_digest": kept["artifact_digest"]})
    assert registered["version"]["artifact"]["size_bytes"] == kept["size_bytes"]


async def test_an_artifact_is_kept_as_it_is(stage: UploadStage) -> None:
    content = linear_artifact()
    kept = (await stage.whole(content)).json()
    assert kept["artifact_digest"] == digest_of(content)
    assert (kept["kind"], kept["trial"], kept["size_bytes"]) == ("architecture", None, len(content))
    upload_id = await stage.uploaded(content)
    assert (await stage.from_uploads(file=upload_id)).json() == kept


async def test_a_validation_set_is_kept_and_chosen_by_its_digest(stage: UploadStage, tmp_path: Path) -> None:
    file = tmp_path / "set.npz"
    np.savez(file, x=np.ones((3, 4), np.float32), labels=np.array([0, 1, 1]))
    content = bootstrap.packed_set(Settings(home=tmp_path), file)
    kept = (await stage.whole(content)).json()
    assert (kept["artifact_digest"], kept["kind"], kept["trial"]) == (digest_of(content), "dataset", None)
    await stage.http.registered()
    body = {"artifact_digest": kept["artifact_digest"]}
    chosen = await stage.http.client.put(f"/api/models/{MODEL}/validation-set", json=body)
    assert chosen.status_code == 200, chosen.text
    assert_problem(await stage.whole(content, label="a"), 422, "not-an-artifact")
    wrong = content.replace(b'\\"rows\\":3', b'\\"rows\\":0')
    assert wrong != content
    assert_problem(await stage.whole(wrong), 422, "not-an-artifact")


async def test_a_bundle_that_was_made_before_is_tried(stage: UploadStage) -> None:
    made = (await stage.whole(graphs.linear())).json()
    bundle = (await stage.http.artifacts.fetch(made["artifact_digest"])).content
    kept = (await stage.whole(bundle)).json()
    assert kept["artifact_digest"] == made["artifact_digest"]
    assert kept["trial"]["executor"] == "onnxruntime"


async def test_a_body_of_unknown_length_is_taken(stage: UploadStage) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in linear_artifact():
            yield bytes([byte])

    assert (await stage.whole(chunks())).json()["artifact_digest"] == digest_of(linear_artifact())


async def test_pieces_become_an_artifact_and_are_gone(stage: UploadStage) -> None:
    graph = graphs.with_weights_beside("weights.bin")
    file, weights = await stage.begun(graph), await stage.uploaded(WEIGHTS)
    for start in range(0, len(graph), 40):
        answer = (await stage.piece(file, start, graph[start : start + 40])).json()
        assert answer["received_bytes"] == min(len(graph), start + 40)
        assert answer == (await stage.http.get(f"{UPLOADS}/{file}")).json()
    answer = await stage.from_uploads(file=file, beside={"weights.bin": weights}, labels=["a", "b"])
    assert answer.status_code == 201, answer.text
    assert answer.json()["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}]
    assert stage.files() == []
    assert_problem(await stage.http.get(f"{UPLOADS}/{file}"), 404, "unknown-upload")


async def test_an_upload_is_given_up(stage: UploadStage) -> None:
    upload_id = await stage.begun(b"abc")
    path = f"{UPLOADS}/{upload_id}"
    assert (await stage.http.client.delete(path)).status_code == 204
    assert_problem(await stage.http.client.delete(path), 404, "unknown-upload")
    assert_problem(await stage.piece(upload_id, 0, b"a"), 404, "unknown-upload")


async def test_a_piece_begins_where_the_upload_ends(stage: UploadStage) -> None:
    upload_id = await stage.begun(b"abcdef")
    assert (await stage.piece(upload_id, 0, b"abc")).status_code == 200
    for lie in (0, 2, 4, 6, 2**62):
        problem = assert_problem(await stage.piece(upload_id, lie, b"def"), 409, "wrong-offset")
        assert problem["received_bytes"] == 3
        assert "go on at 3" in problem["detail"]
    for wrong in ("-1", "three", "", "0x3", str(2**70)):
        assert_problem(await stage.piece(upload_id, wrong, b"def"), 422, "invalid-request")
    without = await stage.http.client.patch(f"{UPLOADS}/{upload_id}", content=b"def", headers=OCTETS)
    assert_problem(without, 422, "invalid-request")
    problem = assert_problem(await stage.from_uploads(file=upload_id), 409, "upload-incomplete")
    assert problem["received_bytes"] == 3
    await stage.http.client.delete(f"{UPLOADS}/{upload_id}")


async def test_nothing_stays_of_a_piece_that_goes_too_far(stage: UploadStage) -> None:
    async def too_much() -> AsyncIterator[bytes]:
        yield b"def"
        yield b"g"

    upload_id = await stage.begun(b"abcdef")
    await stage.piece(upload_id, 0, b"abc")
    for piece in (b"defg", too_much()):
        assert_problem(await stage.piece(upload_id, 3, piece), 413, "artifact-too-large")
        assert (await stage.http.get(f"{UPLOADS}/{upload_id}")).json()["received_bytes"] == 3
    await stage.http.client.delete(f"{UPLOADS}/{upload_id}")


async def test_a_server_that_takes_no_uploads_says_so(tmp_path: Path) -> None:
    async with open_upload_stage(tmp_path, uploads=None) as stage:
        for answer in (await stage.whole(linear_artifact()), await stage.begin(b"abc")):
            assert_problem(answer, 503, "not-ready")


async def test_the_clients_upload_and_register(stage: UploadStage, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(graphs.with_weights_beside("w"))
    told: list[tuple[int, int]] = []

    def blocking() -> dict[str, Any]:
        with RegistryClient(stage.url) as client:
            return client.upload(path, beside={"w": WEIGHTS}, progress=lambda *each: told.append(each))

    first = await asyncio.to_thread(blocking)
    size_bytes = path.stat().st_size + len(WEIGHTS)
    assert told[-1] == (size_bytes, size_bytes)
    async with AsyncRegistryClient(stage.url) as client:
        second = await client.upload(path, beside={"w": WEIGHTS}, progress=lambda *each: told.append(each))
        assert second["artifact_digest"] == first["artifact_digest"]
        assert (await client.register("mine", first["artifact_digest"]))["model_version"] == "v1"
        with pytest.raises(RefusedError, match="not-servable"):
            await client.upload(path)
        with pytest.raises(RefusedError, match="not-an-artifact"):
            await client.upload(path, beside={"../w": WEIGHTS})
