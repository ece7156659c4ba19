"""Parts of a request: elements of datatype BYTES, and what travels beside it."""

from typing import Any

import pytest

from hotswap_stream.application.inference.byte_strings import pack_strings, texts_of, unpack_strings
from hotswap_stream.application.inference.gateway import BESIDE_CHARACTERS_MAX, DEADLINE_SECONDS_MAX, Beside


def test_what_is_packed_is_unpacked() -> None:
    values = ["", "a", "grüße", "\0", "😀"]
    packed = pack_strings(values)
    assert packed[:9] == b"\0\0\0\0\1\0\0\0a"
    assert unpack_strings(packed, len(values)) == values
    assert unpack_strings(memoryview(packed), len(values)) == values
    assert pack_strings([b"a"]) == pack_strings(["a"])
    assert unpack_strings(b"", 0) == []


def test_half_a_surrogate_pair_cannot_be_packed() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        pack_strings(["\ud800"])


@pytest.mark.parametrize(
    ("data", "count", "words"),
    [
        (b"", 1, "0 bytes cannot hold 1 elements"),
        (b"\0\0\0\0", 2**40, "cannot hold"),
        (b"\2\0\0\0a", 1, "element 0 ends after the last of 5 bytes"),
        (b"\xff\xff\xff\xffa", 1, "element 0 ends after"),
        (b"\4\0\0\0abcd\0\0\0", 2, "element 1 ends after the last of 11 bytes"),
        (b"\1\0\0\0\xff", 1, "element 0 is no UTF-8"),
        (b"\1\0\0\0ab", 1, "1 bytes follow the last of 1 elements"),
        (b"a", 0, "1 bytes follow"),
    ],
)
def test_bytes_that_are_none(data: bytes, count: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        unpack_strings(data, count)


def test_a_list_has_texts_and_bytes_of_texts_alone() -> None:
    assert texts_of(["a", b"b"]) == ["a", "b"]
    with pytest.raises(ValueError, match="element 1 is no UTF-8"):
        texts_of(["a", b"\xff"])
    with pytest.raises(ValueError, match="element 0 is a int; a text is needed"):
        texts_of([1])


@pytest.mark.parametrize("name", ["routing_key", "model_version", "traceparent"])
@pytest.mark.parametrize(
    ("text", "words"),
    [("", "0 characters"), ("x" * (BESIDE_CHARACTERS_MAX + 1), "characters"), ("a\nb", "control characters")],
)
def test_texts_beside_have_limits(name: str, text: str, words: str) -> None:
    fields: dict[str, Any] = {name: text}
    with pytest.raises(ValueError, match=f"{name} .*{words}"):
        Beside(**fields)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), DEADLINE_SECONDS_MAX + 1])
def test_deadlines_beside_have_limits(seconds: float) -> None:
    with pytest.raises(ValueError, match="deadline_s is"):
        Beside(deadline_s=seconds)


def test_what_fits_beside() -> None:
    beside = Beside(routing_key="x" * BESIDE_CHARACTERS_MAX, model_version="v1", deadline_s=DEADLINE_SECONDS_MAX)
    assert beside.deadline_s == DEADLINE_SECONDS_MAX
