"""Requests by their numbers: what their producer wrote twice is told from what moved, changed or is not there."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.torture.findings import Findings, Place
from tests.torture.request_kinds import Asked
from tests.torture.request_table import RequestTable

PARTITION = 46


def _put(numbers: Sequence[int], changed: Sequence[int] = ()) -> tuple[RequestTable, Findings]:
    """Requests in the order of their offsets; those at the offsets `changed` have other contents."""
    findings = Findings()
    table = RequestTable(PARTITION, len(numbers), findings)
    for offset, number in enumerate(numbers):
        table.put(offset, 1_000 + offset, Asked("json", number), checksum=1_000 * (offset in changed) + number)
    table.finish()
    return table, findings


@pytest.mark.parametrize(
    ("numbers", "repeats"),
    [
        ([], []),
        ([0, 1, 2, 3], []),
        ([0, 1, 2, 0, 1, 2, 3], [3, 4, 5]),
        ([0, 1, 2, 2, 3], [3]),
        ([0, 1, 2, 1, 2], [3, 4]),
        ([0, 1, 2, 1, 2, 1, 2, 3], [3, 4, 5, 6]),  # twice in a row
        ([0, 1, 2, 1, 1, 2, 3], [3, 4, 5]),  # and broken off the first time
        ([0, 0, 1, 1, 2], [1, 3]),
    ],
)
def test_what_was_written_twice_is_counted_and_no_problem(numbers: list[int], repeats: list[int]) -> None:
    table, findings = _put(numbers)
    assert findings.counts == {}, findings.examples
    assert table.repeats == repeats
    assert table.different == len(set(numbers))
    assert all(table.is_repeat(offset) == (offset in repeats) for offset in range(len(numbers)))
    assert [table.first_offset(offset) for offset in repeats] == [numbers.index(numbers[offset]) for offset in repeats]


@pytest.mark.parametrize(
    ("numbers", "problems"),
    [
        ([0, 1, 3, 3], {"request-moved": 1, "request-lost": 1}),  # 2 is not there
        ([1, 2, 3], {"request-moved": 2, "request-lost": 1}),  # nor is 0; and 3 cannot be of three
        ([0, 2, 1, 3], {"request-moved": 3}),
        ([0, 1, 2, 3, 1, 2, 4], {"request-moved": 1}),  # written twice, but not up to the last one
        ([0, 1, 2, 3, 1, 3, 4], {"request-moved": 1}),  # one is left out
        ([0, 1, 2, 3, 1], {"request-moved": 1}),  # and none follows
        ([0, 1, 2, 9_999_999_999], {"request-moved": 1, "request-lost": 1}),
        ([0, 1, 2, -1, 3], {"request-moved": 2}),
    ],
)
def test_what_moved_or_is_not_there_is_found(numbers: list[int], problems: dict[str, int]) -> None:
    _, findings = _put(numbers)
    assert findings.counts == problems, findings.examples


def test_a_repetition_with_other_contents_is_found() -> None:
    _, findings = _put([0, 1, 2, 1, 2, 3], changed=[4])
    assert findings.counts == {"request-changed": 1}
    assert findings.places == [Place(PARTITION, 4)]


def test_the_batch_that_failed_a_run_is_told_from_requests_that_moved() -> None:
    """Partition 46 of seed 77177: six requests again, and all after them six offsets later than their numbers."""
    table, findings = _put([*range(69), *range(63, 5_625)])
    assert (findings.counts, len(table.repeats), table.different) == ({}, 6, 5_625)
    assert (table.number(69), table.first_offset(69), table.number(75)) == (63, 63, 69)


@given(st.lists(st.integers(0, 30), max_size=60))
def test_each_request_counts_once_in_whatever_order_they_stand(numbers: list[int]) -> None:
    table, findings = _put(numbers)
    below = [number for number in numbers if number < len(numbers)]
    assert table.different == len(set(below))
    if not findings.counts:
        first_ones = [number for place, number in enumerate(numbers) if number not in numbers[:place]]
        assert first_ones == list(range(len(first_ones))), "they stand in order when nothing is found"
        assert len(table.repeats) == len(numbers) - len(first_ones)
