"""A JSON body whose long lists are read apart must say what msgspec reads in it, and be refused in the same words."""

import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hotswap_events.inference.messages import InferRequest
from hotswap_stream.workers.inference.requests import json_bodies, number_lists
from hotswap_stream.workers.inference.requests.json_bodies import decode_json
from hotswap_stream.workers.inference.requests.number_lists import packed_at_once

DATATYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64")
REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_ODD = """
-0 -0.0 0e0 1e5 1E+05 1e-5 5e-324 2.2250738585072011e-308 1e-400 1e400 -1e400 1e39 3.4028235677973366e38 1.4e-45 7e-46
0.1 65504 127 128 255 256 -129 4294967295 16777217 1.00000017881393432617187499 4503599627370496 9007199254740991
9007199254740992 9007199254740993 9007199254740991.9 9223372036854775807 9223372036854775808 -9223372036854775809
18446744073709551615 18446744073709551616
true false null "1" "]" "\\"" [1] [] {} {"data":[1]} NaN Infinity -Infinity nan
01 -01 1. .5 +1 - --1 1e 1e+ 1.e5 0x1 1_0 1] [1 1, ,1 1/**/
"""
LONG = ("2" * 310, "0." + "3" * 400, "1." + "0" * 30 + "1")
ODD = (*_ODD.split(), *LONG, "", "1\x00", "\ufeff1", "\x0b1", "\xa01", "\t1", "1\r\n", " 1 ", "1 2")

numbers = (
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps)
    | st.floats(width=32, allow_nan=False, allow_infinity=False).map(json.dumps)
    | st.integers(-300, 300).map(str)
    | st.integers(-(2**70), 2**70).map(str)
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
)
lists = st.lists(numbers, max_size=6) | st.lists(numbers | st.sampled_from(ODD), max_size=6)
BODIES = (
    '{"inputs":[{"name":"x","shape":[1,%(n)s],"datatype":"%(t)s","data":[%(a)s]}],"id":"7"}',
    '{"id": "7", "inputs": [{"data" : [%(a)s], "datatype": "%(t)s", "shape": [%(n)s], "name": "x"}]}\n',
    '{"inputs":[{"name":"x","shape":[%(n)s],"datatype":"%(t)s","data":[%(a)s]},'
    '{"name":"y","shape":[1],"datatype":"%(t)s","data":[%(b)s]}]}',
    '{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":"AAAA"},'
    '{"name":"y","shape":[%(n)s],"datatype":"%(t)s","data":[%(a)s]}],"outputs":[{"name":"data"}]}',
    '{"inputs":[{"name":"x","shape":[%(n)s],"datatype":"%(t)s","data":[%(b)s],"data":[%(a)s]}]}',
    '{"parameters":{"data":[%(b)s]},"inputs":[{"name":"x","shape":[%(n)s],"datatype":"%(t)s","data":[%(a)s]}]}',
    '{"parameters":{"data":[%(b)s]},"inputs":[{"name":"x","shape":[%(n)s],"datatype":"%(t)s","d\\u0061ta":[%(a)s]}]}',
    '{"inputs":[{"name":"x\\"data\\":[","shape":[%(n)s],"datatype":"%(t)s","data":[%(a)s]}]}',
    '{"inputs":[{"name":"data","shape":[%(n)s],"datatype":"%(t)s","data":[%(a)s]}]}',
    '{"inputs":[{"name":"x","shape":[%(n)s],"datatype":"%(t)s","data":[%(a)s],"more":{"data":[%(b)s]}}]}',
    '{"inputs":[{"name":"x","shape":[%(n)s],"datatype":"%(t)s","data":[%(a)s]}],"inputs":[]}',
    '{"inputs":[{"name":"x","shape":[%(n)s],"datatype":"%(t)s","data":[[%(a)s],[%(b)s]]}]}',
    '{"inputs":[{"name":"x","shape":[%(n)s],"datatype":"%(t)s"}],"data":[%(a)s]}',
    '{"inputs":[{"name":"x","shape":[%(n)s],"datatype":"%(t)s","data":[%(a)s]}]',
    '{"inputs":[{"name":"x","shape":[%(n)s],"datatype":"%(t)s","data":[%(a)s',
)


@contextmanager
def _short_lists_too() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(number_lists, "PACKED_AT_ONCE_MIN", 1)
        patch.setattr(json_bodies, "PACKED_AT_ONCE_MIN", 1)
        patch.setattr(json_bodies, "LIST_BYTES_MIN", 1)
        yield


def _outcome(read: Callable[[bytes], InferRequest], body: bytes) -> str:
    """Return what was read, to the last bit and type, or the refusal in its words."""
    try:
        return repr(read(body))
    except REFUSALS as error:
        return f"{type(error).__name__}: {error}"


def _as_msgspec(body: bytes) -> InferRequest:
    return packed_at_once(msgspec.json.decode(body, type=InferRequest))


def _check(body: bytes) -> None:
    assert _outcome(decode_json, body) == _outcome(_as_msgspec, body)


@given(
    st.sampled_from(BODIES), st.sampled_from(DATATYPES), lists, lists, st.integers(-1, 1), st.sampled_from(", |,|\n,\t")
)
@example(BODIES[0], "FP32", ["9007199254740991.9"], [], 0, ",")
@example(BODIES[0], "FP32", ["9007199254740991"], [], 0, ",")
@example(BODIES[0], "FP64", ["-0", "-0.0"], [], 0, ",")
@example(BODIES[0], "UINT8", ["255", "256"], [], 0, ",")
def test_a_body_is_read_as_msgspec_reads_it(
    form: str, datatype: str, first: list[str], second: list[str], more: int, comma: str
) -> None:
    text = form % {"t": datatype, "n": len(first) + more, "a": comma.join(first), "b": ",".join(second)}
    with _short_lists_too():
        _check(text.encode())


@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT32", "UINT8", "INT64"])
def test_each_oddity_among_ordinary_numbers(datatype: str) -> None:
    for form, odd in product(BODIES, ODD):
        for ordinary in ("1", "0.25"):
            values = [ordinary] * 40 + [odd] + [ordinary] * 3
            text = form % {"t": datatype, "n": len(values), "a": ", ".join(values), "b": "1"}
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(json_bodies, "LIST_BYTES_MIN", 32)
                _check(text.encode())


@given(st.binary(max_size=60), st.sampled_from(BODIES))
def test_any_bytes_in_a_list_are_read_as_msgspec_reads_them(content: bytes, form: str) -> None:
    start, end = (form % {"t": "FP32", "n": 1, "a": "\x01", "b": "2"}).encode().split(b"\x01")
    with _short_lists_too():
        _check(start + content + end)


def test_damaged_bodies_are_read_as_msgspec_reads_them() -> None:
    chance = random.Random(17)
    for number in range(400):
        values = [repr(chance.gauss(0, 10 ** chance.randint(-3, 6))) for _ in range(chance.choice([3, 90, 300]))]
        facts = {"t": chance.choice(["FP32", "FP64"]), "n": len(values), "a": ",".join(values), "b": "1,2"}
        body = bytearray((BODIES[number % len(BODIES)] % facts).encode())
        for _ in range(chance.choice([0, 1, 1, 2, 8])):
            place = chance.randrange(len(body))
            body[place : place + chance.randint(0, 2)] = chance.choice(
                [
                    b"",
                    b"]",
                    b"[",
                    b",",
                    b'"',
                    b"\\",
                    b"}",
                    b"e",
                    b".",
                    b"-",
                    b"\0",
                    b"\xff",
                    b'"data":[',
                    chance.randbytes(2),
                ]
            )
        _check(bytes(body))


def _body(*tensors: tuple[str, Sequence[float]]) -> bytes:
    inputs = [
        {"name": f"x{place}", "shape": [1, len(data)], "datatype": datatype, "data": data}
        for place, (datatype, data) in enumerate(tensors)
    ]
    return json.dumps({"inputs": inputs, "parameters": {"a": 1}}).encode()


@pytest.fixture(params=["simdjson", "msgspec alone"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read, of which the second is all there is where simdjson has no wheel."""
    if request.param != "simdjson":
        monkeypatch.setattr(json_bodies, "with_simdjson", False)
    elif not json_bodies.with_simdjson:
        pytest.skip("there is no simdjson for this Python")
    return str(request.param)


def test_long_lists_come_as_bytes(reader: str) -> None:
    floats = np.random.default_rng(1).standard_normal(784).astype("f4")
    pixels = np.arange(784) % 256
    body = _body(("FP32", floats.tolist()), ("UINT8", pixels.tolist()), ("FP32", [0.5] * 3), ("INT64", [2**62] * 200))
    assert [tensor.data for tensor in decode_json(body).inputs] == [
        floats.tobytes(),
        pixels.astype("u1").tobytes(),
        [0.5] * 3,
        np.full(200, 2**62).tobytes(),
    ], reader


def test_doubles_are_rounded_once_more_to_singles(reader: str) -> None:
    between = 1 + 2**-24 + 2**-50  # just above the middle of two singles, as no single decimal of nine digits says
    [tensor] = decode_json(_body(("FP32", [between, 1 + 2**-24, -0.0, 1e-45, 1e-320] * 60))).inputs
    assert isinstance(tensor.data, bytes), reader
    assert np.frombuffer(tensor.data, "<f4")[:4].tolist() == [1 + 2**-23, 1.0, 0.0, 1.401298464324817e-45]
    assert np.signbit(np.frombuffer(tensor.data, "<f4")[:5]).tolist() == [False, False, True, False, False]


@pytest.mark.skipif(not json_bodies.with_simdjson, reason="there is no simdjson for this Python")
def test_ordinary_requests_are_read_the_quick_way() -> None:
    for body in (
        _body(("FP32", [0.5] * 784)),
        _body(("FP64", [0.5] * 784), ("FP32", [1.0] * 2), ("INT32", [1] * 784)),
        msgspec.json.encode(msgspec.json.decode(_body(("FP32", [0.5] * 784)))),
        _body(("FP32", [0.123456789] * 200_000)),
    ):
        assert json_bodies._decode_cut(body) is not None
    for body in (_body(("FP32", [2.0**53] * 784)), _body(("BOOL", [True] * 784)), _body(("INT8", [128] * 784))):
        assert json_bodies._decode_cut(body) is None


def test_threads_read_at_once() -> None:
    bodies = [_body(("FP32", [float(number)] * 784)) for number in range(8)]
    wrong: list[int] = []

    def read(number: int) -> None:
        for _ in range(50):
            [tensor] = decode_json(bodies[number]).inputs
            if tensor.data != np.full(784, number, "<f4").tobytes():
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
