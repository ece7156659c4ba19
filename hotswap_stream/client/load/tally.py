"""Counting what came of a load test. Latencies go into an HdrHistogram, in microseconds."""

from collections import Counter

from hdrh.histogram import HdrHistogram
from msgspec import Struct

LATENCY_US_MAX = 3_600_000_000
SIGNIFICANT_DIGITS = 3


class Latencies(Struct, frozen=True, kw_only=True):
    """Milliseconds, exact to a tenth of a percent."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float
    mean: float


class LoadReport(Struct, frozen=True, kw_only=True):
    """What came of a load test."""

    model_name: str
    target: str
    """`topics`, or the URL."""
    format: str
    rows: int
    """Rows per request."""
    rate_wanted_per_s: float | None
    """The rate of an open loop; None for a closed one."""
    concurrency: int | None
    """Requests in flight of a closed loop; None for an open one."""
    seconds: float
    """From the first request to the last answer."""
    sent: int
    succeeded: int
    errors: dict[str, int]
    """By kind; of an open loop, `not-sent` are those whose time came when too many were in flight, until the end."""
    unfinished: int
    """Requests without an answer when the test was interrupted; they are no errors."""
    error_percent: float
    sent_per_s: float
    succeeded_per_s: float
    rows_per_s: float
    latency_ms: Latencies | None
    """From when a request was due (open loop) or sent (closed loop) to its answer. Time-outs count with the time they
    waited, other errors not at all. None when there is nothing to count."""
    sent_late_ms_max: float
    """How much later than due a request was sent at most: because of the limit in flight, or because the machine is too
    slow to send at this rate."""
    versions: dict[str, int]
    """Which versions answered, and how often."""
    interrupted: bool


class Tally:
    """Counts as the test runs."""

    def __init__(self) -> None:
        self.sent = 0
        self.succeeded = 0
        self.errors: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.sent_late_s_max = 0.0
        self._histogram = HdrHistogram(1, LATENCY_US_MAX, SIGNIFICANT_DIGITS)

    @property
    def finished(self) -> int:
        """Return how many requests have an answer or an error."""
        return self.succeeded + self.errors.total()

    def success(self, latency_s: float, model_version: str) -> None:
        """Count an answer."""
        self.succeeded += 1
        self.versions[model_version] += 1
        self._record(latency_s)

    def failure(self, kind: str, *, waited_s: float | None = None) -> None:
        """Count a request with no answer or an error answer; `waited_s`: how long it waited if it timed out."""
        self.errors[kind] += 1
        if waited_s is not None:
            self._record(waited_s)

    def not_sent(self, count: int) -> None:
        """Count requests that were due and found no place until the end."""
        self.errors["not-sent"] += count

    def _record(self, latency_s: float) -> None:
        self._histogram.record_value(min(max(1, round(latency_s * 1e6)), LATENCY_US_MAX))

    def latencies(self) -> Latencies | None:
        """Return the percentiles so far; None when there is nothing to count."""
        histogram = self._histogram
        if not histogram.get_total_count():
            return None
        at = histogram.get_percentile_to_value_dict([50, 90, 99, 99.9])
        return Latencies(
            p50=at[50] / 1e3,
            p90=at[90] / 1e3,
            p99=at[99] / 1e3,
            p999=at[99.9] / 1e3,
            max=histogram.get_max_value() / 1e3,
            mean=round(histogram.get_mean_value() / 1e3, 3),
        )
