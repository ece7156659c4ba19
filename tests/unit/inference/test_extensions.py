"""Parameters of protocol extensions that would be passed over are refused, by HTTP and on the topic."""

import json
from typing import Any

import pytest

from hotswap_stream.application.inference.binary_tensors import WrongBodyError, decode_request
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable, read_request

TENSOR = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}


def body(**more: Any) -> bytes:
    return json.dumps({"id": "r-1", "inputs": [TENSOR], **more}).encode()


def read(value: bytes) -> Request | Unreadable:
    return read_request(RequestRecord("requests", 0, 1, 0, None, value, ()), 1_000_000)


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
    asked = body(parameters={name: 3})
    with pytest.raises(WrongBodyError, match=words):
        decode_request(asked, None)
    found = read(asked)
    assert isinstance(found, Unreadable)
    assert (found.code, found.request_id) == ("wrong-input", "r-1")
    assert words in found.reason


def test_classification_of_one_output_too() -> None:
    with pytest.raises(WrongBodyError, match="'classification'"):
        decode_request(body(outputs=[{"name": "y", "parameters": {"classification": 3}}]), None)


def test_a_value_that_asks_for_nothing_passes() -> None:
    nothing = body(parameters={"sequence_id": 0, "sequence_start": False, "priority": 1})
    assert decode_request(nothing, None).request.id == "r-1"
    assert isinstance(read(nothing), Request)
