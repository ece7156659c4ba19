"""What is known of the metrics that versions are measured by: which way is better, and in what unit they are."""

import re
from typing import Literal

from msgspec import Struct

Better = Literal["higher", "lower"]


class KnownMetric(Struct, frozen=True):
    """A metric that comes along."""

    better: Better
    unit: str
    """`share`: from 0 to 1; `target`: the unit of what is predicted; `ratio`: a number without a unit."""


CLASSIFICATION = "classification"
"""The kind of validation set whose verdicts are drawn by accuracy."""

_METRICS: dict[str, KnownMetric] = {
    "accuracy": KnownMetric("higher", "share"),
    "macro_f1": KnownMetric("higher", "share"),
    "log_loss": KnownMetric("lower", "nat"),
    "roc_auc": KnownMetric("higher", "share"),
    "mae": KnownMetric("lower", "target"),
    "rmse": KnownMetric("lower", "target"),
    "mape": KnownMetric("lower", "ratio"),
    "r2": KnownMetric("higher", "ratio"),
    "mase": KnownMetric("lower", "ratio"),
    "smape": KnownMetric("lower", "ratio"),
    "hr_at": KnownMetric("higher", "share"),
    "ndcg_at": KnownMetric("higher", "share"),
    "agreement": KnownMetric("higher", "share"),
    "difference_mae": KnownMetric("lower", "target"),
    "latency_ms_p95": KnownMetric("lower", "ms"),
}

COMPARING_FIGURES = frozenset({"agreement", "difference_mae"})
"""Figures that exist only beside an active version: how far the two are from each other."""

_WITH_NUMBER = re.compile(r"(hr_at|ndcg_at)_[1-9][0-9]{0,5}|(mae)_step_[1-9][0-9]{0,5}|(accuracy)_class_.+", re.DOTALL)


def known_metric(name: str) -> KnownMetric | None:
    """Return what is known of a metric, also of one with a number such as `ndcg_at_10`; None of any other."""
    numbered = _WITH_NUMBER.fullmatch(name)
    return _METRICS.get(name if numbered is None else next(filter(None, numbered.groups())))
