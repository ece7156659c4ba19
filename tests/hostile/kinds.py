"""The kinds of hostility, what each puts into which family of fields, and why the others are left out."""

from functools import cache
from typing import Literal, get_args

import msgspec

from tests.hostile.fields import Family, Field

Kind = Literal[
    "empty",
    "huge",
    "deep",
    "wrong type",
    "extreme number",
    "NaN",
    "not UTF-8",
    "forged header",
    "tombstone",
    "wrong partition",
    "wrong prefix",
    "control batch",
    "corrupt compression",
    "duplicate",
    "from the future",
    "from the past",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Encoding = Literal["json", "msgpack"]

HUGE_BYTES = 300_000
"""The size of one field: a record of three of them still fits into a topic."""
HUGE_ITEMS = 50_000
DEEP = 30_000

_INTEGERS = (2**63 - 1, 2**63, 2**64 - 1, -(2**63), -1)
_FLOATS = ("1e200", "-1e308", "1.7976931348623157e308", "5e-324")
_FUTURE = ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00")
_PAST = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00")

Fragments = dict[str, bytes]
"""What it is, in a word or two → the bytes that stand for the field."""


@cache
def fragments(kind: Kind, family: Family, encoding: Encoding) -> Fragments:
    """What a field of this family may hold of this kind; empty where the kind makes no sense for it. Not to be
    changed."""
    return _json(kind, family) if encoding == "json" else _msgpack(kind, family)


def _json(kind: Kind, family: Family) -> Fragments:
    text, number = family in ("text", "choice", "time"), family == "number"
    container = family in ("list", "map", "object", "any")
    if kind == "empty":
        empty = {"list": b"[]", "map": b"{}", "object": b"{}", "text": b'""', "choice": b'""', "bytes": b'""'}
        return {"null": b"null"} | ({"empty": empty[family]} if family in empty else {})
    if kind == "huge":
        if family in ("text", "choice", "bytes"):
            return {"long": b'"%s"' % (b"x" * HUGE_BYTES)}
        if family in ("list", "any"):
            return {"many": b"[%s0]" % (b"0," * HUGE_ITEMS)}
        return {"many": _many_keys()} if family in ("map", "object") else {}
    if kind == "deep":
        return {"arrays": b"[" * DEEP + b"]" * DEEP} if container else {}
    if kind == "wrong type":
        wrong = {"list": b"{}", "map": b"[]", "object": b"17", "number": b'"seventeen"', "any": b"null"}
        return {"another": wrong.get(family, b"17")}
    if kind == "extreme number":
        if not number:
            return {}
        plain = {f"{value}": b"%d" % value for value in _INTEGERS} | {value: value.encode() for value in _FLOATS}
        return plain | {"400 digits": b"9" * 400, "1e999": b"1e999"}
    if kind == "NaN":
        return {"NaN": b"NaN", "Infinity": b"-Infinity"} if number or family == "any" else {}
    if kind == "not UTF-8":
        if text or family == "any":
            return {"bytes": b'"\xff\xfe"', "lone surrogate": b'"\\ud800"'}
        return {"key": b'{"\xff": 1}'} if family == "map" else {}
    times = {"from the future": _FUTURE, "from the past": _PAST}.get(kind, ())
    return {value: b'"%s"' % value.encode() for value in times} if family == "time" else {}


def _msgpack(kind: Kind, family: Family) -> Fragments:
    pack = msgspec.msgpack.encode
    text, number = family in ("text", "choice", "time"), family == "number"
    if kind == "empty":
        empty: dict[str, object] = {"list": [], "map": {}, "object": {}, "text": "", "choice": "", "bytes": b""}
        return {"null": pack(None)} | ({"empty": pack(empty[family])} if family in empty else {})
    if kind == "huge":
        if family in ("text", "choice"):
            return {"long": pack("x" * HUGE_BYTES)}
        if family in ("bytes", "any", "list"):
            return {"many": pack(b"\0" * HUGE_BYTES) if family == "bytes" else pack([0] * HUGE_ITEMS)}
        return {"many": pack({f"k{place}": 0 for place in range(HUGE_ITEMS)})} if family in ("map", "object") else {}
    if kind == "deep":
        return {"arrays": b"\x91" * DEEP + b"\xc0"} if family in ("list", "map", "object", "any") else {}
    if kind == "wrong type":
        wrong: dict[str, object] = {"list": {}, "map": [], "object": 17, "number": "seventeen", "any": None}
        return {"another": pack(wrong.get(family, 17))}
    if kind == "extreme number" and number:
        integers = {f"{value}": pack(value) for value in _INTEGERS if value < 2**64}
        return integers | {value: pack(float(value)) for value in _FLOATS}
    if kind == "NaN" and (number or family == "any"):
        return {"NaN": pack(float("nan")), "Infinity": pack(float("-inf"))}
    if kind == "not UTF-8":
        return {"bytes": b"\xa2\xff\xfe"} if text else {"key": b"\x81\xa1\xff\x01"} if family == "map" else {}
    times = {"from the future": _FUTURE, "from the past": _PAST}.get(kind, ())
    return {value: pack(value) for value in times} if family == "time" else {}


def _many_keys() -> bytes:
    return b"{%s}" % b",".join(b'"k%d":0' % place for place in range(HUGE_ITEMS))


PARTS: dict[str, dict[Kind, tuple[str, ...]]] = {
    "value": {
        "empty": ("no bytes",),
        "huge": ("as long as the topic takes", "a field that unpacks to 12 MB"),
        "deep": ("arrays", "objects"),
        "wrong type": ("a list", "a number", "a text", "another message"),
        "extreme number": ("400 digits",),
        "NaN": ("NaN",),
        "not UTF-8": ("bytes", "cut in the middle"),
        "tombstone": ("null",),
        "wrong prefix": ("another environment's",),
        "duplicate": ("the same record again",),
    },
    "key": {
        "empty": ("no bytes",),
        "huge": ("200 KB", "12 MB that pack well"),
        "wrong type": ("another model's name",),
        "not UTF-8": ("bytes",),
        "tombstone": ("null",),
        "wrong prefix": ("another environment's",),
    },
    "header": {
        "empty": ("no bytes",),
        "huge": ("200 KB",),
        "wrong type": ("a word",),
        "extreme number": ("10^30", "2^63", "-1"),
        "NaN": ("NaN",),
        "not UTF-8": ("bytes",),
        "forged header": ("a value of somebody else's",),
        "tombstone": ("null",),
        "wrong prefix": ("another environment's topic",),
        "duplicate": ("twice",),
        "from the future": ("the year 9999",),
        "from the past": ("1970",),
    },
    "timestamp": {
        "extreme number": ("2^62",),
        "from the future": ("in 50 minutes", "in ten years"),
        "from the past": ("1970", "a year ago"),
    },
    "partition": {"wrong partition": ("the next one",)},
    "batch": {
        "huge": ("2,000 records",),
        "control batch": ("aborted", "committed", "aborted, and nothing after it"),
        "corrupt compression": ("a bomb of 230 MB", "garbage", "cut"),
        "duplicate": ("the same batch twice",),
    },
}
"""What is done to the parts of a record that are not fields of its payload: part → kind → in which ways."""

NUMBER_HEADERS = ("hotswap-deadline-ms", "hotswap-request-offset", "kafka_replyPartition")
TOPIC_HEADERS = ("kafka_replyTopic", "hotswap-origin-topic")


def ways(kind: Kind, field: Field, encoding: Encoding) -> tuple[str, ...]:
    """In which ways this field can be hostile in this kind; empty where it cannot."""
    if field.part == "field":
        return tuple(fragments(kind, field.family or "any", encoding))
    found = PARTS[field.part].get(kind, ())
    if field.part == "header":
        if kind in ("extreme number", "NaN") and not field.name.startswith((*NUMBER_HEADERS, "hotswap-origin-")):
            return ()
        if kind == "wrong prefix" and field.name not in TOPIC_HEADERS:
            return ()
        if kind in ("from the future", "from the past") and field.name != "hotswap-deadline-ms":
            return ()
    return found


WHY_NOT: tuple[tuple[str, str], ...] = (
    ("empty, on a partition, a timestamp, a batch", "the protocol knows none without them"),
    ("huge, on numbers, flags and times", "a number of 400 digits is an extreme number; the others have one length"),
    ("deep, on texts, numbers, flags, times, keys, headers", "they hold nothing; what stands there is of a wrong type"),
    ("extreme number and NaN, on what is no number", "it is of a wrong type there"),
    ("not UTF-8, on numbers and flags", "they are no text; in the value as a whole it is tried"),
    ("forged header, on everything but headers", "a forged field of the payload is a wrong value of its own kind"),
    ("tombstone, on fields of the payload", "null there is `empty`"),
    ("wrong partition, on everything but the partition", "nothing else says where a record lies"),
    ("wrong prefix, on fields of the payload", "an environment is named by topics, keys and headers; the value as a "
     "whole is tried"),
    ("control batch and corrupt compression, on everything but batches", "only a batch has them"),
    ("duplicate, on fields, keys and timestamps", "the record as a whole, each header and the batch are tried"),
    ("from the future and from the past, on what holds no time", "it has none"),
)  # fmt: skip
"""Cells of the full product that are left out, and why."""
