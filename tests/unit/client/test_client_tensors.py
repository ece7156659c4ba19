"""What callers hand in and get back, with numpy and without."""

from typing import Any

import httpx
import numpy as np
import pytest

from hotswap_events.inference.messages import InferTensor
from hotswap_stream.client import RefusedError, http_calls, tensors
from hotswap_stream.client.tensors import infer_tensors, output_value


@pytest.mark.parametrize(
    ("value", "datatype", "shape"),
    [
        ([[1.0, 2], [3, 4]], "FP32", [2, 2]),
        ([1, 2, 3], "INT64", [3]),
        ([[True], [False]], "BOOL", [2, 1]),
        ([], "FP32", [0]),
        (np.zeros((2, 3), dtype=">i2"), "INT16", [2, 3]),
        (np.zeros((), dtype="f2"), "FP16", []),
        (np.zeros((1, 2), dtype="?"), "BOOL", [1, 2]),
    ],
)
def test_arrays_and_lists_become_tensors(value: Any, datatype: str, shape: list[int]) -> None:
    (tensor,) = infer_tensors({"x": value})
    assert (tensor.name, tensor.datatype, tensor.shape) == ("x", datatype, shape)


def test_bytes_are_little_endian_and_row_major() -> None:
    (tensor,) = infer_tensors({"x": np.asfortranarray(np.array([[1, 2], [3, 4]], dtype=">u2"))})
    assert tensor.data == bytes([1, 0, 2, 0, 3, 0, 4, 0])


@pytest.mark.parametrize("value", [1.0, "abc", None, [None], [1, True], [[1], 2], {"a": 1}, np.array([1j])])
def test_what_is_no_tensor_is_refused_by_its_name(value: Any) -> None:
    with pytest.raises(ValueError, match="input 'x'"):
        infer_tensors({"x": value})


RAW = InferTensor(name="y", shape=[2, 2], datatype="INT16", data=bytes([1, 0, 2, 0, 3, 0, 255, 255]))
LISTED = InferTensor(name="y", shape=[2, 2], datatype="INT16", data=[1, 2, 3, -1])


@pytest.mark.parametrize("tensor", [RAW, LISTED])
def test_outputs_are_arrays_or_lists(tensor: InferTensor, monkeypatch: pytest.MonkeyPatch) -> None:
    array = output_value(tensor)
    assert array.dtype == np.int16
    assert array.tolist() == [[1, 2], [3, -1]]
    array[0, 0] = 7  # it is the caller's own
    monkeypatch.setattr(tensors, "find_spec", lambda _: None)
    assert output_value(tensor) == [[1, 2], [3, -1]]


@pytest.mark.parametrize(
    ("content", "code", "reason", "legal"),
    [
        (b'{"code": "conflict", "detail": "no", "legal": ["a"]}', "conflict", "no", ("a",)),
        (b'{"error": "no"}', "refused", "no", ()),
        (b"<html>", "refused", "<html>", ()),
        (b"[]", "refused", "[]", ()),
        (b"", "refused", "Bad Gateway", ()),
    ],
)
def test_any_refusal_says_why(content: bytes, code: str, reason: str, legal: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError) as refused:
        http_calls.refuse(httpx.Response(502, content=content))
    assert (refused.value.status, refused.value.code, refused.value.reason) == (502, code, reason)
    assert refused.value.legal == legal


def test_names_stay_within_their_place_in_the_path() -> None:
    assert http_calls.model_path("a/../b", "v 1") == "/api/models/a%2F..%2Fb/versions/v%201"
