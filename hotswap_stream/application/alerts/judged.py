"""What feedback says of the answers of a window: means of errors, shares of wrong and missed ones."""

from collections.abc import Iterator

from msgspec import Struct

from hotswap_events.alerts.events import AlertMetric, AlertRule
from hotswap_events.rollouts.strategy import MetricRule
from hotswap_stream.application.rollouts.analysis.judged import JudgedAnswer, judged_value
from hotswap_stream.domain.deciding.live_metrics import FEEDBACK_ALERTS, lower_is_better

VERSIONS_MAX = 16
"""Versions told apart in a bucket; answers of further ones count for the model alone."""
OTHER_VERSIONS = ""

_RULES = {metric: MetricRule(metric=judged_by) for metric, judged_by in FEEDBACK_ALERTS.items()}


class JudgedSum(Struct):
    """Answers of one version, and the sum of their figures."""

    count: int = 0
    total: float = 0.0


class JudgedSums(Struct):
    """Sums by metric and version."""

    by: dict[AlertMetric, dict[str, JudgedSum]] = {}

    def add(self, other: "JudgedSums") -> None:
        """Take in what another one counted."""
        for metric, versions in other.by.items():
            for name, found in versions.items():
                self._add(metric, name, found.count, found.total)

    def judge(self, judged: JudgedAnswer) -> None:
        """Take in one answer."""
        for metric, value in _figures(judged):
            self._add(metric, judged.model_version, 1, value)

    def of(self, rule: AlertRule) -> dict[str, JudgedSum]:
        """Return the sums that a rule looks at, by version; `OTHER_VERSIONS` are those of all further ones."""
        return self.by.get(rule.metric, {})

    def _add(self, metric: AlertMetric, name: str, count: int, total: float) -> None:
        versions = self.by.setdefault(metric, {})
        if name not in versions and len(versions) >= VERSIONS_MAX:
            name = OTHER_VERSIONS
        found = versions.setdefault(name, JudgedSum())
        found.count += count
        found.total += total


def _figures(judged: JudgedAnswer) -> Iterator[tuple[AlertMetric, float]]:
    for metric, rule in _RULES.items():
        value = judged_value(rule, judged)
        if value is not None:
            yield metric, value if lower_is_better(rule.metric) or metric == rule.metric else 1 - value
