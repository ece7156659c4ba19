"""Fitting a torch module by steps, with progress and figures for each epoch. The same seed gives the same weights."""

from collections.abc import Callable

import torch
from torch import nn

from hotswap_stream.adapters.torch.training.fit import TrainingDivergedError
from hotswap_stream.application.trainers.job import TrainingJob

WARM_UP_SHARE = 0.25
GRADIENT_NORM_MAX = 5.0


def held_out_rows(count: int, share: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rows to train on and those to measure on; of one row it is the same."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    held_out = min(count - 1, max(1, round(count * share)))
    return (order, order) if count == 1 else (order[held_out:], order[:held_out])


class Fitting:
    """One module, and how it is fitted."""

    def __init__(
        self,
        module: nn.Module,
        *,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        seed: int,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    ) -> None:
        self._module = module
        self._epochs = epochs
        self._batch_size = batch_size
        self._learning_rate = learning_rate
        self._seed = seed
        self._loss = loss

    def fit(
        self,
        job: TrainingJob,
        inputs: torch.Tensor,
        truths: torch.Tensor,
        measured: Callable[[], dict[str, float]],
    ) -> dict[str, float]:
        """Fit in place; return the last epoch's figures.

        Args:
            job: Told of the progress.
            inputs: Rows that go in.
            truths: What should come out.
            measured: Called after each epoch; its figures are told with the epoch's.

        Raises:
            TrainingDivergedError: The loss is no longer a number.
        """
        generator = torch.Generator().manual_seed(self._seed)
        steps_per_epoch = -(-len(inputs) // self._batch_size)
        steps, step = steps_per_epoch * self._epochs, 0
        optimizer = torch.optim.AdamW(self._module.parameters(), lr=self._learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: _rate(done, steps))
        report_every = max(1, steps_per_epoch // 10)
        figures: dict[str, float] = {}
        self._module.train()
        for epoch in range(1, self._epochs + 1):
            loss_sum, seen = 0.0, 0
            for rows in torch.split(torch.randperm(len(inputs), generator=generator), self._batch_size):
                loss = self._loss(self._module(inputs[rows]), truths[rows])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(self._module.parameters(), GRADIENT_NORM_MAX)
                optimizer.step()
                schedule.step()
                if not torch.isfinite(loss):
                    raise TrainingDivergedError(
                        f"the loss is {loss.item()} in epoch {epoch}: the learning rate {self._learning_rate} may be "
                        "too high"
                    )
                step, seen = step + 1, seen + len(rows)
                loss_sum += loss.item() * len(rows)
                if step % report_every == 0 and seen < len(inputs):
                    job.progress(step, steps, epoch=epoch, epochs=self._epochs, loss=loss_sum / seen)
            figures = {"loss": loss_sum / seen, **measured()}
            job.progress(step, steps, epoch=epoch, epochs=self._epochs, **figures)
        self._module.eval()
        return {f"train_{name}" if name == "loss" else name: value for name, value in figures.items()}


def _rate(step: int, steps: int) -> float:
    """Return the share of the peak learning rate: up in a line, then down in a line."""
    peak = max(1.0, steps * WARM_UP_SHARE)
    return min((step + 1) / peak, max(0.0, (steps - step) / max(1.0, steps - peak)))
