"""The requests of a run: what is sent under a number, good or bad, and what a record found in the topic asks for."""

import json
import struct
from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_events.inference.messages import JSON_CONTENT_TYPE, MSGPACK_CONTENT_TYPE, ErrorCode, InferRequest
from tests.torture.exact_model import FEATURES, X_MAX
from tests.torture.hostile_requests import hostile_requests

MODEL = "tortured"
KIND_HEADER = "torture-kind"
NUMBER_HEADER = "torture-number"
"""How many requests were sent to the partition before: the offset at which the request is found, unless its producer
wrote some before it twice (`request_table`)."""

ROWS_MAX = 3
BAD_SHARE = 0.02
HOSTILE_SHARE = 0.01

GOOD = ("json", "msgpack")
BAD: dict[str, ErrorCode] = {
    "not-json": "request-unreadable",
    "no-value": "request-unreadable",
    "content-type": "wrong-content-type",
    "shape": "wrong-input",
    "not-a-number": "wrong-input",
    "cut-off": "wrong-input",
}
"""Kind → the code of the error answer it must get."""
NAMELESS = ("not-json", "no-value", "content-type")
"""Bad kinds of which no worker can read the id."""
HOSTILE = "hostile"
"""Written to do harm; whatever it is, it gets an answer, and a copy in the dead letters if that is an error."""
KINDS = (*GOOD, *BAD, HOSTILE)
"""Kinds by their number in the tables of the judge."""

Headers = list[tuple[str, str | bytes | None]]
Row = tuple[int, int, int, int]

_json = msgspec.json.Decoder(InferRequest)
_msgpack = msgspec.msgpack.Decoder(InferRequest)


class NotOurRequestError(ValueError):
    """A record in the request topic that this program did not send."""


class Asked(Struct, frozen=True, gc=False):
    """What a request asks for. `first_row` and `rows` are those of good ones: row r is the first one + r."""

    kind: str
    number: int
    rows: int = 0
    first_row: Row = (0, 0, 0, 0)


def choose_kind(random: Random) -> str:
    """One of KINDS."""
    chance = random.random()
    if chance < BAD_SHARE:
        return random.choice(tuple(BAD))
    if chance < BAD_SHARE + HOSTILE_SHARE:
        return HOSTILE
    return random.choice(GOOD)


def request_id(partition: int, number: int) -> str:
    """The id in the body of a request."""
    return f"{partition}-{number}"


def build(kind: str, partition: int, number: int) -> tuple[bytes | None, Headers]:
    """Value and headers of a record."""
    if kind == HOSTILE:
        return _hostile(partition, number)
    rows = ROWS_MAX if number % 5 == 0 else 1
    first_row = [(number + partition + 5 * column) % (X_MAX - ROWS_MAX + 2) for column in range(FEATURES)]
    data = [float(value + row) for row in range(rows) for value in first_row]
    raw = kind in ("msgpack", "not-a-number", "cut-off")
    if kind == "not-a-number":
        data[0] = float("nan")
    packed: Any = struct.pack(f"<{len(data)}f", *data) if raw else data
    tensor = {
        "name": "x",
        "shape": [rows, FEATURES + (kind == "shape")],
        "datatype": "FP32",
        "data": packed[:-3] if kind == "cut-off" else packed,
    }
    body = {"id": request_id(partition, number), "inputs": [tensor]}
    value = msgspec.msgpack.encode(body) if raw else json.dumps(body).encode()
    content_type = MSGPACK_CONTENT_TYPE if raw else JSON_CONTENT_TYPE
    headers: Headers = [
        (header_names.CONTENT_TYPE, b"text/csv" if kind == "content-type" else content_type.encode()),
        (KIND_HEADER, kind.encode()),
        (NUMBER_HEADER, b"%d" % number),
    ]
    if kind == "no-value":
        return None, headers
    return value[: len(value) // 2] if kind == "not-json" else value, headers


def _hostile(partition: int, number: int) -> tuple[bytes | None, Headers]:
    every = hostile_requests()
    # A step that shares no factor with their number leads through all of them.
    record = every[(number * 7_919 + partition * 104_729) % len(every)]
    ours: Headers = [(KIND_HEADER, HOSTILE.encode()), (NUMBER_HEADER, b"%d" % number)]
    return record.value, [*record.headers, *ours]


def read(value: bytes | None, headers: Sequence[tuple[str, bytes | None]], partition: int) -> Asked:
    """What a record of the request topic asks for. NotOurRequestError."""
    found = dict(headers)
    try:
        kind = (found[KIND_HEADER] or b"").decode()
        number = int(found[NUMBER_HEADER] or b"")
        if kind in BAD or kind == HOSTILE:
            return Asked(kind, number)
        if kind not in GOOD or value is None:
            raise NotOurRequestError(f"a request of kind {kind!r}")
        body = (_json if kind == "json" else _msgpack).decode(value)
        tensor = body.inputs[0]
        data = tensor.data
        values = struct.unpack(f"<{len(data) // 4}f", data) if isinstance(data, bytes) else tuple(data)
    except (KeyError, ValueError, struct.error, msgspec.DecodeError) as error:
        raise NotOurRequestError(f"a record that is no request of a torture run: {error!r}") from error
    rows, first_row = tensor.shape[0], values[:FEATURES]
    if values != tuple(value + row for row in range(rows) for value in first_row):
        raise NotOurRequestError("a request with rows that do not follow from its first")
    if body.id != request_id(partition, number):
        raise NotOurRequestError(f"request {body.id!r} in partition {partition} as number {number}")
    a, b, c, d = (int(value) for value in first_row)
    return Asked(kind, number, rows, (a, b, c, d))
