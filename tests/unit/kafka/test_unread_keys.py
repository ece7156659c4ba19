"""Keys that no field reads are found, wherever they stand."""

from typing import Any

import msgspec
import pytest

from hotswap_stream.application.unread_keys import unread_key


class Step(msgspec.Struct, tag="step", tag_field="kind"):
    weight: int = 0


class Body(msgspec.Struct):
    name: str = ""
    steps: tuple[Step, ...] = ()
    free: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"name": "a", "steps": [{"kind": "step", "weight": 1}]}, None),
        ({"name": "a", "nmae": "b"}, "nmae"),
        ({"steps": [{"kind": "step"}, {"kind": "step", "wieght": 1}]}, "steps.1.wieght"),
        ({"free": {"anything": {"goes": 1}}}, None),
    ],
)
def test_the_first_key_that_no_field_reads_is_named(given: dict[str, Any], expected: str | None) -> None:
    assert unread_key(given, msgspec.convert(given, Body)) == expected
