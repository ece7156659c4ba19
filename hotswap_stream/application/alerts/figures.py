"""What an alert rule's metric is now: a number, or that there is none.

`error-rate`: requests that the server failed to answer (`ERRORS_OF_THE_SERVER`) among those and the ones answered
well. `latency-ms`: a quantile of what callers wait, of answers in any role but a shadow's; at most 9 % too high, as the
buckets are. `wrong-rate`, `miss-rate` and errors: by what came back in the window about answers of any version that the
split of the traffic chose. `input-drift`, `score-drift`: of the active version, in requests that the split gave it.
Each named distribution of the window is compared with that of the version's profile: the largest distance of their
distribution functions, less what chance explains (the bound of Dvoretzky, Kiefer, Wolfowitz and Massart for both
samples, at `DRIFT_ALPHA` shared by all names) and less both sketches' rank errors, not below 0. The rule's figure is
the largest of these. `lag`: requests that wait, whenever they came. `standstill`: how long
a partition has not moved though requests wait in it. `silent-workers`: those that were not heard of for ten seconds and
did not say goodbye; after an hour they are forgotten. `waiting-run`: how long the oldest training run that no
runner has taken waits. `agreement`: of the answers of shadows, whichever version they are of, those that are as
the caller's. `answers-per-second`: those answered well, over the length of the window; it says 0 where nobody asks, so
a window counts once it is over as a whole. `split-series`: see `SplitView`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from hotswap_events.alerts.events import AlertMetric, AlertRule
from hotswap_events.inference.observation import INPUT_SKETCH, SCORE_SKETCH
from hotswap_stream.application.alerts.judged import OTHER_VERSIONS
from hotswap_stream.application.alerts.window import DRIFT_METRICS, AlertWindows, WindowTotals
from hotswap_stream.application.inference.fleet import FleetWorker
from hotswap_stream.application.inference.lag import WaitingRequests
from hotswap_stream.application.observations.sketch import Sketch
from hotswap_stream.application.windows.split import SplitSeries
from hotswap_stream.domain.deciding.live_metrics import FEEDBACK_ALERTS
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.statistics.drift import drift, largest_distance
from hotswap_stream.domain.statistics.latency_histogram import quantile_ms

DRIFT_ALPHA = 0.01
"""How likely chance alone makes any one look's figure larger than 0, where nothing has drifted."""

SILENT_NAMED_MAX = 16
"""Workers that are named in the event, those that fell silent last."""
NAME_CHARACTERS_MAX = 60
"""Length of the name of a figure."""

Silence = Literal["too-little", "nothing"]
"""`too-little`: fewer requests than the rule wants, or the broker did not say. `nothing`: no requests at all, or
nothing to compare them with."""


class Measured(Struct, frozen=True, kw_only=True):
    """A figure, and what goes into the event with it."""

    value: float
    count: int
    figures: dict[str, float] = {}


Figure = Measured | Silence


class Reference(Struct, frozen=True):
    """The profile of the active version, decoded."""

    model_version: str
    sketches: Mapping[str, Sketch]

    def names(self, metric: AlertMetric) -> tuple[str, ...]:
        """Return the names of the sketches that a metric of drift compares."""
        prefix = SCORE_SKETCH if metric == "score-drift" else INPUT_SKETCH
        return tuple(name for name in self.sketches if name == prefix or name.startswith(f"{prefix}."))


def window_figure(rule: AlertRule, windows: AlertWindows, reference: Reference | None, *, now_ms: int) -> Figure:
    """Return the figure of a rule that looks back over a window which ends now, in milliseconds since 1970."""
    totals = windows.of(rule).totals(now_ms)
    if rule.metric in FEEDBACK_ALERTS:
        return _judged(rule, totals)
    if rule.metric == "agreement":
        return _agreement(rule, totals)
    if rule.metric == "answers-per-second":
        return Measured(value=totals.answers / rule.window_seconds, count=totals.answers, figures=_shares(totals))
    if not totals.requests:
        return "nothing"
    if rule.metric in DRIFT_METRICS:
        if reference is None:
            return "nothing"
        return drift_figure(rule, windows.of(rule).sketches(now_ms, reference.model_version), reference)
    if rule.metric == "error-rate":
        return _error_rate(rule, totals)
    return _latency(rule, totals)


def drift_figure(rule: AlertRule, current: Mapping[str, Sketch], reference: Reference) -> Figure:
    """Return how far the sketches are from those of the profile, by more than chance explains."""
    names = reference.names(rule.metric)
    if not names:
        return "nothing"
    alpha = DRIFT_ALPHA / len(names)
    largest, counted, figures = -1.0, 0, {}
    for name in names:
        theirs, ours = reference.sketches[name], current.get(name)
        if ours is None or ours.count < rule.answers_min:
            continue
        points = sorted({*ours.points(), *theirs.points()})
        evidence = drift(
            largest_distance(theirs.shares_up_to(points), ours.shares_up_to(points)),
            reference_count=theirs.count,
            current_count=ours.count,
            look=1,
            alpha=alpha,
            rank_error=min(0.999, theirs.rank_error + ours.rank_error),
        )
        figures[f"distance.{name}"] = evidence.distance
        beyond = max(0.0, evidence.distance - evidence.limit)
        figures[f"beyond-chance.{name}"] = beyond
        if beyond > largest:
            largest, counted = beyond, ours.count
    return Measured(value=largest, count=counted, figures=figures) if figures else "too-little"


def lag_figure(waiting: WaitingRequests | None) -> Figure:
    """Return the figure of the requests that wait now."""
    if waiting is None:
        return "nothing"
    figures = {"largest-partition": float(waiting.largest_partition)}
    return Measured(value=float(waiting.requests), count=waiting.partitions, figures=figures)


def standstill_figure(waiting: WaitingRequests | None) -> Figure:
    """Return the figure of the partition that has stood still longest."""
    if waiting is None:
        return "nothing"
    figures = {"requests-waiting": float(waiting.requests)}
    return Measured(value=waiting.standstill_seconds, count=waiting.partitions, figures=figures)


def silent_figure(workers: Sequence[FleetWorker]) -> Figure:
    """Return the figure of the workers that fell silent, out of those that were heard of in the last hour."""
    if not workers:
        return "nothing"
    silent = sorted((worker for worker in workers if not worker.live), key=lambda worker: worker.silent_seconds)
    figures = {f"silent-seconds.{worker.worker}"[:NAME_CHARACTERS_MAX]: worker.silent_seconds for worker in silent}
    return Measured(
        value=float(len(silent)), count=len(workers), figures=dict(list(figures.items())[:SILENT_NAMED_MAX])
    )


def waiting_run_figure(state: ModelState, now: datetime) -> Measured:
    """Return the figure of the training runs that no runner has taken."""
    seconds = [
        max(0.0, (now - run.requested_at).total_seconds())
        for run in state.runs.values()
        if run.status == "requested" and run.requested_at is not None
    ]
    return Measured(value=max(seconds, default=0.0), count=len(seconds))


def split_figure(split: SplitSeries | None) -> Figure:
    """Return the figure of the series that were found in several partitions."""
    return "nothing" if split is None or not split.of else Measured(value=float(split.count), count=split.of)


def _error_rate(rule: AlertRule, totals: WindowTotals) -> Figure:
    if totals.requests < rule.answers_min:
        return "too-little"
    figures = {f"errors.{code}": float(count) for code, count in totals.errors.items()} | _shares(totals)
    for name, share in totals.versions.items():
        if share.requests:
            figures[f"error-rate.{name}"] = share.errors / share.requests
    return Measured(value=totals.failures / totals.requests, count=totals.requests, figures=figures)


def _judged(rule: AlertRule, totals: WindowTotals) -> Figure:
    versions = totals.judged.of(rule)
    count = sum(found.count for found in versions.values())
    if not count:
        return "nothing"
    if count < rule.answers_min:
        return "too-little"
    figures = {
        f"{rule.metric}.{name}": found.total / found.count for name, found in versions.items() if name != OTHER_VERSIONS
    }
    value = sum(found.total for found in versions.values()) / count
    return Measured(value=value, count=count, figures=figures)


def _agreement(rule: AlertRule, totals: WindowTotals) -> Figure:
    count = totals.agreed + totals.disagreed
    if not count:
        return "nothing"
    return "too-little" if count < rule.answers_min else Measured(value=totals.agreed / count, count=count)


def _latency(rule: AlertRule, totals: WindowTotals) -> Figure:
    count = sum(totals.total_buckets.values())
    value = quantile_ms(totals.total_buckets, rule.quantile)
    if value is None or count < rule.answers_min:
        return "too-little"
    return Measured(value=value, count=count, figures=_shares(totals))


def _shares(totals: WindowTotals) -> dict[str, float]:
    """Return each version's share of the window's requests; those that no version was chosen for are the rest."""
    return {f"share.{name}": share.requests / totals.requests for name, share in totals.versions.items()}
