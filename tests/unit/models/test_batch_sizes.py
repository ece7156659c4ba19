"""Padding: every number of rows finds the smallest size that holds it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.adapters.models.batch_sizes import batch_sizes, pad_rows, size_table


@given(st.integers(1, 2_000))
def test_sizes_rise_from_one_to_the_largest(rows_max: int) -> None:
    sizes = batch_sizes(rows_max)
    assert sizes[0] == 1
    assert sizes[-1] == rows_max
    assert list(sizes) == sorted(set(sizes))


@given(st.integers(1, 600))
def test_the_table_answers_the_smallest_size_that_fits(rows_max: int) -> None:
    sizes = batch_sizes(rows_max)
    table = size_table(sizes)
    assert len(table) == rows_max + 1
    assert [table[rows] for rows in range(1, rows_max + 1)] == [
        min(size for size in sizes if size >= rows) for rows in range(1, rows_max + 1)
    ]


@given(st.integers(16, 600))
def test_above_sixteen_rows_at_most_a_quarter_is_added(rows: int) -> None:
    assert size_table(batch_sizes(1_024))[rows] <= rows * 1.25


def test_padding_adds_zero_rows_of_the_same_type() -> None:
    padded = pad_rows(np.ones((3, 2), np.float16), 5)
    assert padded.dtype == np.float16
    assert padded.tolist() == [[1, 1]] * 3 + [[0, 0]] * 2


def test_no_rows_are_no_size() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        batch_sizes(0)
