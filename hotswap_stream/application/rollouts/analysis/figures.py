"""What a rollout knows of each version in it: figures that add up, and the counts that metrics are made of."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.inference.observation import INPUT_SKETCH, SCORE_SKETCH, Observation
from hotswap_events.rollouts.strategy import MetricName, MetricRule
from hotswap_stream.application.observations.error_codes import ERRORS_OF_THE_VERSION
from hotswap_stream.application.observations.sketch import merged_sketch
from hotswap_stream.application.rollouts.analysis.judged import JUDGED_MEANS, judged_value, moments_of
from hotswap_stream.application.rollouts.analysis.judged import JudgedAnswer as JudgedAnswer
from hotswap_stream.domain.statistics.latency_histogram import count_up_to, merged
from hotswap_stream.domain.statistics.samples import Counts, Moments

LABELS_KEPT_MAX = 1_024
"""At most this many labels of one version in one rollout are counted apart."""

SKETCH_METRICS: dict[MetricName, str] = {"input-drift": INPUT_SKETCH, "score-drift": SCORE_SKETCH}


class VersionFigures(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sums over the observations of one version in one rollout."""

    answers: int = 0
    failures: int = 0
    compute_buckets: dict[int, int] = {}
    """Milliseconds of forward passes, as in `LatencyCounts`."""
    compute_ms: float = 0.0
    total_buckets: dict[int, int] = {}
    """Milliseconds from request to answer."""
    total_ms: float = 0.0
    agreed: int = 0
    disagreed: int = 0
    skipped: int = 0
    labels: dict[int, int] = {}
    labelled: Counts = Counts()
    """Answers whose true label is known, and the right ones among them."""
    rewards: Moments = Moments()
    means: dict[MetricName, Moments] = {}
    """The other metrics by feedback, over answers that it says something of; a hit counts 1, a miss 0."""
    sketches: dict[str, str] = {}
    """Only those that a metric asks for."""

    def with_observation(self, record: Observation, sketches: tuple[str, ...]) -> "VersionFigures":
        """Return the same and one observation more. ValueError where a sketch cannot be read."""
        named = {
            name: merged_sketch(self.sketches.get(name), record.sketches[name])
            for name in sketches
            if name in record.sketches
        }
        return replace(
            self,
            answers=self.answers + record.answers,
            failures=self.failures + failures_in(record),
            compute_buckets=merged(self.compute_buckets, record.compute.buckets),
            compute_ms=self.compute_ms + record.compute.total_ms,
            total_buckets=merged(self.total_buckets, record.total.buckets),
            total_ms=self.total_ms + record.total.total_ms,
            agreed=self.agreed + record.agreed,
            disagreed=self.disagreed + record.disagreed,
            skipped=self.skipped + record.skipped,
            labels=_most(merged(self.labels, record.labels)),
            sketches={**self.sketches, **named},
        )

    def with_judged(self, judged: JudgedAnswer, rules: Iterable[MetricRule] = ()) -> "VersionFigures":
        """Return the same and one answer more of which something turned out.

        Args:
            judged: The answer.
            rules: Say how errors are cut off and how many items count; others are as where nothing is said.
        """
        by_metric = {rule.metric: rule for rule in rules}
        means = dict(self.means)
        for metric in JUDGED_MEANS:
            value = judged_value(by_metric.get(metric, MetricRule(metric=metric)), judged)
            if value is not None:
                means[metric] = means.get(metric, Moments()) + moments_of(value)
        return replace(
            self,
            labelled=self.labelled + _labelled(judged),
            rewards=self.rewards + _rewards(judged),
            means=means,
        )

    @property
    def outcomes(self) -> Counts:
        """Requests, and those answered well."""
        return Counts(self.answers, self.answers + self.failures)

    @property
    def agreement(self) -> Counts:
        """Rows compared, and those that agree."""
        return Counts(self.agreed, self.agreed + self.disagreed)


def _most(labels: dict[int, int]) -> dict[int, int]:
    """Return the labels that were counted most: their names are the sender's, and there must be an end to them."""
    if len(labels) <= LABELS_KEPT_MAX:
        return labels
    kept = sorted(labels, key=lambda label: (-labels[label], label))[:LABELS_KEPT_MAX]
    return {label: labels[label] for label in sorted(kept)}


def failures_in(record: Observation) -> int:
    """Return how many requests the version failed to answer."""
    return sum(record.errors.get(code, 0) for code in ERRORS_OF_THE_VERSION)


def counts_for(rule: MetricRule, record: Observation) -> Counts | None:
    """Return what an observation adds to a metric that is a share; None: nothing."""
    if rule.metric == "success-rate":
        return Counts(record.answers, record.answers + failures_in(record))
    if rule.metric == "agreement":
        return Counts(record.agreed, record.agreed + record.disagreed)
    if rule.metric == "latency" and rule.slow_ms is not None:
        total = sum(record.compute.buckets.values())
        if record.slow_ms == rule.slow_ms:  # counted exactly
            return Counts(max(0, total - record.compute.slow), total)
        return Counts(count_up_to(record.compute.buckets, rule.slow_ms), total)
    return None


def _labelled(judged: JudgedAnswer) -> Counts:
    return Counts() if judged.correct is None else Counts(int(judged.correct), 1)


def _rewards(judged: JudgedAnswer) -> Moments:
    return Moments() if judged.reward is None else moments_of(judged.reward)
