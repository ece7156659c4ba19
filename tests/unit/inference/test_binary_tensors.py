"""The binary tensor extension: what is right goes round, what does not add up is refused with what is wrong."""

import json
import struct
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_events.inference.messages import AnswerFacts, InferRequest, InferResponse, InferTensor
from hotswap_stream.application.inference.binary_tensors import (
    WrongBodyError,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from hotswap_stream.application.inference.tensor_values import TextResponse, flat_values, flatten, nest, shape_of
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable, read_request

RAW = struct.pack("<4f", 1, 2, 3, 4)


def tensor(**changes: Any) -> dict[str, Any]:
    return {
        "name": "x",
        "shape": [1, 4],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(RAW)},
        **changes,
    }


def body(*tensors: dict[str, Any], behind: bytes = b"", **more: Any) -> tuple[bytes, str]:
    text = json.dumps({"inputs": list(tensors), **more}).encode()
    return text + behind, str(len(text))


def test_raw_tensors_stand_behind_the_json_in_order() -> None:
    mask = tensor(name="mask", datatype="BOOL", shape=[2], parameters={"binary_data_size": 2})
    scale = tensor(name="scale", shape=[1], parameters={}, data=[2.5])
    asked = decode_request(*body(mask, scale, tensor(), behind=b"\x01\x00" + RAW, id="a"))
    assert asked.request.id == "a"
    assert [(item.name, item.data) for item in asked.request.inputs] == [
        ("mask", b"\x01\x00"),
        ("scale", [2.5]),
        ("x", RAW),
    ]
    assert asked.any_binary


def test_json_alone_needs_no_header() -> None:
    content, length = body(tensor(parameters={}, data=[[1, 2, 3, 4]]))
    for header in (None, length):
        asked = decode_request(content, header)
        assert flat_values(asked.request.inputs[0]) == [1, 2, 3, 4]
        assert not asked.any_binary


NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()


@given(st.lists(NUMBERS | st.lists(NUMBERS | st.none() | st.text(), max_size=3), max_size=5), st.booleans())
def test_lists_arrive_as_they_were_sent(data: list[Any], binary: bool) -> None:
    content = json.dumps(
        {"inputs": [tensor(parameters={}, data=data)], "parameters": {"binary_data_output": binary}}, indent=1
    ).encode()
    asked = decode_request(content, None)
    assert asked.any_binary == binary
    if binary:
        record = msgspec.msgpack.decode(msgspec.msgpack.encode(asked.request))
    else:
        record = json.loads(msgspec.json.encode(asked.request))
    assert record["inputs"] == [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": data}]


@pytest.mark.parametrize("data", [{}, None, 1, "AAAA", True])
@pytest.mark.parametrize("binary", [False, True])
def test_data_must_be_a_list(data: Any, binary: bool) -> None:
    content, _ = body(tensor(parameters={}, data=data), parameters={"binary_data_output": binary})
    with pytest.raises(WrongBodyError, match="not an inference request: data of tensor 'x': Expected `array`"):
        decode_request(content, None)


@pytest.mark.parametrize("number", ["1e999", "1E5", '"\\ud800"', "true", "-1e-400"])
def test_numbers_that_may_be_wrong_are_read_before_they_are_passed_on(number: str) -> None:
    """A text that is passed on unread would be refused by a worker, after a record and with a dead letter."""
    content = f'{{"inputs": [{{"name": "x", "shape": [2], "datatype": "FP32", "data": [1.5, {number}]}}]}}'.encode()
    try:
        (tensor,) = decode_request(content, None).request.inputs
    except WrongBodyError:
        return
    assert isinstance(tensor.data, list)


def test_an_integer_that_no_datatype_has_room_for_is_refused_beside_raw_tensors() -> None:
    """It ended in a status of 500."""
    output = {"name": "y", "parameters": {"binary_data": True}}
    tensor = {"name": "x", "shape": [1], "datatype": "INT64", "data": [2**64]}
    with pytest.raises(WrongBodyError, match="more than 64 bits"):
        decode_request(json.dumps({"inputs": [tensor], "outputs": [output]}).encode(), None)


def test_an_answer_that_came_as_json_is_passed_on_as_it_is() -> None:
    facts = AnswerFacts(request_partition=1, request_offset=2, worker="w")
    outputs = [InferTensor(name="y", shape=[2], datatype="FP64", data=[0.1, 1e300])]
    answer = InferResponse(model_name="m", model_version="v1", outputs=outputs, parameters=facts, id="a")
    passed = msgspec.json.decode(msgspec.json.encode(answer), type=TextResponse)
    assert encode_response(passed, {"y"}) == encode_response(passed, set()) == encode_response(answer, set())
    assert flat_values(passed.outputs[0]) == [0.1, 1e300]


@pytest.mark.parametrize(
    ("outputs", "by_default", "binary"),
    [
        ([], True, {"y", "z"}),
        ([], False, set()),
        ([{"name": "y", "parameters": {"binary_data": True}}, {"name": "z"}], False, {"y"}),
        ([{"name": "y", "parameters": {"binary_data": False}}, {"name": "z"}], True, {"z"}),
    ],
)
def test_the_caller_chooses_the_form_of_each_output(
    outputs: list[dict[str, Any]], by_default: bool, binary: set[str]
) -> None:
    content, length = body(
        tensor(), behind=RAW, outputs=outputs, parameters={"binary_data_output": by_default, "kept": 1}
    )
    asked = decode_request(content, length)
    assert asked.binary_outputs(["y", "z"]) == binary
    assert asked.request.parameters == {"kept": 1}


@pytest.mark.parametrize(
    ("content", "length", "words"),
    [
        (*body(tensor(), behind=RAW[:-1]), "1 bytes after the end"),
        (*body(tensor(), behind=b""), "16 bytes after the end"),
        (*body(tensor(), behind=RAW + b"\x00"), "1 of the 17 bytes after the JSON belong to no tensor"),
        (body(tensor(), behind=RAW)[0], "10000", "the body has only"),
        (body(tensor(), behind=RAW)[0], "10", "not an inference request"),
        (body(tensor(), behind=RAW)[0], "-1", "number of bytes"),
        (body(tensor(), behind=RAW)[0], "", "number of bytes"),
        (body(tensor(), behind=RAW)[0], "9" * 5_000, "number of bytes"),
        (body(tensor(), behind=RAW)[0], "²", "number of bytes"),
        (body(tensor(), behind=RAW)[0], None, "not an inference request"),
        (*body(tensor(parameters={"binary_data_size": 12}), behind=RAW), "takes 16"),
        (*body(tensor(parameters={"binary_data_size": -16}), behind=RAW), "takes 16"),
        (*body(tensor(parameters={"binary_data_size": "16"}), behind=RAW), "takes 16"),
        (*body(tensor(parameters={"binary_data_size": True}, shape=[1], datatype="UINT8"), behind=b"\0"), "takes 1"),
        (*body(tensor(data=[1, 2, 3, 4]), behind=RAW), "both"),
        (*body(tensor(parameters={})), "neither"),
        (*body(tensor(datatype="BYTES"), behind=RAW), "element 0 ends after the last"),
        (*body(tensor(datatype="TEXT"), behind=RAW), "TEXT"),
        (*body(tensor(shape=[-1, 4]), behind=RAW), "shape"),
        (*body(tensor(shape=[2**62, 2**62]), behind=RAW), "takes"),
        (*body(), "inputs"),
        (b"[" * 100_000, None, "not an inference request"),
        (b"\xff\xfe", None, "not an inference request"),
        (b"", None, "not an inference request"),
        (b"", "0", "not an inference request"),
    ],
)
def test_what_does_not_add_up_is_refused(content: bytes, length: str | None, words: str) -> None:
    with pytest.raises(WrongBodyError, match=words):
        decode_request(content, length)


@given(st.binary(max_size=300), st.none() | st.text(max_size=6) | st.integers(0, 400).map(str))
def test_any_bytes_are_a_request_or_are_refused(content: bytes, length: str | None) -> None:
    with suppress(WrongBodyError):
        decode_request(content, length)


@given(st.integers(0, 20), st.binary(max_size=40), st.integers(-3, 3))
def test_a_request_cut_or_lengthened_is_refused(position: int, more: bytes, shift: int) -> None:
    content, length = body(tensor(), behind=RAW)
    changed = content[: len(content) - position] + more
    header = str(int(length) + shift)
    try:
        asked = decode_request(changed, header)
    except WrongBodyError:
        return
    assert len(changed) == len(content)
    assert len(asked.request.inputs[0].data) == len(RAW)


def test_requests_and_answers_go_round() -> None:
    inputs = [
        InferTensor(name="x", shape=[1, 4], datatype="FP32", data=RAW),
        InferTensor(name="n", shape=[2], datatype="INT64", data=[1, 2]),
    ]
    content, length = encode_request(InferRequest(inputs=inputs, id="a"))
    asked = decode_request(content, str(length))
    assert asked.request.inputs == inputs
    assert asked.binary_outputs(["y"]) == {"y"}

    facts = AnswerFacts(request_partition=1, request_offset=2, worker="w")
    answer = InferResponse(model_name="m", model_version="v1", outputs=inputs[:1], parameters=facts)
    content, length = encode_response(answer, {"x"})
    assert decode_response(content, str(length)) == answer
    content, length = encode_response(answer, set())
    assert length is None
    assert json.loads(content)["outputs"] == [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]


@pytest.mark.parametrize(
    ("datatype", "raw", "values"),
    [
        ("BOOL", b"\x00\x01", [False, True]),
        ("UINT16", b"\x01\x00\x00\x01", [1, 256]),
        ("INT64", struct.pack("<2q", -1, 2**62), [-1, 2**62]),
        ("FP16", struct.pack("<2e", 0.5, -2), [0.5, -2.0]),
        ("FP64", struct.pack("<2d", 0.1, 1e300), [0.1, 1e300]),
    ],
)
def test_raw_numbers_are_little_endian(datatype: Any, raw: bytes, values: list[Any]) -> None:
    assert flat_values(InferTensor(name="x", shape=[2], datatype=datatype, data=raw)) == values
    with pytest.raises(ValueError, match="bytes"):
        flat_values(InferTensor(name="x", shape=[3], datatype=datatype, data=raw))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_nesting_and_flattening_go_round(shape: list[int]) -> None:
    size = 1
    for length in shape:
        size *= length
    nested = nest(list(range(size)), shape)
    if size:
        assert shape_of(nested) == tuple(shape)
        assert flatten(nested) == list(range(size))


@pytest.mark.parametrize("data", [[[1], [1, 2]], [1, [2]], [[1], 2], [[[1]], [2]]])
def test_ragged_lists_have_no_shape(data: list[Any]) -> None:
    with pytest.raises(ValueError, match="regular shape"):
        shape_of(data)
    deep: list[Any] = []
    for _ in range(2_000):
        deep = [deep]
    with pytest.raises(ValueError, match="deep"):
        shape_of(deep)


PLAIN = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}


def asking(**more: Any) -> bytes:
    return json.dumps({"id": "r-1", "inputs": [PLAIN], **more}).encode()


def read(value: bytes) -> Request | Unreadable:
    return read_request(RequestRecord("requests", 0, 1, 0, None, value, []), 1_000_000)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("classification", "answered whole"),
        ("sequence_id", "names no series here"),
        ("sequence_start", "a series is its key"),
        ("sequence_end", "a series is its key"),
    ],
)
def test_what_would_be_ignored_is_refused_with_what_would_be_right(name: str, words: str) -> None:
    asked = asking(parameters={name: 3})
    with pytest.raises(WrongBodyError, match=words):
        decode_request(asked, None)
    found = read(asked)
    assert isinstance(found, Unreadable)
    assert (found.code, found.request_id) == ("wrong-input", "r-1")
    assert words in found.reason


def test_classification_of_one_output_too() -> None:
    with pytest.raises(WrongBodyError, match="'classification'"):
        decode_request(asking(outputs=[{"name": "y", "parameters": {"classification": 3}}]), None)


def test_a_value_that_asks_for_nothing_passes() -> None:
    nothing = asking(parameters={"sequence_id": 0, "sequence_start": False, "priority": 1})
    assert decode_request(nothing, None).request.id == "r-1"
    assert isinstance(read(nothing), Request)
