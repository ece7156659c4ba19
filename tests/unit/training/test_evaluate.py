"""Figures of an evaluation, against values worked out by hand."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from hotswap_stream.adapters.torch.data.labeled_images import LabeledImages
from hotswap_stream.adapters.torch.training.evaluate import evaluate, predict


class _Tells(nn.Module):
    """Answers the class written into an image's first pixel, in tenths."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        told = (images.flatten(1)[:, 0] * 10).round().long()
        return nn.functional.one_hot(told, 10).float()


def _told(labels: list[int], answers: list[int]) -> LabeledImages:
    images = torch.zeros(len(labels), 1, 28, 28)
    images[:, 0, 0, 0] = torch.tensor(answers) / 10
    return LabeledImages(images=images, labels=torch.tensor(labels), description={"source": "test"})


def test_a_perfect_module() -> None:
    found = evaluate(_Tells(), _told(list(range(10)), list(range(10))))
    assert (found.accuracy, found.macro_f1, found.class_accuracy, found.count) == (1.0, 1.0, (1.0,) * 10, 10)
    assert found.agreement is None
    assert "agreement" not in found.figures()


def test_mistakes_show_where_they_are() -> None:
    data = _told(labels=[0, 0, 0, 0, 1, 1, 2], answers=[0, 0, 0, 1, 1, 2, 2])
    found = evaluate(_Tells(), data)
    assert found.accuracy == pytest.approx(5 / 7)
    assert found.class_accuracy[:4] == (0.75, 0.5, 1.0, 0.0)
    # F1 by hand: class 0 has 3 right of 4 with no wrong claim, 6/7; class 1 2/4; class 2 2/3.
    assert found.macro_f1 == pytest.approx((6 / 7 + 2 / 4 + 2 / 3) / 3)
    assert found.validation_set == data.digest()


def test_a_class_that_is_only_claimed_counts_against_f1() -> None:
    found = evaluate(_Tells(), _told(labels=[0, 0], answers=[0, 5]))
    assert found.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_agreement_counts_equal_answers_right_or_wrong() -> None:
    data = _told(labels=[0, 1, 2, 3], answers=[9, 1, 2, 4])
    other = torch.tensor([9, 1, 3, 3])
    found = evaluate(_Tells(), data, compared_with=other)
    assert found.agreement == 0.5
    assert found.figures()["agreement"] == 0.5


def test_latency_is_the_95th_percentile_of_single_items() -> None:
    def ticks() -> Iterator[float]:
        now = 0.0
        for item in range(100):
            yield now
            now += (item + 1) / 1_000
            yield now

    readings = ticks()
    found = evaluate(_Tells(), _told([0] * 100, [0] * 100), clock=lambda: next(readings))
    assert found.latency_ms_p95 == pytest.approx(96)


def test_figures_are_flat_and_complete() -> None:
    found = evaluate(_Tells(), _told([0, 1], [0, 1])).figures()
    assert {"accuracy", "macro_f1", "latency_ms_p95", "count", "accuracy_class_0", "accuracy_class_9"} <= set(found)
    assert all(isinstance(value, float) for value in found.values())


def test_predictions_do_not_depend_on_the_batches() -> None:
    answers = torch.randint(0, 10, (600,), generator=torch.Generator().manual_seed(0)).tolist()
    assert predict(_Tells(), _told(answers, answers), (784,)).tolist() == answers
