"""From a cell to the record that is written: everything right but one thing."""

import time
from typing import Any, Literal

import msgspec
from aiokafka.partitioner import DefaultPartitioner
from msgspec import Struct

from tests.hostile.bases import OTHER, World, another_environments, base, base_headers, base_key, forged
from tests.hostile.cells import Cell
from tests.hostile.kinds import DEEP, Encoding, fragments
from tests.hostile.places import BY_NAME, MODEL, Place

Transport = Literal["plain", "packed", "aborted", "committed", "garbage", "cut"]
Headers = list[tuple[str, bytes | None]]

BOMB_BYTES = 230_000_000
PACKED_BYTES = 12_000_000
FLOOD_RECORDS = 2_000
_HEADER_BYTES = 200_000
_ENVELOPE_BYTES = 2_000
"""What a batch needs besides the value of its only record."""
_MS_A_YEAR = 365 * 86_400_000


class HostileRecord(Struct, kw_only=True):
    """What is written. `times`: as many copies, in one go."""

    topic: str
    partition: int
    value: bytes | None
    key: bytes | None
    headers: Headers
    timestamp_ms: int | None = None
    transport: Transport = "plain"
    times: int = 1
    command_id: str | None = None


def record_of(cell: Cell, world: World) -> HostileRecord:
    """Build the record of a cell as of now."""
    place, number, raw = BY_NAME[cell.place], world.next(), cell.encoding == "msgpack"
    payload = base(cell.message, world, number) if cell.message and cell.message != "hotswap.dead-letter" else None
    key = base_key(place, cell.message, number)
    value = b"what only its owner reads" if payload is None else _encode(payload, cell.encoding)
    if payload is not None and cell.field.part == "field":
        # A place that is not there is made, as a writer of another release might.
        fragment = fragments(cell.kind, cell.field.family or "any", cell.encoding)[cell.way]
        value = _encode(_with(payload, cell.field.path, msgspec.Raw(fragment)), cell.encoding)
    record = HostileRecord(
        topic=place.topic(world.topics),
        partition=_partition(place, key, number),
        value=value,
        key=key,
        headers=base_headers(cell.message, world, number, raw),
        command_id=f"hostile-{number}" if cell.place == "commands" else None,
    )
    if cell.field.part != "field":
        _CHANGES[cell.field.part](record, cell, world, number, payload)
    return record


def _encode(payload: Any, encoding: Encoding) -> bytes:
    return msgspec.msgpack.encode(payload) if encoding == "msgpack" else msgspec.json.encode(payload)


def _with(payload: Any, path: tuple[str, ...], fragment: msgspec.Raw) -> Any:
    """The payload with the fragment at the path; what leads there is made where it is missing."""
    if not path:
        return fragment
    head, rest = path[0], path[1:]
    if head == "0":
        items = list(payload) if isinstance(payload, list | tuple) else []
        return [_with(items[0] if items else None, rest, fragment), *items[1:]]
    found = dict(payload) if isinstance(payload, dict) else {}
    return {**found, head: _with(found.get(head), rest, fragment)}


def _partition(place: Place, key: bytes | None, number: int) -> int:
    every = list(range(place.partitions))
    found: int = DefaultPartitioner()(key, every, every) if place.keyed_by_model and key else number % place.partitions
    return found


def _value(record: HostileRecord, cell: Cell, world: World, number: int, payload: Any) -> None:
    value, limit = record.value or b"", 1_048_576 - _ENVELOPE_BYTES
    nested = {"arrays": b"[" * DEEP * 10, "objects": b'{"a":' * DEEP * 5}
    if cell.encoding == "msgpack":
        nested = {"arrays": b"\x91" * DEEP * 10, "objects": b"\x81\xa1a" * DEEP * 5}
    plain: dict[str, bytes | None] = {
        "no bytes": b"",
        "as long as the topic takes": b'{"a":"%s"}' % (b"x" * (limit - 20)),
        "a list": b"[]",
        "a number": b"17",
        "a text": b'"text"',
        "another message": b'{"status":"ok","command_id":"c"}',
        "400 digits": b"9" * 400,
        "NaN": b"NaN",
        "bytes": b"\xff\xfe\xfd" * 7,
        "cut in the middle": value[: len(value) // 2],
        "null": None,
        **nested,
    }
    if cell.way == "a field that unpacks to 12 MB":
        record.value, record.transport = b'{"a":"%s"}' % (b"x" * PACKED_BYTES), "packed"
    elif cell.way == "another environment's":
        record.value = value if payload is None else _encode(another_environments(payload), cell.encoding)
    elif cell.way == "the same record again":
        record.times = 2
    else:
        record.value = plain[cell.way]


def _key(record: HostileRecord, cell: Cell, world: World, number: int, payload: Any) -> None:
    if cell.way == "12 MB that pack well":
        record.key, record.transport = b"k" * PACKED_BYTES, "packed"
        return
    record.key = {
        "no bytes": b"",
        "200 KB": b"k" * _HEADER_BYTES,
        "another model's name": b"somebody",
        "bytes": b"\xff\xfe",
        "null": None,
        "another environment's": f"{OTHER}.{MODEL}".encode(),
    }[cell.way]


def _header(record: HostileRecord, cell: Cell, world: World, number: int, payload: Any) -> None:
    name = cell.field.name
    values: dict[str, bytes | None] = {
        "no bytes": b"",
        "200 KB": b"h" * _HEADER_BYTES,
        "a word": b"seventeen",
        "10^30": b"1" + b"0" * 30,
        "2^63": b"%d" % 2**63,
        "-1": b"-1",
        "NaN": b"NaN",
        "bytes": b"\xff\xfe",
        "a value of somebody else's": forged(name, world, number),
        "null": None,
        "another environment's topic": f"{OTHER}.responses.{MODEL}".encode(),
        "the year 9999": b"253402300799999",
        "1970": b"0",
    }
    kept = [(each, value) for each, value in record.headers if each != name]
    if cell.way == "twice":
        said = dict(record.headers).get(name, forged(name, world, number))
        record.headers = [*kept, (name, said), (name, forged(name, world, number))]
        return
    record.headers = [*kept, (name, values[cell.way])]
    if cell.way == "200 KB" and name == "content-type":
        record.value = b"\xff" * 900_000  # together they are more than a dead letter may have


def _timestamp(record: HostileRecord, cell: Cell, world: World, number: int, payload: Any) -> None:
    now_ms = int(time.time() * 1_000)
    record.timestamp_ms = {
        "2^62": 2**62,
        "in 50 minutes": now_ms + 50 * 60_000,
        "in ten years": now_ms + 10 * _MS_A_YEAR,
        "1970": 1,
        "a year ago": now_ms - _MS_A_YEAR,
    }[cell.way]


def _other_partition(record: HostileRecord, cell: Cell, world: World, number: int, payload: Any) -> None:
    record.partition = (record.partition + 1) % BY_NAME[cell.place].partitions


def _batch(record: HostileRecord, cell: Cell, world: World, number: int, payload: Any) -> None:
    if cell.way == "2,000 records":
        record.times = FLOOD_RECORDS
    elif cell.way == "the same batch twice":
        record.times = 20
    elif cell.way == "a bomb of 230 MB":
        record.value, record.transport = b"\0" * BOMB_BYTES, "packed"
    else:
        ways: dict[str, Transport] = {"committed": "committed", "garbage": "garbage", "cut": "cut"}
        record.transport = ways.get(cell.way, "aborted")


_CHANGES = {
    "value": _value,
    "key": _key,
    "header": _header,
    "timestamp": _timestamp,
    "partition": _other_partition,
    "batch": _batch,
}
