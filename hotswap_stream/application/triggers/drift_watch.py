"""Live data against the active version's profile, window by window.

A window is a part of time that begins at a multiple of its length, by the broker's clock. It is judged when an
observation of a later one comes: no clock is read, so what was recorded gives the same again.
"""

from collections.abc import Iterator
from contextlib import suppress

from hotswap_events.alerts.events import AlertRule
from hotswap_events.inference.observation import Observation
from hotswap_events.registry.profile import ModelProfiled
from hotswap_events.training.policy import DriftTrigger
from hotswap_stream.application.alerts.figures import Measured, Reference, drift_figure
from hotswap_stream.application.alerts.window import BY_THE_SPLIT, RUNS_MAX, SKETCHES_MAX
from hotswap_stream.application.observations.sketch import Sketch, readable_sketches
from hotswap_stream.application.triggers.due import Due
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.triggers.rules import next_slot


class DriftWatch:
    """Watches the drift of one model, under one trigger of its policy."""

    def __init__(self, trigger: DriftTrigger) -> None:
        self.trigger = trigger
        self.row = 0
        """Windows in a row that were too far."""
        self.last: Measured | None = None
        """The last window that said something."""
        self._rule = AlertRule(
            name="training",
            metric=trigger.metric,
            above=trigger.limit,
            window_seconds=trigger.window_seconds,
            answers_min=trigger.answers_min,
        )
        self._window = 0
        self._sketches: dict[str, Sketch] = {}
        self._runs: dict[str, int] = {}
        self._production: tuple[int, ...] = ()
        self._profile: ModelProfiled | None = None
        self._reference: Reference | None = None

    def fold(self, state: ModelState, record: Observation, at_ms: int) -> None:
        """Count an observation whose record is of this time, once; judge the window before, if it is over."""
        self._begin_anew_where_switched(state)
        window = int(at_ms // (self.trigger.window_seconds * 1000))
        if window < self._window or not self._is_new(record):
            return
        if window > self._window:
            self._judge()
            self._window, self._sketches = window, {}
        if record.model_version != state.active_version or record.role not in BY_THE_SPLIT or self._reference is None:
            return
        for name in self._reference.names(self.trigger.metric):
            encoded = record.sketches.get(name)
            if encoded is not None:
                # One that is none, or of too many values, was written by nobody of ours; the others count.
                with suppress(ValueError):
                    self._merge(name, Sketch(encoded))

    def due(self, state: ModelState) -> Due | None:
        """Return the trigger, if enough windows in a row were too far."""
        self._begin_anew_where_switched(state)
        last, trigger = self.last, self.trigger
        if last is None or self.row < trigger.consecutive:
            return None
        return Due(
            trigger="drift",
            slot=next_slot(state.triggers, "drift"),
            detail=f"{trigger.metric} of {state.active_version} is {last.value:.4g}, above {trigger.limit:g} in "
            f"{self.row} windows of {trigger.window_seconds:g} s",
            figures=dict(self._figures(last)),
        )

    def fired(self) -> None:
        """Begin the row anew: a run was started about it."""
        self.row = 0

    def _figures(self, last: Measured) -> Iterator[tuple[str, float]]:
        yield self.trigger.metric, last.value
        yield "limit", self.trigger.limit
        yield "windows", float(self.row)
        yield "answers", float(last.count)
        yield from last.figures.items()

    def _judge(self) -> None:
        if self._reference is None:
            return
        figure = drift_figure(self._rule, self._sketches, self._reference)
        if isinstance(figure, Measured):
            self.last = figure
            self.row = self.row + 1 if figure.value > self.trigger.limit else 0

    def _begin_anew_where_switched(self, state: ModelState) -> None:
        active = state.active
        production = () if active is None else active.production_sequences[-1:]
        profile = None if active is None else active.profile
        if production == self._production and profile is self._profile:
            return
        self._production, self._profile = production, profile
        self._reference = (
            None if profile is None else Reference(profile.model_version, readable_sketches(profile.sketches))
        )
        self.row, self.last, self._sketches = 0, None, {}

    def _is_new(self, record: Observation) -> bool:
        last = self._runs.pop(record.worker_run, 0)
        self._runs[record.worker_run] = max(last, record.sequence)
        while len(self._runs) > RUNS_MAX:
            del self._runs[next(iter(self._runs))]
        return record.sequence > last

    def _merge(self, name: str, sketch: Sketch) -> None:
        known = self._sketches.get(name)
        if known is not None:
            known.merge_sketch(sketch)
        elif len(self._sketches) < SKETCHES_MAX:
            self._sketches[name] = sketch
