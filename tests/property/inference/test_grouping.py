"""Requests share a pass as they would be read one by one, whatever rows they have and however these are written."""

from functools import cache
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hotswap_events.inference.messages import InferRequest, InferTensor
from hotswap_stream.adapters.onnx.loading import OnnxLoadedModel
from hotswap_stream.adapters.onnx.session import OnnxGraphExecutor
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.workers.inference.batches.batches import RefusedRequest
from hotswap_stream.workers.inference.batches.grouping import group_requests
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request
from hotswap_stream.workers.inference.requests.tensors import ROWS_MAX, Array, WrongInputError, read_inputs
from tests.support.samples.graphs import linear

MANIFEST = ArtifactManifest(
    kind="onnx",
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),),
    warm_up={"x": (1, 4)},
)
SIZES = (1, 2, 4, 8)


@cache
def lease() -> Lease:
    executor = OnnxGraphExecutor(MANIFEST, {"model.onnx": memoryview(linear())})
    return Lease("v1", "sha256:" + "0" * 64, 0, OnnxLoadedModel(MANIFEST, executor, SIZES))


numbers = st.floats(width=32, allow_nan=True, allow_infinity=True) | st.integers(-3, 3).map(float)


@st.composite
def tensors(draw: st.DrawFn) -> InferTensor:
    rows = draw(st.integers(0, 5) | st.just(ROWS_MAX + 1))
    columns = draw(st.just(4) | st.integers(0, 5))
    values = draw(st.lists(numbers, min_size=4, max_size=4))
    array = np.resize(np.array(values, np.float32), (rows, columns))
    forms: dict[str, list[Any] | bytes] = {
        "bytes": array.tobytes(),
        "flat": array.ravel().tolist(),
        "nested": array.tolist(),
        "cut": array.tobytes()[:-1],
    }
    return InferTensor(
        name=draw(st.sampled_from(["x", "x", "x", "other"])),
        shape=draw(st.sampled_from([[rows, columns], [rows, columns], [rows], [], [1, rows, columns]])),
        datatype=draw(st.sampled_from(["FP32", "FP32", "FP32", "FP64"])),
        data=forms[draw(st.sampled_from([*forms]))],
    )


def request(number: int, inputs: list[InferTensor]) -> Request:
    return Request(RequestRecord("t", 0, number, 0, None, b"", []), InferRequest(inputs=inputs), True, None)


def read(inputs: list[InferTensor]) -> Array | str:
    try:
        return read_inputs(MANIFEST, inputs)["x"]
    except WrongInputError as error:
        return str(error)


@given(st.lists(st.lists(tensors(), min_size=1, max_size=2), max_size=8))
def test_rows_are_those_that_each_request_has(given_tensors: list[list[InferTensor]]) -> None:
    requests = [(number, request(number, inputs)) for number, inputs in enumerate(given_tensors)]
    refused: dict[int, RefusedRequest] = {}
    groups = group_requests(lease(), requests, refused)

    found: dict[int, Array] = {}
    for group in groups:
        array = group.inputs["x"]
        assert not array[group.row_count :].any()
        ends = np.cumsum(group.rows)
        for index, chosen, rows, end in zip(group.indexes, group.requests, group.rows, ends, strict=True):
            assert chosen is requests[index][1]
            assert index not in found
            found[index] = array[end - rows : end]
    assert not found.keys() & refused.keys()
    assert found.keys() | refused.keys() == set(range(len(requests)))
    for index, inputs in enumerate(given_tensors):
        wanted = read(inputs)
        if isinstance(wanted, str):
            assert refused[index].code == "wrong-input"
        else:
            assert found[index].tobytes() == wanted.tobytes()
