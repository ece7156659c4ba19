"""Lists of numbers are read as fast as `struct` packs them, and must come out as numpy would have read them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hotswap_events.inference.messages import Datatype, InferRequest, InferTensor
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.workers.inference.batches.batches import RefusedRequest
from hotswap_stream.workers.inference.batches.grouping import group_requests
from hotswap_stream.workers.inference.requests import number_lists, tensors
from hotswap_stream.workers.inference.requests.number_lists import pack_numbers, packed_at_once
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request
from hotswap_stream.workers.inference.requests.tensors import NUMPY_DTYPES, WrongInputError, read_tensor

SIZE_MAX = 6
DATATYPES: tuple[Datatype, ...] = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"),
)


class _Model:
    manifest = ArtifactManifest(
        architecture="lists",
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),),
        warm_up={"x": (1, 2)},
    )
    executor = "eager"

    def padded_rows(self, rows: int) -> int:
        return rows

    def infer(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"y": inputs["x"]}

    def close(self) -> None:
        pass


LEASE = Lease("v1", "sha256:0", 7, _Model())

edges = st.sampled_from(
    [
        sign * (2**power + more)
        for power in (7, 8, 15, 16, 24, 31, 32, 53, 63, 64)
        for more in (-1, 0, 1)
        for sign in (1, -1)
    ]
    + [2**70, 2**1100]
)
floats = st.floats() | st.floats(width=32) | st.sampled_from([65_504.0, 65_520.0, 3.4028235e38, 3.5e38, 2.0**53, 0.1])
numbers = st.integers(-300, 300) | edges | floats | st.booleans()
anything: st.SearchStrategy[Any] = (
    st.none() | st.text(max_size=3) | st.binary(max_size=3) | st.lists(numbers, max_size=3) | st.just({})
)
of_one_kind = st.sampled_from([floats, st.integers(-300, 300), st.integers(), edges, st.booleans(), numbers])
lists = of_one_kind.flatmap(lambda kind: st.lists(kind, max_size=SIZE_MAX)) | st.lists(
    numbers | anything, max_size=SIZE_MAX
)


def _read(datatype: Datatype, data: list[Any] | bytes, size: int, allow_non_finite: bool) -> tuple[bytes, str] | str:
    spec = TensorSpec(name="x", datatype=datatype, shape=(-1, size))
    tensor = InferTensor(name="x", shape=[1, size], datatype=datatype, data=data)
    try:
        array = read_tensor(spec, tensor, allow_non_finite)
    except WrongInputError as error:
        return str(error)
    assert array.shape == (1, size)
    return array.tobytes(), str(array.dtype)


@given(st.sampled_from(DATATYPES), lists, st.integers(-1, 1), st.booleans())
@example("FP32", [2**62 + 2**38 + 1], 0, False)
@example("FP32", [1e39], 0, True)
@example("FP32", [float("nan")], 0, True)
@example("FP32", [float("nan")], 0, False)
@example("FP32", [True, 1.5], 0, False)
@example("FP32", ["1"], 0, False)
@example("FP32", [[1.0]], 0, False)
@example("INT8", [128], 0, False)
@example("INT64", [1.0], 0, False)
@example("UINT64", [1, 2**63], 0, False)
@example("BOOL", ["yes"], 0, False)
def test_a_list_is_read_as_numpy_reads_it(
    datatype: Datatype, data: list[Any], more: int, allow_non_finite: bool
) -> None:
    size = max(1, len(data) + more)
    found = _read(datatype, data, size, allow_non_finite)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "pack_numbers", lambda *_: None)
        wanted = _read(datatype, data, size, allow_non_finite)
    assert found == wanted


@given(st.sampled_from(DATATYPES), lists, st.integers(-1, 1), st.booleans())
@example("FP32", [2**62 + 2**38 + 1], 0, False)
@example("FP64", [2.0**53, 1.0], 0, False)
@example("FP32", [1e39], 0, True)
@example("FP32", [float("inf")], 0, True)
@example("FP32", [float("nan")], 0, False)
@example("FP32", [[1.0]], 0, False)
@example("UINT8", [256], 0, False)
def test_a_list_that_is_packed_at_once_says_what_it_said(
    datatype: Datatype, data: list[Any], more: int, allow_non_finite: bool
) -> None:
    size = max(1, len(data) + more)
    tensor = InferTensor(name="x", shape=[1, size], datatype=datatype, data=data)
    request = InferRequest(inputs=[tensor], id="1", parameters={"a": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(number_lists, "PACKED_AT_ONCE_MIN", 1)
        packed = packed_at_once(request)
    assert (packed.id, packed.parameters) == (request.id, request.parameters)
    [found] = packed.inputs
    assert (found.name, found.shape, found.datatype) == (tensor.name, tensor.shape, tensor.datatype)
    assert _read(datatype, found.data, size, allow_non_finite) == _read(datatype, data, size, allow_non_finite)


def test_long_lists_are_packed_at_once_and_short_ones_and_bytes_are_left() -> None:
    def packed(size: int, data: list[Any] | bytes) -> type:
        tensor = InferTensor(name="x", shape=[1, size], datatype="FP32", data=data)
        return type(packed_at_once(InferRequest(inputs=[tensor])).inputs[0].data)

    assert packed(784, [0.5] * 784) is bytes
    assert packed(4, [0.5] * 4) is list
    assert packed(784, [0.5] * 783) is list, "what is wrong is told in terms of the list"
    assert packed(784, [0.5] * 783 + ["1"]) is list
    assert packed(4, b"\0" * 16) is bytes


@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT32", "UINT8"])
def test_ordinary_numbers_are_packed(datatype: Datatype) -> None:
    packed = pack_numbers(datatype, [1, 2, 3], 3)
    assert packed is not None
    assert np.frombuffer(packed, NUMPY_DTYPES[datatype]).tolist() == [1, 2, 3]


@given(st.lists(st.lists(floats | st.integers(-(2**60), 2**60), min_size=2, max_size=2), min_size=1, max_size=5))
def test_a_batch_of_lists_holds_what_each_list_holds(rows: list[list[float]]) -> None:
    requests = []
    for number, data in enumerate(rows):
        tensor = InferTensor(name="x", shape=[1, 2], datatype="FP32", data=list(data))
        record = RequestRecord("t", 0, number, 0, None, b"", [])
        requests.append((number, Request(record, InferRequest(inputs=[tensor]), False, None)))
    refused: dict[int, RefusedRequest] = {}
    found: dict[int, bytes] = {}
    for group in group_requests(LEASE, requests, refused):
        for position, index in enumerate(group.indexes):
            found[index] = group.inputs["x"][position].tobytes()
    for number, data in enumerate(rows):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tensors, "pack_numbers", lambda *_: None)
            wanted = _read("FP32", list(data), 2, allow_non_finite=False)
        assert isinstance(wanted, str) == (number in refused)
        if not isinstance(wanted, str):
            assert found[number] == wanted[0]
