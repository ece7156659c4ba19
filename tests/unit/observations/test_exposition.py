"""Metrics as text: what prometheus_client's own parser reads of it is what was written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from hotswap_stream.observability.exposition import exposition
from hotswap_stream.observability.metric_spec import Distribution, Family, MetricSpec, single
from hotswap_stream.observability.metrics import catalogue

GAUGE = MetricSpec(name="height", kind="gauge", labels=("a", "b"), documentation='With \\ and "quotes"\nin two lines.')
SIZES = MetricSpec(name="sizes", kind="histogram", labels=("a",), bounds=(0.5, 2.0), documentation="Sizes.")

values = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)
label = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(st.tuples(label, label), values, max_size=5))
def test_whatever_labels_and_numbers_there_are_they_are_read_back(figures: dict[tuple[str, str], float]) -> None:
    family = Family(GAUGE, [(GAUGE.labelled(*labels), value) for labels, value in figures.items()])
    (found,) = text_string_to_metric_families(exposition([family]))
    assert (found.name, found.type, found.documentation) == ("height", "gauge", GAUGE.documentation)
    assert {(sample.labels["a"], sample.labels["b"]): sample.value for sample in found.samples} == figures


def test_numbers_that_are_none_are_written_as_prometheus_knows_them() -> None:
    text = exposition([single(GAUGE, math.nan), single(GAUGE, math.inf), single(GAUGE, -math.inf)])
    assert [line for line in text.splitlines() if line[0] != "#"] == ["height NaN", "height +Inf", "height -Inf"]


def test_buckets_are_added_up_and_the_last_one_is_the_count() -> None:
    family = Family(SIZES, [(SIZES.labelled("100 %d"), Distribution((3, 0, 4), 12.5))])
    (found,) = text_string_to_metric_families(exposition([family]))
    buckets = {sample.labels["le"]: sample.value for sample in found.samples if sample.name == "sizes_bucket"}
    assert buckets == {"0.5": 3, "2.0": 3, "+Inf": 7}
    assert {sample.name: sample.value for sample in found.samples if "le" not in sample.labels} == {
        "sizes_sum": 12.5,
        "sizes_count": 7,
    }


def test_a_number_is_no_distribution_and_the_other_way_round() -> None:
    with pytest.raises(TypeError, match="sizes is a histogram"):
        exposition([Family(SIZES, [(SIZES.labelled("x"), 1.0)])])
    with pytest.raises(TypeError, match="height is a gauge"):
        exposition([Family(GAUGE, [(GAUGE.labelled("x", "y"), Distribution((), 0.0))])])


def test_the_catalogue_keeps_prometheus_rules_for_names() -> None:
    names = [spec.name for spec in catalogue()]
    assert len(set(names)) == len(names) > 40
    for spec in catalogue():
        assert spec.name.endswith("_total") == (spec.kind == "counter"), spec.name
        assert ("seconds" in spec.name) == spec.unit.startswith("seconds"), spec.name
        assert bool(spec.bounds) == (spec.kind == "histogram"), spec.name
        assert list(spec.bounds) == sorted(spec.bounds), spec.name
        assert spec.documentation.endswith("."), spec.name
