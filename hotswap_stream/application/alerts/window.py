"""What the observations of the last seconds add up to, for the rules that alerts come from.

A window is a row of buckets, each for a thirtieth of its length and not less than half a second: it holds what came in
its length, and up to one bucket more. An observation belongs to the time of its record, by the broker's clock. No clock
is read here, and the same records give the same sums, however often some of them come again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct

from hotswap_events.alerts.events import AlertRule
from hotswap_events.inference.messages import ErrorCode
from hotswap_events.inference.observation import Observation, ObservationRole
from hotswap_stream.application.alerts.judged import JudgedSums
from hotswap_stream.application.observations.error_codes import ERRORS_OF_THE_SERVER
from hotswap_stream.application.observations.sketch import Sketch
from hotswap_stream.application.rollouts.analysis.judged import JudgedAnswer
from hotswap_stream.domain.statistics.latency_histogram import HIGHEST, LOWEST

BUCKETS = 30
BUCKET_MS_MIN = 500
RUNS_MAX = 1_000
"""Runs of workers whose place is remembered; those heard of longest ago make room."""
VERSIONS_MAX = 16
"""Versions told apart in a bucket; requests of further ones count for the model alone."""
SKETCHES_MAX = 16
"""Kept in a bucket, each of about 2 kB; those of further names or versions are left out."""

ANSWERED_CALLERS: tuple[ObservationRole, ...] = ("primary", "pinned", "probe", "fallback", "refused")
BY_THE_SPLIT: tuple[ObservationRole, ...] = ("primary", "probe")
"""Their inputs are a fair sample of a version's traffic: nobody asked for the version by name."""
DRIFT_METRICS = ("input-drift", "score-drift")
TOPIC_METRICS = ("lag", "standstill")
"""Metrics of the requests that wait now."""
METRICS_OF_TOPICS = (*TOPIC_METRICS, "split-series")
METRICS_OF_NOW = (*METRICS_OF_TOPICS, "silent-workers", "waiting-run")
"""They have no window."""

_Key = TypeVar("_Key")


class VersionShare(Struct):
    """Requests that a version answered or failed to."""

    requests: int = 0
    errors: int = 0


class WindowTotals(Struct):
    """Sums over a window, or over one bucket of it."""

    answers: int = 0
    """Requests answered well."""
    errors: dict[ErrorCode, int] = {}
    """Requests that the server failed to answer."""
    total_buckets: dict[int, int] = {}
    """Milliseconds from request to answer, as in `LatencyCounts`."""
    versions: dict[str, VersionShare] = {}
    judged: JudgedSums = msgspec.field(default_factory=JudgedSums)
    """What came back about answers."""
    agreed: int = 0
    """Answers of shadows that are as those that callers got."""
    disagreed: int = 0

    @property
    def failures(self) -> int:
        """Requests that the server failed to answer, whatever the code."""
        return sum(self.errors.values())

    @property
    def requests(self) -> int:
        """Those that say something of the server: without the mistakes of callers."""
        return self.answers + self.failures

    def add(self, other: "WindowTotals") -> None:
        """Take in what another one counted."""
        self.answers += other.answers
        _add(self.errors, other.errors.items())
        _add(self.total_buckets, other.total_buckets.items())
        for name, share in other.versions.items():
            self.add_version(name, share.requests, share.errors)
        self.judged.add(other.judged)
        self.agreed += other.agreed
        self.disagreed += other.disagreed

    def add_version(self, name: str, requests: int, errors: int) -> None:
        """Count for a version, if there are not too many."""
        share = self.versions.get(name)
        if share is None:
            if len(self.versions) >= VERSIONS_MAX:
                return
            share = self.versions[name] = VersionShare()
        share.requests += requests
        share.errors += errors


class _Bucket:
    """What came in one part of a window."""

    def __init__(self) -> None:
        self.totals = WindowTotals()
        self.sketches: dict[tuple[str, str], Sketch] = {}


class AlertWindow:
    """One length of time. `sketched`: whether a rule on it asks for sketches."""

    def __init__(self, seconds: float, *, sketched: bool = False) -> None:
        self.bucket_ms = max(BUCKET_MS_MIN, round(seconds * 1000 / BUCKETS))
        self._length_ms = seconds * 1000
        self._kept = int(self._length_ms // self.bucket_ms) + 2
        self._sketched = sketched
        self._buckets: dict[int, _Bucket] = {}
        self._newest = 0

    def fold(self, totals: WindowTotals, at_ms: int) -> None:
        """Count what a record of this time says, in milliseconds since 1970."""
        bucket = self._bucket(at_ms)
        if bucket is not None:
            bucket.totals.add(totals)

    def judge(self, judged: JudgedAnswer, at_ms: int) -> None:
        """Count what came back about an answer at this time, in milliseconds since 1970."""
        bucket = self._bucket(at_ms)
        if bucket is not None:
            bucket.totals.judged.judge(judged)

    def fold_sketches(self, model_version: str, sketches: Mapping[str, Sketch], at_ms: int) -> None:
        """Take in sketches of a version, by name, if a rule asks for them."""
        bucket = self._bucket(at_ms) if self._sketched else None
        if bucket is not None:
            for name, sketch in sketches.items():
                _merge(bucket.sketches, (model_version, name), sketch)

    def quiet(self, now_ms: int) -> bool:
        """Return whether nothing came in the window that ends now."""
        return not any(True for _bucket in self._inside(now_ms))

    def totals(self, now_ms: int) -> WindowTotals:
        """Return what the window that ends now adds up to."""
        found = WindowTotals()
        for bucket in self._inside(now_ms):
            found.add(bucket.totals)
        return found

    def sketches(self, now_ms: int, model_version: str) -> dict[str, Sketch]:
        """Return the sketches by name, merged over the window."""
        found: dict[tuple[str, str], Sketch] = {}
        for bucket in self._inside(now_ms):
            for key, sketch in bucket.sketches.items():
                if key[0] == model_version:
                    _merge(found, key, sketch)
        return {name: sketch for (_version, name), sketch in found.items()}

    def _bucket(self, at_ms: int) -> _Bucket | None:
        """Return the bucket of a time; None for what is too old."""
        number = at_ms // self.bucket_ms
        if number <= self._newest - self._kept:
            return None
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = _Bucket()
            self._newest = max(self._newest, number)
            for old in [each for each in self._buckets if each <= self._newest - self._kept]:
                del self._buckets[old]
        return bucket

    def _inside(self, now_ms: int) -> Iterator[_Bucket]:
        begin_ms = now_ms - self._length_ms
        return (bucket for number, bucket in self._buckets.items() if (number + 1) * self.bucket_ms > begin_ms)


class AlertWindows:
    """The windows that one model's rules ask about, fed from one stream of observations."""

    def __init__(self, rules: Iterable[AlertRule]) -> None:
        sketched: dict[float, bool] = {}
        for rule in rules:
            if rule.metric not in METRICS_OF_NOW:
                drift = rule.metric in DRIFT_METRICS
                sketched[rule.window_seconds] = sketched.get(rule.window_seconds, False) or drift
        self._windows = {seconds: AlertWindow(seconds, sketched=drift) for seconds, drift in sketched.items()}
        self._runs: dict[str, int] = {}

    def of(self, rule: AlertRule) -> AlertWindow:
        """Return the window of one of the rules."""
        return self._windows[rule.window_seconds]

    def fold(self, record: Observation, at_ms: int, sketches: Callable[[], Iterable[str]] = tuple) -> bool:
        """Count an observation whose record is of this time, once.

        Args:
            record: The observation.
            at_ms: When its record was appended, in milliseconds since 1970.
            sketches: Says which of its sketches are asked for.

        Returns:
            Whether it was new.

        Raises:
            ValueError: A sketch cannot be read; the observation's sums count all the same.
        """
        last = self._runs.pop(record.worker_run, 0)
        self._runs[record.worker_run] = max(last, record.sequence)
        while len(self._runs) > RUNS_MAX:
            del self._runs[next(iter(self._runs))]
        if record.sequence <= last:
            return False
        if record.role not in ANSWERED_CALLERS:
            if record.agreed or record.disagreed:
                shadowed = WindowTotals(agreed=record.agreed, disagreed=record.disagreed)
                for window in self._windows.values():
                    window.fold(shadowed, at_ms)
            return True
        totals = totals_of(record)
        for window in self._windows.values():
            window.fold(totals, at_ms)
        if record.model_version is not None and record.role in BY_THE_SPLIT:
            named = {name: Sketch(record.sketches[name]) for name in sketches() if name in record.sketches}
            for window in self._windows.values():
                window.fold_sketches(record.model_version, named, at_ms)
        return True

    def judge(self, judged: JudgedAnswer, at_ms: int) -> None:
        """Count what came back about an answer, at the time at which it came, in milliseconds since 1970."""
        for window in self._windows.values():
            window.judge(judged, at_ms)

    def quiet(self, now_ms: int) -> bool:
        """Return whether nothing came in any window that ends now, in milliseconds since 1970."""
        return all(window.quiet(now_ms) for window in self._windows.values())


def totals_of(record: Observation) -> WindowTotals:
    """Return what one observation says of requests and waits."""
    errors = {code: record.errors[code] for code in ERRORS_OF_THE_SERVER if code in record.errors}
    # Others no worker counts by, and their ends in milliseconds may be beyond all numbers.
    waits = {bucket: count for bucket, count in record.total.buckets.items() if LOWEST <= bucket <= HIGHEST}
    totals = WindowTotals(answers=record.answers, errors=errors, total_buckets=waits)
    if record.model_version is not None:
        totals.add_version(record.model_version, totals.requests, totals.failures)
    return totals


def _add(into: dict[_Key, int], counts: Iterable[tuple[_Key, int]]) -> None:
    for key, count in counts:
        into[key] = into.get(key, 0) + count


def _merge(into: dict[tuple[str, str], Sketch], key: tuple[str, str], sketch: Sketch) -> None:
    known = into.get(key)
    if known is not None:
        known.merge_sketch(sketch)
    elif len(into) < SKETCHES_MAX:
        into[key] = sketch.copy()
