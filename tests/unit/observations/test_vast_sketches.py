"""Sketches of more values than the library can count: it would never come back from merging them."""

import pytest

from hotswap_stream.application.observations.sketch import Sketch
from hotswap_stream.domain.versions.sketch_bytes import VALUES_MAX, wrong_sketch
from tests.support.samples.profiles import vast_sketch


def test_more_values_than_may_be_are_refused() -> None:
    assert f"at most {VALUES_MAX} values" in (wrong_sketch(vast_sketch(50)) or "")
    assert wrong_sketch(vast_sketch(49)) is None


def test_merging_ends_before_the_library_loses_count() -> None:
    sketch, half = Sketch(vast_sketch(48)), Sketch(vast_sketch(48))
    sketch.merge_sketch(half)
    assert sketch.count == VALUES_MAX
    assert wrong_sketch(sketch.encoded()) is None
    assert sketch.points() == [1.0]
    with pytest.raises(ValueError, match=f"{VALUES_MAX} and {VALUES_MAX // 2} values"):
        sketch.merge(vast_sketch(48))
    assert sketch.count == VALUES_MAX
