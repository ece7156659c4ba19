"""What comes back about the answers of the active version, block by block of labels.

The best that it reached since it entered production is an event, so that a process that is started again knows it. It
is what a block reached for sure, and is told anew only when it grew by a quarter of the drop that the policy looks for.
"""

import math

from hotswap_events.rollouts.strategy import MetricRule
from hotswap_events.training.policy import QualityTrigger
from hotswap_events.training.triggers import RecordQualityPeak
from hotswap_stream.application.rollouts.analysis.judged import JudgedAnswer, judged_value
from hotswap_stream.application.triggers.due import Due
from hotswap_stream.application.triggers.ids import peak_id
from hotswap_stream.domain.deciding.live_metrics import lower_is_better
from hotswap_stream.domain.reserved import TRAINING_ACTOR
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.triggers import QualityPeak
from hotswap_stream.domain.triggers.rules import next_slot

ERRORS = 2.0
"""Standard errors by which a figure is taken for less than it shows."""
TOLD_AGAIN = 0.25
"""Part of the drop by which a best must grow to be told again."""


class Block:
    """Labels that came one after the other, as sums."""

    def __init__(self) -> None:
        self.count = 0
        self._mean = self._squares = 0.0

    def add(self, value: float) -> None:
        """Take in one answer's figure."""
        self.count += 1
        apart = value - self._mean
        self._mean += apart / self.count
        self._squares += apart * (value - self._mean)

    @property
    def mean(self) -> float:
        """The figure of the block."""
        return self._mean

    @property
    def error(self) -> float:
        """The standard error of the mean; infinite while it cannot be told."""
        if self.count < 2:
            return math.inf
        return math.sqrt(self._squares / (self.count - 1) / self.count)


class QualityWatch:
    """Watches the quality of one model, under one trigger of its policy."""

    def __init__(self, trigger: QualityTrigger) -> None:
        self.trigger = trigger
        self.last: Block | None = None
        """The last block that was full."""
        self._rule = MetricRule(metric=trigger.metric)
        self._sign = -1.0 if lower_is_better(trigger.metric) else 1.0
        self._block = Block()
        self._production: tuple[int, ...] = ()

    def judge(self, state: ModelState, judged: JudgedAnswer) -> None:
        """Take in what turned out about one answer, if it is the active version's."""
        self._begin_anew_where_switched(state)
        if judged.model_version != state.active_version:
            return
        value = judged_value(self._rule, judged)
        if value is None or not math.isfinite(value):
            return
        self._block.add(value)
        if self._block.count >= self.trigger.labels_min:
            self.last, self._block = self._block, Block()

    def peak(self, state: ModelState) -> RecordQualityPeak | None:
        """Return the command that records a best, if the last block is one worth telling."""
        self._begin_anew_where_switched(state)
        active, block = state.active, self.last
        if active is None or block is None or not self._production:
            return None
        sure = block.mean - self._sign * ERRORS * block.error
        known = self._known(state)
        if not math.isfinite(sure):
            return None
        if known is not None and self._sign * (sure - known.value) < TOLD_AGAIN * self.trigger.drop:
            return None
        return RecordQualityPeak(
            command_id=peak_id(state, sure, self._production[0]),
            actor=TRAINING_ACTOR,
            model_name=state.model_name,
            metric=self.trigger.metric,
            value=sure,
            labels=block.count,
            model_version=active.model_version,
            production_sequence=self._production[0],
        )

    def due(self, state: ModelState) -> Due | None:
        """Return the trigger, if the last block is too much worse than the best."""
        self._begin_anew_where_switched(state)
        known, block, trigger = self._known(state), self.last, self.trigger
        if known is None or block is None:
            return None
        worse = self._sign * (known.value - block.mean)
        if worse < trigger.drop:
            return None
        return Due(
            trigger="quality",
            slot=next_slot(state.triggers, "quality"),
            detail=f"{trigger.metric} of {state.active_version} is {block.mean:.4g} in {block.count:,} labels, worse "
            f"by {worse:.4g} than its best, {known.value:.4g}; {trigger.drop:g} starts a run",
            figures={
                trigger.metric: block.mean,
                "best": known.value,
                "worse": worse,
                "drop": trigger.drop,
                "labels": float(block.count),
            },
        )

    def fired(self) -> None:
        """Look at a new block before the trigger fires again."""
        self.last, self._block = None, Block()

    def _known(self, state: ModelState) -> QualityPeak | None:
        peak = state.triggers.peak
        if peak is None or peak.metric != self.trigger.metric or (peak.production_sequence,) != self._production:
            return None
        return peak

    def _begin_anew_where_switched(self, state: ModelState) -> None:
        production = () if state.active is None else state.active.production_sequences[-1:]
        if production != self._production:
            self._production = production
            self.fired()
