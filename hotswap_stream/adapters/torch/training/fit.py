"""The training loop."""

from collections.abc import Callable

import torch
from msgspec import Struct
from torch import nn
from torch.nn import functional

from hotswap_stream.adapters.torch.data.labeled_images import LabeledImages
from hotswap_stream.errors import HotswapError

WARM_UP_SHARE = 0.25
"""Share of the steps in which the learning rate climbs to its peak; after that it falls to nothing."""


class TrainingDivergedError(HotswapError):
    """The loss is no longer a number."""


class FitOptions(Struct, frozen=True, kw_only=True):
    """How a classifier is trained."""

    epochs: int
    batch_size: int
    learning_rate: float
    """The peak of the schedule."""
    seed: int


class FitProgress(Struct, frozen=True, kw_only=True):
    """How far training is after a step. `loss` and `accuracy` (0 to 1) are means over the epoch so far."""

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float


def fit(
    module: nn.Module,
    data: LabeledImages,
    options: FitOptions,
    on_progress: Callable[[FitProgress], None],
    item_shape: tuple[int, ...] = (1, 28, 28),
) -> FitProgress:
    """Train a classifier in place, and return the last epoch's figures.

    The same module, data, options and number of threads give the same weights.

    Args:
        module: The classifier.
        data: What it is trained on.
        options: Epochs, batch size, learning rate and seed.
        on_progress: Called after each tenth of an epoch and at its end.
        item_shape: The shape in which one image is handed over.

    Raises:
        TrainingDivergedError: The loss is no longer a number.
    """
    images = data.images.reshape(-1, *item_shape)
    generator = torch.Generator().manual_seed(options.seed)
    steps_per_epoch = -(-len(data) // options.batch_size)
    steps = steps_per_epoch * options.epochs
    report_every = max(1, steps_per_epoch // 10)
    optimizer = torch.optim.AdamW(module.parameters(), lr=options.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    module.train()
    step = 0
    progress = FitProgress(epoch=0, step=0, steps=steps, loss=0.0, accuracy=0.0)
    for epoch in range(1, options.epochs + 1):
        loss_sum, right, seen = 0.0, 0, 0
        for rows in torch.split(torch.randperm(len(data), generator=generator), options.batch_size):
            scores = module(images[rows])
            loss = functional.cross_entropy(scores, data.labels[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            step += 1
            loss_sum += loss.item() * len(rows)
            right += int((scores.argmax(1) == data.labels[rows]).sum())
            seen += len(rows)
            if not torch.isfinite(loss):
                raise TrainingDivergedError(
                    f"the loss is {loss.item()} in epoch {epoch}, step {step}: "
                    f"the learning rate {options.learning_rate} may be too high"
                )
            if step % report_every == 0 or seen == len(data):
                progress = FitProgress(epoch=epoch, step=step, steps=steps, loss=loss_sum / seen, accuracy=right / seen)
                on_progress(progress)
    module.eval()
    return progress


def _rate(step: int, steps: int) -> float:
    """Return the share of the peak learning rate: up in a line, then down in a line."""
    peak = max(1.0, steps * WARM_UP_SHARE)
    return min((step + 1) / peak, max(0.0, (steps - step) / max(1.0, steps - peak)))
