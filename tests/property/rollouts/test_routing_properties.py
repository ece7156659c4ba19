"""Whatever the keys and weights: shares as told, users kept, arms of other rollouts independent."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.domain.rollouts.routing import (
    WEIGHT_TOTAL,
    arm_of,
    arms_of,
    intervals_of,
    slot_of,
    weights_of,
    wrong_weights,
)

KEYS = st.binary(max_size=40)
SALTS = st.text(max_size=20)
SAMPLE = [b"user-%d" % number for number in range(2_000)]


@st.composite
def _challengers(draw: st.DrawFn, within_room: bool = False) -> list[int]:
    count = draw(st.integers(1, 6))
    weights: list[int] = []
    for _number in range(count):
        most = WEIGHT_TOTAL // count if within_room else WEIGHT_TOTAL - sum(weights)
        weights.append(draw(st.integers(0, most)))
    return weights


@given(_challengers())
def test_each_arm_has_as_many_slots_as_its_weight(challengers: list[int]) -> None:
    weights = weights_of(*challengers)
    assert wrong_weights(weights) is None
    intervals = sorted(each for each in intervals_of(weights) if each[0] < each[1])
    assert all(end <= start for (_, end), (start, _) in pairwise(intervals))
    assert all(0 <= start <= end <= WEIGHT_TOTAL for start, end in intervals)
    assert sorted(end - start for start, end in intervals) == sorted(weight for weight in challengers if weight)


@given(KEYS, SALTS, _challengers())
def test_one_key_and_many_find_the_same_arm(key: bytes, salt: str, challengers: list[int]) -> None:
    weights = weights_of(*challengers)
    assert 0 <= slot_of(key, salt) < WEIGHT_TOTAL
    assert arms_of([key, b"other", key], salt, weights)[::2] == [arm_of(key, salt, weights)] * 2


@given(SALTS, st.integers(0, WEIGHT_TOTAL), st.integers(0, WEIGHT_TOTAL))
def test_a_growing_challenger_keeps_its_users(salt: str, one: int, other: int) -> None:
    before = arms_of(SAMPLE, salt, weights_of(min(one, other)))
    after = arms_of(SAMPLE, salt, weights_of(max(one, other)))
    assert all(new == 1 for old, new in zip(before, after, strict=True) if old == 1)


@given(SALTS, _challengers(within_room=True), st.data())
def test_changing_one_challenger_moves_nobody_between_others(
    salt: str, challengers: list[int], data: st.DataObject
) -> None:
    changed = data.draw(st.integers(0, len(challengers) - 1))
    others = list(challengers)
    others[changed] = data.draw(st.integers(0, WEIGHT_TOTAL // len(challengers)))
    before = arms_of(SAMPLE, salt, weights_of(*challengers))
    after = arms_of(SAMPLE, salt, weights_of(*others))
    moved = {frozenset((old, new)) for old, new in zip(before, after, strict=True) if old != new}
    assert moved <= {frozenset((0, changed + 1))}


@given(st.lists(SALTS, min_size=2, max_size=2, unique=True), st.integers(1_000, 9_000))
def test_salts_are_independent(salts: list[str], weight: int) -> None:
    first, second = (arms_of(SAMPLE, salt, weights_of(weight)) for salt in salts)
    both = sum(one and other for one, other in zip(first, second, strict=True)) / len(SAMPLE)
    share = weight / WEIGHT_TOTAL
    # Six standard deviations of a count of independent pairs: one of 10^9 draws is further off.
    assert abs(both - share**2) < 6 * (share**2 * (1 - share**2) / len(SAMPLE)) ** 0.5
