"""100,000 requests that are cut, stretched, overwritten or made up: each gets an answer, none costs much memory."""

import json
import random
import resource
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hotswap_events import headers as names
from hotswap_events.inference.answers import AnswerTags
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.workers.inference.answers.writer import AnswerWriter
from hotswap_stream.workers.inference.batches.batches import Batch, RefusedRequest
from hotswap_stream.workers.inference.batches.forward import run_forward
from hotswap_stream.workers.inference.batches.grouping import group_requests
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request, read_request
from tests.support.examples import examples

EXAMPLES = 1_000
CASES_PER_EXAMPLE = 100
BATCH = 20
REQUEST_BYTES_MAX = 1_000_000
GROWTH_BYTES_MAX = 400 * 1024**2
"""How much the process may grow over all cases: arrays of the requests' own making would be far beyond."""

MANIFEST = ArtifactManifest(
    architecture="fuzz",
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),),
    warm_up={"x": (1, 4)},
)


class _Doubler:
    manifest = MANIFEST
    executor = "eager"

    def padded_rows(self, rows: int) -> int:
        return rows

    def infer(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"y": inputs["x"][:, :2] * np.float32(2)}

    def close(self) -> None:
        pass


LEASE = Lease("v1", "sha256:0", 7, _Doubler())
WRITER = AnswerWriter("fuzz", "w", AnswerTags("hotswap").of("fuzz"))

TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP32"}
GOOD_JSON = json.dumps(
    {"id": "a", "inputs": [{**TENSOR, "data": [1, 2.5, -3, 4e3]}], "outputs": [{"name": "y"}]}
).encode()
GOOD_MSGPACK = msgspec.msgpack.encode(
    {"id": "a", "inputs": [{**TENSOR, "data": np.ones(4, "<f4").tobytes()}], "parameters": {"k": 1}}
)
WORDS = [
    b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"Infinity", b"18446744073709551616", b"[]", b"{}", b'""',
    b'"FP64"', b'"BYTES"', b'"INT8"', b"[1099511627776, 4]", b"[0, 4]", b"[4]", b"[1, 4, 1]", b"\xff", b"\x00",
    b"[" * 2_000, b'{"a":' * 2_000, b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
    b"1" * 5_000, b'"\\ud800"',
]  # fmt: skip
HEADER_NAMES = [
    names.CONTENT_TYPE, names.MODEL_VERSION, names.MODEL_NAME, names.DEADLINE, names.ROUTING_KEY, names.TRACEPARENT,
    names.SPRING_REPLY_TOPIC, names.SPRING_REPLY_PARTITION, names.SPRING_CORRELATION_ID, names.REPEATED_ID, "x",
]  # fmt: skip
HEADER_VALUES = [
    b"application/msgpack",
    b"application/json; charset=utf-8",
    b"",
    b"\xff",
    b"12",
    b"\0\0\0\1",
    b"v" * 999,
]


def _mutated(chance: random.Random) -> bytes:
    value = bytearray(chance.choice((GOOD_JSON, GOOD_MSGPACK)))
    for _ in range(chance.randint(0, 4)):
        place = chance.randrange(len(value) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            del value[place:]
        elif kind == 1:
            value[place:place] = chance.choice(WORDS)
        elif kind == 2:
            value[place : place + chance.randint(1, 12)] = chance.choice(WORDS)
        elif kind == 3 and place < len(value):
            value[place] = chance.randrange(256)
        elif kind == 4:
            del value[place : place + chance.randint(1, 8)]
        else:
            value[place:place] = chance.randbytes(chance.randint(1, 16))
    return bytes(value)


def _record(chance: random.Random, offset: int) -> RequestRecord:
    value = None if chance.random() < 0.01 else chance.randbytes(40) if chance.random() < 0.05 else _mutated(chance)
    headers: list[tuple[str, bytes | None]] = []
    if chance.random() < 0.7:
        raw = value is not None and value[:1] != b"{"
        headers.append((names.CONTENT_TYPE, b"application/msgpack" if raw else b"application/json"))
    while chance.random() < 0.2:
        headers.append((chance.choice(HEADER_NAMES), chance.choice((None, *HEADER_VALUES))))
    return RequestRecord("t", 0, offset, 0, None, value, headers)


@settings(max_examples=examples(EXAMPLES), deadline=None)
@given(seed=st.integers(0, 2**63))
def _answer_any(seed: int) -> None:
    chance = random.Random(seed)
    for first in range(0, CASES_PER_EXAMPLE, BATCH):
        records = [_record(chance, first + number) for number in range(BATCH)]
        entries = [read_request(record, REQUEST_BYTES_MAX) for record in records]
        refused: dict[int, RefusedRequest] = {}
        requests = [(index, entry) for index, entry in enumerate(entries) if isinstance(entry, Request)]
        groups = group_requests(LEASE, requests, refused)
        answers = WRITER.write(run_forward(Batch(entries, groups, refused, [LEASE])))
        assert [answer.record.offset for answer in answers] == [record.offset for record in records]
        for answer in answers:
            status = dict(answer.headers)[names.STATUS]
            assert status == (b"ok" if answer.dead_letter_cause is None else b"error")


def test_any_request_gets_one_answer_and_costs_little_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _answer_any()
    grown_bytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown_bytes < GROWTH_BYTES_MAX


def test_good_requests_are_among_them() -> None:
    """A fuzzer whose every case is refused at the door would show nothing of what lies behind it."""
    chance = random.Random(1)
    outcomes = {type(read_request(_record(chance, number), REQUEST_BYTES_MAX)).__name__ for number in range(1_000)}
    assert outcomes == {"Request", "Unreadable"}
