"""Values that no good sender writes, put in the place of each part of a good message in turn."""

from collections.abc import Iterator
from typing import Any

import msgspec

EXTREMES: tuple[tuple[str, bytes], ...] = (
    ("null", b"null"),
    ("true", b"true"),
    ("zero", b"0"),
    ("minus-one", b"-1"),
    ("2^31", b"2147483648"),
    ("2^53", b"9007199254740993"),
    ("2^63", b"9223372036854775808"),
    ("2^64", b"18446744073709551616"),
    ("minus-2^63-1", b"-9223372036854775809"),
    ("10^40", b"1" + b"0" * 40),
    ("10^5000", b"1" + b"0" * 5_000),
    ("fraction", b"0.5"),
    ("1e-320", b"1e-320"),
    ("1e200", b"1e200"),
    ("minus-1e200", b"-1e200"),
    ("1e308", b"1.7e308"),
    ("1e400", b"1e400"),
    ("NaN", b"NaN"),
    ("empty-text", b'""'),
    ("long-text", b'"' + b"x" * 70_000 + b'"'),
    ("no-UTF-8", b'"\xff\xfe"'),
    ("NUL", b'"\\u0000"'),
    ("half-a-pair", b'"\\ud800"'),
    ("year-1", b'"0001-01-01T00:00:00+23:59"'),
    ("year-9999", b'"9999-12-31T23:59:59-23:59"'),
    ("empty-list", b"[]"),
    ("empty-object", b"{}"),
    ("odd-keys", b'{"":1e308,"-1":2,"99999999999999999999":3}'),
    ("deep", b"[" * 2_000 + b"]" * 2_000),
    ("deeper", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
)


def hostile(message: bytes) -> Iterator[tuple[str, bytes]]:
    """Each part of the JSON object replaced by each of the extremes: what was done, and the text."""
    good = msgspec.json.decode(message)
    for path in _paths(good):
        for name, value in EXTREMES:
            yield f"{'.'.join(map(str, path))}={name}", _with(good, path, value)
    for name, value in EXTREMES:
        yield f"all={name}", value
    yield "empty", b""
    yield "cut", message[: len(message) // 2]


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*path, key)
        yield from _paths(part, (*path, key))


def _with(value: Any, path: tuple[str | int, ...], replacement: bytes) -> bytes:
    if not path:
        return replacement
    key, rest = path[0], path[1:]
    if isinstance(value, dict):
        parts = [
            msgspec.json.encode(name) + b":" + (_with(part, rest, replacement) if name == key else _encoded(part))
            for name, part in value.items()
        ]
        return b"{" + b",".join(parts) + b"}"
    listed = [_with(part, rest, replacement) if at == key else _encoded(part) for at, part in enumerate(value)]
    return b"[" + b",".join(listed) + b"]"


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)
