"""Series in several partitions: named where producers hash keys differently, passed over where the topic grew."""

from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_events.inference.windows import (
    WindowRecord,
    WindowRule,
    WindowsMarker,
    WindowStatusRecord,
    marker_key,
    window_key,
)
from hotswap_stream.application.monitoring.findings import series_finding
from hotswap_stream.application.windows.fold import WindowFold
from hotswap_stream.application.windows.split import SPLIT_NAMED_MAX, SplitSeries, split_series
from hotswap_stream.application.windows.view import model_windows
from hotswap_stream.kafka.topic_partitions import home_partitions, key_partition

PARTITIONS = 8
KEYS = [b"series-%d" % number for number in range(20)]


def folds_of(
    series: Mapping[int, Sequence[bytes]], partitions: int = PARTITIONS
) -> dict[int, WindowFold[WindowStatusRecord]]:
    record = WindowRecord(request_offset=1, input="x", datatype="FP32", features=1, steps=1, data=bytes(4))
    folds = {number: WindowFold(WindowStatusRecord) for number in range(partitions)}
    for partition, keys in series.items():
        for key in keys:
            folds[partition].apply(window_key("w1", key), msgspec.msgpack.encode(record))
    return folds


def test_two_ways_to_hash_are_told_and_one_is_not() -> None:
    one_way: dict[int, list[bytes]] = {}
    for key in KEYS:
        one_way.setdefault(sum(key) % PARTITIONS, []).append(key)
    assert split_series(folds_of(one_way), home_partitions) == SplitSeries(count=0, of=20, examples=())
    both = {number: list(one_way.get(number, ())) for number in range(PARTITIONS)}
    for key in KEYS:
        home = key_partition(key, PARTITIONS)
        if key not in both[home]:
            both[home].append(key)
    found = split_series(folds_of(both), home_partitions)
    assert found.of == 20
    assert 5 < found.count <= 20
    assert len(found.examples) == SPLIT_NAMED_MAX
    assert found.examples[0].startswith("series-")
    said = series_finding("loads", found)
    assert said is not None
    assert (said.weight, said.about) == ("must", "model loads")
    assert f"{found.count} of 20 series lie in several partitions" in said.found
    assert "murmur2_random" in said.do


@given(
    st.lists(st.binary(min_size=1, max_size=20), max_size=20), st.sampled_from([1, 2, 3]), st.sampled_from([1, 2, 4])
)
def test_a_topic_that_grew_splits_nothing(keys: list[bytes], begun_with: int, times: int) -> None:
    partitions = begun_with * times
    series: dict[int, list[bytes]] = {}
    for key in keys:
        for partition in {key_partition(key, begun_with), key_partition(key, partitions)}:
            series.setdefault(partition, []).append(key)
    assert split_series(folds_of(series, partitions), home_partitions).count == 0


@pytest.mark.parametrize("key", [b"k", b"\xff\xfe", b"a/w/b", b"x" * 100_000, b"\x1b[2J\n\r\x00"])
def test_any_key_can_be_named(key: bytes) -> None:
    away = [number for number in range(PARTITIONS) if number not in home_partitions(key, PARTITIONS)]
    found = split_series(folds_of({away[0]: [key], key_partition(key, PARTITIONS): [key]}), home_partitions)
    assert found.of == found.count == 1
    assert all(text.isprintable() and len(text) < 300 for text in found.examples), "a terminal obeys nothing in it"


def test_a_model_without_windows_has_no_series() -> None:
    nothing = split_series({}, home_partitions)
    assert nothing == SplitSeries(count=0, of=0, examples=())
    assert series_finding("loads", nothing) is None


def test_a_page_names_where_else_a_series_is_and_parts_no_key() -> None:
    key, other = b"b", b"z"
    home = key_partition(key, PARTITIONS)
    away = next(number for number in range(PARTITIONS) if number not in home_partitions(key, PARTITIONS))
    folds = folds_of({home: [key], away: [key]} | {key_partition(other, PARTITIONS): [other]})
    if key_partition(other, PARTITIONS) in (home, away):
        folds = folds_of({home: [key, other], away: [key]})
    for fold in folds.values():
        rule = WindowRule(input="x", datatype="FP32", features=1, steps=2)
        marker = WindowsMarker(next_offset=2, rule=rule, rule_number=1)
        fold.apply(marker_key("w1"), msgspec.msgpack.encode(marker))
    page = model_windows("loads", folds, None, home_partitions, after=None, limit=1)
    assert (page.total, page.split) == (3, 1)
    assert [(each.key, each.partition, each.also_in) for each in page.windows] == [
        ("b", each, (home + away - each,)) for each in sorted((home, away))
    ]
    rest = model_windows("loads", folds, None, home_partitions, after="b", limit=1)
    assert [(each.key, each.also_in) for each in rest.windows] == [("z", ())]
