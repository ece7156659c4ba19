"""A rollout as the log tells it: which line belongs to which event."""

from collections.abc import Callable

from hotswap_events.registry.events import ModelArchived, ModelPromoted, ModelRolledBack
from hotswap_events.rollouts.events import (
    MetricEvidence,
    RolloutAnalysisRecorded,
    RolloutBakeEnded,
    RolloutCompleted,
    RolloutPaused,
    RolloutStarted,
    RolloutStepEntered,
    RolloutWeightsSet,
)
from hotswap_events.rollouts.strategy import ProgressiveStrategy, SetWeightStep
from hotswap_stream.application.descriptions.rollout import describe_arms, describe_step, describe_strategy
from hotswap_stream.cli.demo.scene import AppliedEntry
from hotswap_stream.domain.reserved import ANALYSIS_ACTOR as ANALYSIS


class Story:
    """The lines of a rollout as they happen, with times since the start.

    ` 3.2 s rollout-analysis: the users get v1 50 %, v2 50 %`
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.lines: list[str] = []
        self._tell = tell
        self._began_ms: int | None = None
        self._steps: tuple[str, ...] = ()

    def take(self, entry: AppliedEntry) -> None:
        """Add the line of an event, if people want to hear of it."""
        data = entry.event.data
        if self._began_ms is None:
            if not isinstance(data, RolloutStarted):
                return
            self._began_ms = entry.at_ms
            if isinstance(data.strategy, ProgressiveStrategy):
                # A step that sets a weight has an event of its own.
                self._steps = tuple(
                    "" if isinstance(s, SetWeightStep) else describe_step(s) for s in data.strategy.steps
                )
        told = _told(data, self._steps)
        if told:
            # Why a decision by evidence was made, the line before it says.
            reason = entry.event.reason if isinstance(data, RolloutStarted | RolloutCompleted) else None
            why = f' "{reason}"' if reason and entry.event.actor != ANALYSIS else ""
            self._show(f"{(entry.at_ms - self._began_ms) / 1000:5.1f} s  {entry.event.actor}: {told}{why}")

    def add(self, line: str) -> None:
        """Add a line about what was seen elsewhere."""
        self._show(f"{'':9}{line}")

    def _show(self, line: str) -> None:
        self.lines.append(line)
        self._tell(line)


def _told(data: object, steps: tuple[str, ...]) -> str:
    match data:
        case RolloutStarted():
            forced = ", past validation" if data.forced else ""
            tried = ", ".join(data.candidates)
            return f"start {data.rollout_id}, {tried} against {data.baseline_version}{forced}: " + describe_strategy(
                data.strategy
            )
        case RolloutWeightsSet():
            return f"the users get {describe_arms(data.arms)}"
        case RolloutStepEntered():
            told = steps[data.step_index] if data.step_index < len(steps) else ""
            return f"step {data.step_index + 1} of {len(steps)}: {told}" if told else ""
        case RolloutAnalysisRecorded():
            return f"{data.outcome}: " + "; ".join(map(_shown, data.evidence))
        case RolloutPaused():
            return f"pause ({data.cause})"
        case RolloutCompleted():
            bake = f", it bakes for {data.bake_seconds} s" if data.bake_seconds else ""
            return f"end {data.rollout_id}: {data.outcome}{bake}"
        case RolloutBakeEnded():
            return f"the bake is over: {data.outcome}"
        case ModelPromoted():
            return f"{data.model_version} into production, in place of {data.previous_version}"
        case ModelRolledBack():
            return f"back to {data.model_version}"
        case ModelArchived():
            return f"archive {data.model_version}"
        case _:
            return ""


def _shown(entry: MetricEvidence) -> str:
    counted = "pairs" if entry.metric == "agreement" else "labels"
    value = "not known" if entry.value is None else f"{entry.value:.1%}"
    baseline = "" if entry.baseline_value is None else f", baseline {entry.baseline_value:.1%}"
    return f"{entry.metric} of {entry.model_version} {value}{baseline}, by {entry.count:,} {counted}"
