"""What counts as the same answer."""

from typing import Any

import numpy as np
import pytest

from hotswap_stream.client.publishing.comparing import compare
from hotswap_stream.client.publishing.differences import Comparison
from hotswap_stream.client.publishing.errors import ExampleError

ROWS = np.arange(8, dtype=np.float32).reshape(4, 2)
SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.7, 0.3]], np.float32)


def compared(wanted: dict[str, Any], found: dict[str, Any], **wishes: Any) -> Comparison:
    chosen = {"classifies": True, "difference_max": None, "label_agreement_min": 1.0, **wishes}
    return compare({"x": ROWS}, wanted, found, **chosen)


def test_rounding_is_no_difference() -> None:
    result = compared({"p": SCORES.astype(np.float64) + 3e-8}, {"p": SCORES})
    assert result.reasons == ()
    assert result.label_agreement == 1.0
    (difference,) = result.differences
    assert difference.output == "p"
    assert difference.allowed == pytest.approx(9e-5)
    assert 0 < difference.absolute < 1e-7
    assert result.metrics().keys() == {
        "conversion.rows",
        "conversion.max_abs_difference",
        "conversion.max_relative_difference",
        "conversion.label_agreement",
        "conversion.undecided_rows",
    }


def test_a_difference_is_a_part_of_the_largest_number() -> None:
    large = np.array([[1e6], [2e6], [3e6], [4e6]], np.float32)
    assert compared({"y": large + 300}, {"y": large}).reasons == ()
    assert "off by 500" in compared({"y": large + 500}, {"y": large}).reasons[0]
    small = large / np.float32(1e12)
    assert compared({"y": small * 1.01}, {"y": small}).reasons != ()


def test_the_worst_row_is_shown() -> None:
    found = SCORES.copy()
    found[1] = [0.3, 0.7]
    result = compared({"p": SCORES}, {"p": found})
    assert result.differences[0].worst_row == 1
    (reason,) = result.reasons
    assert (
        "row 1: for x=[2, 3] the model answers [0.200000003, 0.800000012], its graph [0.300000012, 0.699999988]"
        in reason
    )


def test_more_is_allowed_where_the_caller_says_so() -> None:
    assert compared({"p": SCORES}, {"p": SCORES + np.float32(0.01)}).reasons != ()
    assert compared({"p": SCORES}, {"p": SCORES + np.float32(0.01)}, difference_max=0.02).reasons == ()


def test_a_label_must_agree_but_where_the_model_itself_is_undecided() -> None:
    labels = np.array(["a", "b", "a", "a"])
    undecided = compared({"l": labels, "p": SCORES}, {"l": np.array(["a", "b", "b", "a"], object), "p": SCORES})
    assert undecided.reasons == ()
    assert (undecided.label_agreement, undecided.undecided_rows) == (0.75, 1)
    wrong = {"l": np.array(["b", "b", "a", "a"], object), "p": SCORES}
    (reason,) = compared({"l": labels, "p": SCORES}, wrong).reasons
    assert "labels of 1 of 4 rows differ" in reason
    assert "the first is row 0: for x=[0, 1] the model answers l ['a'], p" in reason
    assert compared({"l": labels, "p": SCORES}, wrong, label_agreement_min=0.7).reasons == ()


def test_labels_without_scores_must_agree() -> None:
    numbers = np.arange(4)
    assert compared({"l": numbers}, {"l": numbers.reshape(4, 1)}).reasons == ()
    assert compared({"l": numbers}, {"l": numbers[::-1]}).reasons != ()


def test_the_highest_score_is_no_label_of_what_does_not_classify() -> None:
    assert compared({"y": SCORES}, {"y": SCORES}, classifies=False).label_agreement is None


def test_nan_is_the_same_as_nan_alone() -> None:
    holey = SCORES.copy()
    holey[0, 0] = np.nan
    assert compared({"p": holey}, {"p": holey}, classifies=False).reasons == ()
    assert compared({"p": holey}, {"p": SCORES}, classifies=False).reasons != ()
    assert compared({"p": SCORES}, {"p": holey}, classifies=False).reasons != ()


def test_what_has_another_number_of_values_is_no_answer_to_the_same() -> None:
    with pytest.raises(ExampleError, match=r"'p' has shape \[4, 2\] for the example, the model's own \[4, 1\]"):
        compared({"p": SCORES[:, :1]}, {"p": SCORES})
