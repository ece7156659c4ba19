"""Which records of a responses topic count, whatever was written there."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_events import headers as names
from hotswap_events.inference.answers import HEADERS_MAX, AnswerHeaders, AnswerRule, AnswerTags, offset_of, read_answer

TAGS = AnswerTags("hotswap").of("digits")


def answer_headers(offset: int, tags: Any = TAGS, partition: int = 0) -> list[tuple[Any, Any]]:
    return [
        (names.CONTENT_TYPE, b"application/msgpack"),
        (names.REQUEST_OFFSET, b"%d" % offset),
        (names.STATUS, b"ok"),
        (names.ANSWER_TAG, tags.tag(partition, offset)),
    ]


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        (b"0", 0),
        (b"41872", 41_872),
        (b"007", 7),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", None),
        (b"1" * 20, None),
        (b"9" * 5_000, None),  # int() of the standard library refuses more than 4,300 digits
        (b"", None),
        (b"-1", None),
        (b"+1", None),
        (b" 1", None),
        (b"1\n", None),
        (b"1_000", None),
        (b"1e3", None),
        (b"0x10", None),
        ("٣".encode(), None),
        (b"\xff\xfe", None),
        (None, None),
        ("7", None),
        (7, None),
    ],
)
def test_an_offset_is_ascii_digits_within_bounds(text: Any, offset: int | None) -> None:
    """Issue: `1_000`, -1 and 2^70 were offsets to some readers, and ended others with a ValueError."""
    assert offset_of(text) == offset


def test_headers_of_an_answer() -> None:
    assert read_answer(answer_headers(7)) == AnswerHeaders(7, TAGS.tag(0, 7), True, True)
    assert read_answer([(names.REQUEST_OFFSET, b"7")]) == AnswerHeaders(7, None, False, False)
    assert read_answer([("other", b"\xff"), (names.REQUEST_OFFSET, b"7"), ("other", None)]) is not None


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        [(names.STATUS, b"ok")],
        [(names.REQUEST_OFFSET, None)],
        [(names.REQUEST_OFFSET.encode(), b"7")],
        [*answer_headers(7), (names.REQUEST_OFFSET, b"7")],
        [*answer_headers(7), (names.REQUEST_OFFSET, b"x")],
        [*answer_headers(7), (names.ANSWER_TAG, b"0" * 16)],
        [*answer_headers(7), (names.STATUS, b"error")],
        [("x", b"")] * HEADERS_MAX + answer_headers(7),
    ],
)
def test_what_is_no_answer(headers: Any) -> None:
    assert read_answer(headers) is None


def test_a_tag_holds_for_its_request_alone() -> None:
    for offset in (0, 1, 7, 8, 4_095, 2**63 - 1):
        tag = TAGS.tag(3, offset)
        assert len(tag) == 16
        assert TAGS.holds(3, offset, tag)
        assert not TAGS.holds(3, offset ^ 1, tag)
        assert not TAGS.holds(3, offset ^ 8, tag)
        assert not TAGS.holds(2, offset, tag)
        assert not AnswerTags("hotswap").of("digit").holds(3, offset, tag)
        assert not AnswerTags("staging").of("digits").holds(3, offset, tag)
        assert not AnswerTags("hotswap", ["a secret"]).of("digits").holds(3, offset, tag)
    for wrong in (None, b"", b"0" * 16, TAGS.tag(3, 7)[:15], TAGS.tag(3, 7) + b"0", TAGS.tag(3, 7).upper() + b" "):
        assert not TAGS.holds(3, 7, wrong)


def test_a_key_is_handed_over_without_a_gap() -> None:
    old, both, new = (AnswerTags("p", keys).of("m") for keys in (["old"], ["new", "old"], ["new"]))
    assert both.tag(0, 5) == new.tag(0, 5) != old.tag(0, 5)
    assert both.holds(0, 5, old.tag(0, 5))
    assert both.holds(0, 5, new.tag(0, 5))
    assert not new.holds(0, 5, old.tag(0, 5))
    with pytest.raises(ValueError, match="at most 4"):
        AnswerTags("p", ["key"] * 5)


def test_a_secret_is_good_for_one_environment() -> None:
    assert AnswerTags("one", ["s"]).of("m").tag(0, 1) != AnswerTags("two", ["s"]).of("m").tag(0, 1)


def test_the_rule_counts_each_answer_once_and_nothing_else() -> None:
    rule = AnswerRule(0, TAGS)
    forged = [(names.REQUEST_OFFSET, b"9223372036854775807"), (names.STATUS, b"ok")]
    of_another = answer_headers(900, AnswerTags("staging").of("digits"))
    given = [
        *(answer_headers(offset) for offset in (0, 1)),
        forged,
        of_another,
        answer_headers(1),
        None,
        answer_headers(2),
        answer_headers(0),
        answer_headers(5),
    ]
    valid = [found.request_offset for headers in given if (found := rule.take(headers)) is not None]
    assert valid == [0, 1, 2, 5]
    assert (rule.highest, rule.void, rule.untagged, rule.no_answers) == (5, 2, 2, 1)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), max_size=30))
def test_batches_that_a_producer_wrote_twice_count_once(batches: list[tuple[int, int]]) -> None:
    """As librdkafka does at times with what it heard nothing of (its issue 4953). Each batch: answers, go back by."""
    written: list[int] = []
    behind = 0
    for count, back in batches:
        written += range(behind, behind + count)
        behind += count
        written += range(max(0, behind - back), behind)
    rule = AnswerRule(0, TAGS)
    taken = [rule.take(answer_headers(offset)) for offset in written]
    assert [answer.request_offset for answer in taken if answer is not None] == list(range(behind))
    assert rule.void == len(written) - behind


def test_who_has_no_key_follows_the_rule_without_proof() -> None:
    rule = AnswerRule(0, None)
    offsets = [rule.take([(names.REQUEST_OFFSET, b"%d" % offset)]) for offset in (3, 3, 2, 4)]
    assert [None if found is None else found.request_offset for found in offsets] == [3, None, None, 4]


def test_nothing_raises() -> None:
    """A record whose offset header was malformed ended the agents."""
    chance = random.Random(17)
    odd: list[Any] = [None, b"", b"\xff", "text", 7, b"9" * 10_000, b"-3", b"1_0", "²", b"12", ("a",), [], {}]
    keys: list[Any] = [*(names.REQUEST_OFFSET, names.ANSWER_TAG, names.STATUS, names.CONTENT_TYPE), b"\xff", None, 3]
    rule = AnswerRule(0, TAGS)
    for _ in range(5_000):
        headers = [(chance.choice(keys), chance.choice(odd)) for _ in range(chance.randrange(6))]
        assert rule.take(headers) is None
    assert rule.no_answers + rule.untagged == 5_000
    assert min(rule.no_answers, rule.untagged) > 0
