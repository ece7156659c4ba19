"""What is known of the metrics of live versions: which way is better, the unit, and what they are made of.

Whoever judges, shows or refuses one of them asks here.
"""

from typing import Literal

from msgspec import Struct

from hotswap_events.alerts.events import AlertMetric
from hotswap_events.rollouts.strategy import MetricName, MetricRule

Better = Literal["higher", "lower"]
MadeOf = Literal["share", "mean", "distance"]
Told = Literal["labels", "numbers", "items"]
"""What feedback says of an answer, and what the answer must hold to be held against it: class scores, numbers, or items
in an order."""


class LiveMetric(Struct, frozen=True, kw_only=True):
    """A metric of versions that answer, or would answer, live requests."""

    better: Better
    unit: str
    """`share`: from 0 to 1; `target`: the unit of what is predicted; `reward`: that of the rewards; `ratio`: a number
    without a unit, 0.05 is 5 %; `distance`: of two distribution functions, from 0 to 1."""
    made_of: MadeOf
    """`share`: answers of which something is so; `mean`: a number for each answer; `distance`: sketches."""
    by_feedback: bool = False
    told: Told | None = None
    """What must be told for a metric by feedback. None: it says something of any answer."""


LIVE_METRICS: dict[MetricName, LiveMetric] = {
    "success-rate": LiveMetric(better="higher", unit="share", made_of="share"),
    "latency": LiveMetric(better="lower", unit="share", made_of="share"),
    "agreement": LiveMetric(better="higher", unit="share", made_of="share"),
    "accuracy": LiveMetric(better="higher", unit="share", made_of="share", by_feedback=True, told="labels"),
    "reward": LiveMetric(better="higher", unit="reward", made_of="mean", by_feedback=True),
    "absolute-error": LiveMetric(better="lower", unit="target", made_of="mean", by_feedback=True, told="numbers"),
    "squared-error": LiveMetric(better="lower", unit="target²", made_of="mean", by_feedback=True, told="numbers"),
    "percentage-error": LiveMetric(better="lower", unit="ratio", made_of="mean", by_feedback=True, told="numbers"),
    "hit-rate": LiveMetric(better="higher", unit="share", made_of="share", by_feedback=True, told="items"),
    "ndcg": LiveMetric(better="higher", unit="share", made_of="mean", by_feedback=True, told="items"),
    "reciprocal-rank": LiveMetric(better="higher", unit="share", made_of="mean", by_feedback=True, told="items"),
    "input-drift": LiveMetric(better="lower", unit="distance", made_of="distance"),
    "score-drift": LiveMetric(better="lower", unit="distance", made_of="distance"),
}

FEEDBACK_METRICS: frozenset[MetricName] = frozenset(name for name, known in LIVE_METRICS.items() if known.by_feedback)
ERROR_METRICS: frozenset[MetricName] = frozenset(
    name for name, known in LIVE_METRICS.items() if known.told == "numbers"
)
FIRST_METRICS: frozenset[MetricName] = frozenset({"hit-rate", "ndcg"})
"""Metrics of the best `at` items."""
RELATIVE_METRICS = FEEDBACK_METRICS - {"reward"}
"""Metrics that may have a margin in parts of the baseline's value: it is never below 0, and not rare to be seen."""

FEEDBACK_ALERTS: dict[AlertMetric, MetricName] = {
    "wrong-rate": "accuracy",
    "absolute-error": "absolute-error",
    "squared-error": "squared-error",
    "percentage-error": "percentage-error",
    "miss-rate": "hit-rate",
    "accuracy": "accuracy",
    "hit-rate": "hit-rate",
}
"""Metrics of alerts that feedback makes. Under another name, a share that is better the higher it is counts as what is
missing to 1."""


def lower_is_better(metric: MetricName) -> bool:
    """Return whether less of the metric is better."""
    return LIVE_METRICS[metric].better == "lower"


def is_share(metric: MetricName) -> bool:
    """Return whether the metric counts answers of which something is so."""
    return LIVE_METRICS[metric].made_of == "share"


def shown_name(rule: MetricRule) -> str:
    """Return how people call what a rule measures: `hit-rate at 10`."""
    return f"{rule.metric} at {rule.first}" if rule.metric in FIRST_METRICS else rule.metric
