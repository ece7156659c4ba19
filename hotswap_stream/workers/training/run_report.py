"""What a runner says of one run: as often as there is something, and as a sign of life."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from hotswap_events.training.progress import (
    EPOCHS_KEPT_MAX,
    LOG_CHARACTERS_MAX,
    EpochFigures,
    Phase,
    RunFiles,
    TrainingProgressed,
)
from hotswap_stream.application.trainers.protocol import TrainerProgress

FIGURE_MAX = 1e30
EPOCHS_HEARD_MAX = 10_000


class RunReport:
    """Collects the progress of a run."""

    def __init__(self, *, run_id: str, model_name: str, trainer: str, runner: str) -> None:
        self._names: dict[str, Any] = {"run_id": run_id, "model_name": model_name, "trainer": trainer, "runner": runner}
        self._phase: Phase = "preparing"
        self._last = TrainerProgress()
        self._epochs: dict[int, dict[str, float]] = {}
        self.said: str | None = None
        self.log = ""
        self.kept: RunFiles | None = None
        self.changed = True
        """Whether there is something to say beside the sign of life."""

    def phase(self, phase: Phase) -> None:
        """Enter another phase."""
        self._phase, self.changed = phase, True

    def take(self, line: TrainerProgress) -> None:
        """Take in what the trainer says."""
        figures = _clean(line.figures)
        self._last = msgspec.structs.replace(line, figures=figures)
        if line.epoch is not None and figures and (line.epoch in self._epochs or len(self._epochs) < EPOCHS_HEARD_MAX):
            self._epochs[line.epoch] = figures
        self.changed = True

    def progress(self, at: datetime) -> TrainingProgressed:
        """Return where the run is."""
        self.changed = False
        last, ended = self._last, self._phase == "ended"
        return TrainingProgressed(
            **self._names,
            at=at,
            phase=self._phase,
            step=last.step,
            steps=last.steps,
            epoch=last.epoch,
            epochs=last.epochs,
            figures=last.figures,
            kept=self.kept if ended else None,
            said=None if self.said is None else self.said[:2_000],
            history=self._history() if ended else (),
            log=self.log[-LOG_CHARACTERS_MAX:] or None if ended else None,
        )

    def _history(self) -> tuple[EpochFigures, ...]:
        epochs = sorted(self._epochs)
        stride = -(-len(epochs) // EPOCHS_KEPT_MAX) or 1
        # Counted from the end, so that the last one is among them.
        return tuple(EpochFigures(epoch=epoch, figures=self._epochs[epoch]) for epoch in epochs[::-1][::stride][::-1])


def _clean(figures: Mapping[str, float]) -> dict[str, float]:
    """Leave out what JSON has no number for."""
    return {name: value for name, value in figures.items() if math.isfinite(value) and abs(value) <= FIGURE_MAX}
