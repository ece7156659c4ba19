"""One metric of one candidate, tested as its rule says. Folds: counts go in, evidence comes out at any time."""

from math import exp, isfinite
from typing import Literal

from msgspec import Struct, UnsetType
from msgspec.structs import replace

from hotswap_events.rollouts.events import AnalysisOutcome, MetricEvidence
from hotswap_events.rollouts.strategy import MetricRule
from hotswap_stream.domain.deciding.live_metrics import FIRST_METRICS, is_share, lower_is_better
from hotswap_stream.domain.statistics.beta_binomial import rate_interval
from hotswap_stream.domain.statistics.evidence import LOG_E_MAX, Evidence
from hotswap_stream.domain.statistics.means import VALUES_MIN, MeanComparison, mean_interval
from hotswap_stream.domain.statistics.rates import NINE_OF_TEN, RateComparison
from hotswap_stream.domain.statistics.samples import Counts, Moments
from hotswap_stream.domain.statistics.thresholds import against_threshold

Side = Literal["baseline", "candidate"]

_INSIDE = 1e-9
"""A rate of exactly 0 or 1 cannot be tested against; this far inside it can."""
_BETS_MARGIN = 0.05
"""Differences that are bet on where the rule's own margin is 0."""
_MARGIN_MOST = 0.99


class MetricTest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule on a share or a mean, and what was counted for it since it began. Higher is better in all of it."""

    rule: MetricRule
    alpha: float
    """What each of its findings may err by, two-sided."""
    baseline: Counts = Counts()
    candidate: Counts = Counts()
    baseline_values: Moments = Moments()
    candidate_values: Moments = Moments()
    rates: RateComparison | None = None
    means: MeanComparison | None = None

    def with_counts(self, side: Side, counts: Counts) -> "MetricTest":
        """Return the same and more counts of one arm."""
        none = Counts()
        rates = self.rates
        means = None if self.means is None else _folded(self.means, side, _ones_and_zeros(counts))
        if side == "baseline":
            rates = None if rates is None else rates.fold(counts, none)
            return replace(self, baseline=self.baseline + counts, rates=rates, means=means)
        rates = None if rates is None else rates.fold(none, counts)
        return replace(self, candidate=self.candidate + counts, rates=rates, means=means)

    def with_values(self, side: Side, values: Moments) -> "MetricTest":
        """Return the same and more values of one arm."""
        means = None if self.means is None else _folded(self.means, side, values)
        if side == "baseline":
            return replace(self, baseline_values=self.baseline_values + values, means=means)
        return replace(self, candidate_values=self.candidate_values + values, means=means)

    def evidences(self) -> tuple[Evidence, ...]:
        """Return what is shown.

        Against the baseline where the rule has a margin, against its threshold where it has one.
        """
        found: list[Evidence] = []
        if self.rates is not None:
            evidence = self.rates.evidence()
            if not self.rule.margin:  # "not worse by 0 or more" is: better
                evidence = replace(evidence, log_e_not_worse=evidence.log_e_better, margin=0.0)
            found.append(evidence)
        if self.means is not None:
            found.append(self.means.evidence())
        if self.rule.threshold is not None:
            found.append(self._against(self.rule.threshold))
        return tuple(found)

    def bake_evidences(self) -> tuple[Evidence, ...]:
        """Return what is shown of a candidate in production, whose baseline gets no traffic any more.

        It is held to what the baseline did at least, by the lower end of its interval, less the margin.
        """
        found: list[Evidence] = []
        rule = self.rule
        if has_margin(rule) and not is_share(rule.metric):
            if self.baseline_values.count >= VALUES_MIN:
                lowest, _highest = mean_interval(self.baseline_values, self.alpha)
                found.append(_mean_against(self.candidate_values, given_up(rule, lowest), self.alpha))
        elif has_margin(rule) and self.baseline.trials:
            lowest, _highest = rate_interval(self.baseline, self.alpha)
            found.append(against_threshold(self.candidate, _inside(given_up(rule, lowest)), alpha=self.alpha))
        if rule.threshold is not None:
            found.append(self._against(rule.threshold))
        return tuple(found)

    def _against(self, threshold: float) -> Evidence:
        lower = lower_is_better(self.rule.metric)
        if not is_share(self.rule.metric):
            return _mean_against(self.candidate_values, -threshold if lower else threshold, self.alpha)
        return against_threshold(self.candidate, _inside(1 - threshold if lower else threshold), alpha=self.alpha)


def metric_test(rule: MetricRule, alpha: float, before: Counts | None = None) -> MetricTest:
    """Return a test that has seen nothing.

    Args:
        rule: What is measured, and by what margin or threshold it is judged.
        alpha: What each finding may err by, two-sided.
        before: What the baseline did earlier, which makes the first answers count.
    """
    if rule.relative is not None:
        scale, binary = _scale(rule, rule.relative), is_share(rule.metric)
        means = MeanComparison(margin=0.0, scale=scale, binary=binary, alpha=alpha)
        return MetricTest(rule=rule, alpha=alpha, means=means)
    if rule.margin is None:
        return MetricTest(rule=rule, alpha=alpha)
    if not is_share(rule.metric):
        return MetricTest(rule=rule, alpha=alpha, means=MeanComparison(margin=rule.margin, alpha=alpha))
    margin = min(_MARGIN_MOST, rule.margin or _BETS_MARGIN)
    known = before if before is not None and before.trials else NINE_OF_TEN
    return MetricTest(rule=rule, alpha=alpha, rates=RateComparison(margin=margin, alpha=alpha, before=known))


def metric_evidence(
    test: MetricTest,
    evidences: tuple[Evidence, ...],
    *,
    model_version: str,
    outcome: AnalysisOutcome,
    alone: bool = False,
) -> MetricEvidence:
    """Return the figures of a test as events carry them: in the metric's unit, so less may be better there.

    Latency is told as the share of slow answers. `alone`: the baseline gets no traffic any more, so that the interval
    is of the metric itself.
    """
    rule = test.rule
    shown = evidences[0] if evidences else None
    lower, upper = (shown.lower, shown.upper) if shown is not None else (None, None)
    if lower_is_better(rule.metric) and shown is not None:
        whole = 1.0 if is_share(rule.metric) and (alone or not has_margin(rule)) else 0.0
        lower, upper = (None if upper is None else whole - upper), (None if lower is None else whole - lower)
    p_value = None
    if evidences:
        finding: Literal["worse", "not_worse"] = "worse" if outcome == "failed" else "not_worse"
        p_values = [evidence.p_value(finding) for evidence in evidences]
        p_value = min(p_values) if outcome == "failed" else max(p_values)
    count, value = _count_and_value(test, "candidate")
    baseline_count, baseline_value = _count_and_value(test, "baseline")
    figures = {"alpha": test.alpha}
    for evidence, name in zip(evidences, _names(rule, len(evidences)), strict=True):
        figures |= {
            f"{name}log_e_worse": evidence.log_e_worse,
            f"{name}log_e_not_worse": evidence.log_e_not_worse,
            f"{name}log_e_better": evidence.log_e_better,
        }
    if rule.slow_ms is not None:
        figures["slow_ms"] = rule.slow_ms
    if rule.relative is not None:
        figures["relative_margin"] = rule.relative
    if not isinstance(rule.error_max, UnsetType):
        figures["error_max"] = rule.error_max
    if rule.metric in FIRST_METRICS:
        figures["at"] = float(rule.first)
    return MetricEvidence(
        metric=rule.metric,
        model_version=model_version,
        outcome=outcome,
        count=count,
        value=value,
        baseline_count=baseline_count or None,
        baseline_value=baseline_value,
        lower=_finite(lower),
        upper=_finite(upper),
        p_value=p_value,
        threshold=rule.threshold,
        margin=rule.margin,
        figures={name: figure for name, figure in figures.items() if isfinite(figure)},
    )


def _names(rule: MetricRule, count: int) -> tuple[str, ...]:
    """Return what the figures of each test begin with, where a rule has two."""
    both = has_margin(rule) and rule.threshold is not None and count > 1
    return ("margin_", "threshold_") if both else ("",) * count


def _count_and_value(test: MetricTest, side: Side) -> tuple[int, float | None]:
    lower = lower_is_better(test.rule.metric)
    if not is_share(test.rule.metric):
        values = test.baseline_values if side == "baseline" else test.candidate_values
        if not values.count:
            return 0, None
        return values.count, -values.mean if lower else values.mean
    counts = test.baseline if side == "baseline" else test.candidate
    if not counts.trials:
        return 0, None
    return counts.trials, 1 - counts.rate if lower else counts.rate


def has_margin(rule: MetricRule) -> bool:
    """Return whether a candidate is compared with its baseline."""
    return rule.margin is not None or rule.relative is not None


def _scale(rule: MetricRule, part: float) -> float:
    """Return what a baseline's mean is multiplied by to give up this part of it; costs have a minus."""
    return 1 + part if lower_is_better(rule.metric) else 1 - part


def given_up(rule: MetricRule, lowest: float) -> float:
    """Return what a candidate must reach where its baseline reaches `lowest` at least."""
    return lowest * _scale(rule, rule.relative) if rule.relative is not None else lowest - (rule.margin or 0.0)


def _folded(means: MeanComparison, side: Side, values: Moments) -> MeanComparison:
    return means.fold(values, Moments()) if side == "baseline" else means.fold(Moments(), values)


def _ones_and_zeros(counts: Counts) -> Moments:
    return Moments(counts.trials, float(counts.successes), float(counts.successes))


def _mean_against(values: Moments, threshold: float, alpha: float) -> Evidence:
    """Compare a mean with a fixed number, by its confidence sequence: a finding is shown or not."""
    lower, upper = mean_interval(values, alpha)
    return Evidence(
        method="mean against a threshold: asymptotic confidence sequence",
        estimate=values.mean if values.count else None,
        lower=_finite(lower),
        upper=_finite(upper),
        log_e_worse=LOG_E_MAX if upper < threshold else 0.0,
        log_e_not_worse=LOG_E_MAX if lower > threshold else 0.0,
        log_e_better=LOG_E_MAX if lower > threshold else 0.0,
        alpha=alpha,
        margin=0.0,
        baseline_trials=0,
        candidate_trials=values.count,
    )


def harm_shown(evidence: Evidence, alpha: float) -> bool:
    """Return whether it is shown to be worse, at an error of `alpha` / 2, which may be less than the evidence's own."""
    return exp(-evidence.log_e_worse) <= alpha / 2


def _inside(rate: float) -> float:
    return min(1 - _INSIDE, max(_INSIDE, rate))


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
