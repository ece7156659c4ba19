"""Whether something grows with time: how that is judged, in one place.

A series is one measure (memory, descriptors, threads) of one process, from its start to its end. Its slope is the
median of the slopes between all pairs of its points (Theil and Sen): up to a quarter of the points may be anything, so
a garbage collection, a burst or a restart beside it do not bend it. Points are medians of blocks, at most `POINTS_MAX`.

Not judged: the warm-up of the run and of the process, and processes that live for too short a time after that, because
they were killed on purpose. A series is flat when, by its slope, it grew over the time that was judged by no more than
a share of its median, or than an amount below which nothing is worth a word. So the longer the run, the smaller a leak
may be: `slope_per_hour` of the report says how small.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Measure = Literal["memory", "descriptors", "threads", "disk"]

POINTS_MAX = 300
JUDGED_POINTS_MIN = 20
JUDGED_SECONDS_MIN = 60.0
GROWTH_SHARE_MAX = 0.05
GROWTH_MAX: dict[Measure, float] = {
    "memory": 8 * 1024**2,
    "descriptors": 4,
    "threads": 2,
    "disk": 16 * 1024**2,
}
"""Growth that is none, whatever the median is: bytes, or numbers."""

Floats = npt.NDArray[np.float64]


class Series(Struct):
    """One measure of one process: when (s after the beginning of the run), and how much."""

    process: str
    pid: int
    measure: Measure
    at_s: list[float] = []
    values: list[float] = []


class Judged(Struct, frozen=True):
    """What was found of a series."""

    process: str
    pid: int
    measure: Measure
    seconds: float
    """How long it was judged for."""
    median: float
    slope_per_hour: float
    growth: float
    """By the slope, over the time that was judged."""
    growth_max: float
    flat: bool


def slope_of(at_s: Floats, values: Floats) -> float:
    """The median of the slopes between all pairs of points, per second. 0 where all are at one moment."""
    first, second = np.triu_indices(len(at_s), k=1)
    runs = at_s[second] - at_s[first]
    rises = (values[second] - values[first])[runs > 0]
    return float(np.median(rises / runs[runs > 0])) if len(rises) else 0.0


def thinned(at_s: Floats, values: Floats, points_max: int = POINTS_MAX) -> tuple[Floats, Floats]:
    """At most that number of points: the medians of blocks of neighbours."""
    if len(at_s) <= points_max:
        return at_s, values
    blocks = np.array_split(np.arange(len(at_s)), points_max)
    return (
        np.array([np.median(at_s[block]) for block in blocks]),
        np.array([np.median(values[block]) for block in blocks]),
    )


def judged(series: Series, warm_up_seconds: float) -> Judged | None:
    """Judge a series; None where it is too short for that.

    Args:
        series: In order of time.
        warm_up_seconds: Of the run and of each process.
    """
    if not series.at_s:
        return None
    at_s, values = np.array(series.at_s), np.array(series.values)
    later = at_s >= max(warm_up_seconds, series.at_s[0] + warm_up_seconds)
    at_s, values = at_s[later], values[later]
    if len(at_s) < JUDGED_POINTS_MIN or at_s[-1] - at_s[0] < JUDGED_SECONDS_MIN:
        return None
    seconds, median = float(at_s[-1] - at_s[0]), float(np.median(values))
    slope = slope_of(*thinned(at_s, values))
    growth_max = max(GROWTH_MAX[series.measure], GROWTH_SHARE_MAX * median)
    return Judged(
        series.process,
        series.pid,
        series.measure,
        round(seconds, 1),
        median,
        round(3_600 * slope, 3),
        round(slope * seconds, 3),
        growth_max,
        flat=slope * seconds <= growth_max,
    )
