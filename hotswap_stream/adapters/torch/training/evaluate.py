"""Measuring a classifier on a set of labeled images."""

import time
from collections.abc import Callable

import torch
from torch import nn

from hotswap_stream.adapters.torch.data.labeled_images import LabeledImages
from hotswap_stream.adapters.torch.modules.architectures import CLASSES
from hotswap_stream.application.training.evaluation import Evaluation

BATCH_ITEMS = 256
TIMED_ITEMS_MAX = 200

Clock = Callable[[], float]


def predict(module: nn.Module, data: LabeledImages, item_shape: tuple[int, ...]) -> torch.Tensor:
    """Return the class with the highest score per image, int64 [n]. The module should be in eval mode."""
    with torch.inference_mode():
        parts = torch.split(data.images.reshape(-1, *item_shape), BATCH_ITEMS)
        return torch.cat([module(part).argmax(1) for part in parts])


def evaluate(
    module: nn.Module,
    data: LabeledImages,
    item_shape: tuple[int, ...] = (1, 28, 28),
    compared_with: torch.Tensor | None = None,
    clock: Clock = time.perf_counter,
) -> Evaluation:
    """Return all figures of the module on the set; `compared_with` are another module's predictions on the same set."""
    predictions = predict(module, data, item_shape)
    confusion = torch.zeros(CLASSES, CLASSES, dtype=torch.int64)
    confusion.index_put_((data.labels, predictions), torch.ones_like(predictions), accumulate=True)
    right = confusion.diagonal().double()
    per_label, per_prediction = confusion.sum(1).double(), confusion.sum(0).double()
    f1 = 2 * right / (per_label + per_prediction).clamp(min=1)
    present = (per_label + per_prediction) > 0
    return Evaluation(
        validation_set=data.digest(),
        count=len(data),
        accuracy=float(right.sum() / len(data)),
        macro_f1=float(f1[present].mean()),
        class_accuracy=tuple((right / per_label.clamp(min=1)).tolist()),
        latency_ms_p95=_latency_ms_p95(module, data.images.reshape(-1, 1, *item_shape), clock),
        agreement=None if compared_with is None else float((predictions == compared_with).double().mean()),
    )


def _latency_ms_p95(module: nn.Module, items: torch.Tensor, clock: Clock) -> float:
    """Return the 95th percentile of inferences of one item each, without the first one, which is slower."""
    took_ms = []
    with torch.inference_mode():
        module(items[0])
        for item in items[:TIMED_ITEMS_MAX]:
            began = clock()
            module(item)
            took_ms.append((clock() - began) * 1_000)
    took_ms.sort()
    return took_ms[min(len(took_ms) - 1, int(len(took_ms) * 0.95))]
