"""How the arms of a rollout do, side by side, with what the evidence says so far; one may look as often as one likes.

The intervals are those of the tests that decide: true at all looks together. Metrics that the policy does not name are
shown too, where there is anything to show, and do not take part in the advice.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.observation import Observation
from hotswap_events.rollout import MetricEvidence
from hotswap_events.rollout_record import RolloutStatus
from hotswap_events.rollout_strategy import MetricName, MetricRule, RolloutPolicy
from hotswap_stream.application.descriptions.rollout import describe_strategy
from hotswap_stream.application.observations.feedback import JoinStatus
from hotswap_stream.application.rollouts.analysis.figures import JudgedAnswer, VersionFigures
from hotswap_stream.application.rollouts.analysis.folding import fold_judged, fold_observation
from hotswap_stream.application.rollouts.analysis.metric_tests import metric_evidence
from hotswap_stream.application.rollouts.analysis.table import ModelTable, RolloutTable
from hotswap_stream.application.rollouts.analysis.verdicts import verdicts_of
from hotswap_stream.domain.rollouts.automatic import looks_at_content
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.domain.statistics.beta_binomial import rate_interval
from hotswap_stream.domain.statistics.evidence import Evidence
from hotswap_stream.domain.statistics.latency_histogram import quantile_ms
from hotswap_stream.domain.statistics.means import mean_interval
from hotswap_stream.domain.statistics.samples import Counts

Advice = Literal["roll out", "roll back", "no harm", "continue"]
"""`no harm`: what the policy names is good enough, and nothing of it tells right answers from wrong ones."""

MARGINS: dict[MetricName, float] = {"success-rate": 0.05, "accuracy": 0.05, "reward": 0.0}
"""Of metrics that are shown though the policy does not name them; it is the size of difference found quickest."""


class RateShown(Struct, frozen=True, kw_only=True):
    """A share with its interval."""

    successes: int
    count: int
    rate: float
    lower: float
    upper: float


class RewardShown(Struct, frozen=True, kw_only=True):
    """A mean with its interval; no ends below 100 values."""

    count: int
    mean: float
    lower: float | None
    upper: float | None


class ArmReport(Struct, frozen=True, kw_only=True):
    """What one version did in the rollout."""

    model_version: str
    arm: Literal["baseline", "candidate"]
    weight: int
    """Of 10,000, as the traffic is split now."""
    requests: int
    answers: int
    success_rate: RateShown | None = None
    compute_ms_mean: float | None = None
    """Of the forward passes."""
    compute_ms_p95: float | None = None
    """At most 9 % too high: read from a histogram."""
    total_ms_mean: float | None = None
    """From request to answer."""
    total_ms_p95: float | None = None
    agreement: RateShown | None = None
    """Of a shadow's rows with the primary's."""
    accuracy: RateShown | None = None
    reward: RewardShown | None = None


class Lift(Struct, frozen=True, kw_only=True):
    """What a candidate's metric is above the baseline's. Higher is better, but for latency: the share of slow ones."""

    metric: MetricName
    model_version: str
    difference: float
    lower: float | None
    upper: float | None
    relative: float | None
    """The difference as a share of the baseline's value."""
    p_worse: float
    p_better: float
    """Anytime-valid."""
    decides: bool
    """Whether the policy names it."""


class ExperimentReport(Struct, frozen=True, kw_only=True):
    """A rollout's arms and what the evidence says of them."""

    model_name: str
    rollout_id: str
    status: RolloutStatus
    strategy: str
    started_at: datetime
    ended_at: datetime | None
    read_to: datetime | None
    """Time of the last record that is in it."""
    records: int
    feedback: dict[JoinStatus, int]
    """What was read of it, by what became of it. `joined` found its answer; of those, the ones that the split of the
    traffic chose count for an arm."""
    arms: tuple[ArmReport, ...]
    lifts: tuple[Lift, ...]
    evidence: tuple[MetricEvidence, ...]
    """By the policy's metrics, since the rollout's start."""
    advice: Advice
    because: str


class Experiment:
    """Folds one rollout's records into its report. Not in step with the rollout's phases: it is all of it."""

    def __init__(self, rollout: RolloutState) -> None:
        running = replace(rollout, status="running", pause_cause=None, step_index=None, ended_at=None)
        self._rollout = replace(running, phase_started_at=rollout.started_at)
        self._shown = replace(self._rollout, policy=_shown_policy(rollout.policy))
        self._tables = {True: ModelTable(), False: ModelTable()}
        self._marks: dict[str, int] = {}
        self.records = 0
        self.read_to: datetime | None = None

    def observe(self, record: Observation, at: datetime) -> None:
        """Take in an observation.

        One that was read before changes nothing; nor does one that cannot be folded, which the agents put aside too.
        """
        if record.sequence <= self._marks.get(record.worker_run, 0):
            return
        self._marks[record.worker_run] = record.sequence
        self._read(at)
        try:
            folded = {
                decides: fold_observation(self._tables[decides], rollout, record) for decides, rollout in self._both()
            }
        except ValueError:
            return
        self._tables.update(folded)

    def judge(self, judged: JudgedAnswer, at: datetime) -> None:
        """Take in what turned out about an answer."""
        self._read(at)
        for decides, rollout in self._both():
            self._tables[decides] = fold_judged(self._tables[decides], rollout, judged)

    def report(
        self, model_name: str, rollout: RolloutState, feedback: Mapping[JoinStatus, int] | None = None
    ) -> ExperimentReport:
        """Return the report as it stands.

        Args:
            model_name: The model of the rollout.
            rollout: The same rollout, as it is now.
            feedback: How much feedback was read, by what became of it.
        """
        deciding, shown = self._tables[True].rollout, self._tables[False].rollout
        figures = {} if deciding is None else deciding.figures
        verdicts = () if deciding is None else verdicts_of(self._rollout, deciding)
        advice: Advice = "continue"
        because = "no metric has shown enough yet"
        if harmful := [verdict for verdict in verdicts if verdict.outcome == "failed"]:
            advice, because = "roll back", _because(harmful[0].evidence, "failed")
        elif won := [verdict for verdict in verdicts if verdict.outcome == "successful"]:
            best = max(won, key=lambda verdict: verdict.lift)
            advice, because = "roll out", _because(best.evidence, "successful")
            if not (rollout.policy.promotes_on_operational or looks_at_content(rollout.strategy, rollout.policy)):
                advice = "no harm"
                because += f", and no metric says whether the answers of {best.model_version} are right"
                if (compared := figures.get(best.model_version)) and compared.agreement.trials:
                    because += f"; {compared.agreement.rate:.1%} agree with those of {rollout.baseline_version}"
        named = {rule.metric for rule in rollout.policy.metrics}
        weights = {arm.model_version: arm.weight for arm in rollout.arms}
        return ExperimentReport(
            model_name=model_name,
            rollout_id=rollout.rollout_id,
            status=rollout.status,
            strategy=describe_strategy(rollout.strategy),
            started_at=rollout.started_at,
            ended_at=rollout.ended_at,
            read_to=self.read_to,
            records=self.records,
            feedback=dict(feedback or {}),
            arms=tuple(
                _arm(name, name == rollout.baseline_version, weights.get(name, 0), figures.get(name), rollout.policy)
                for name in (rollout.baseline_version, *rollout.candidates)
            ),
            lifts=() if shown is None else tuple(_lifts(shown, named)),
            evidence=tuple(entry for verdict in verdicts for entry in verdict.evidence),
            advice=advice,
            because=because,
        )

    def _both(self) -> tuple[tuple[bool, RolloutState], ...]:
        return (True, self._rollout), (False, self._shown)

    def _read(self, at: datetime) -> None:
        self.records += 1
        self.read_to = at


def _shown_policy(policy: RolloutPolicy) -> RolloutPolicy:
    """Return the policy with rules on differences, for all that can be compared."""
    rules = {rule.metric: rule for rule in policy.metrics if rule.metric in (*MARGINS, "latency")}
    for metric, margin in MARGINS.items():
        known = rules.get(metric)
        if known is None or known.margin is None:
            rules[metric] = MetricRule(metric=metric, margin=margin)
    latency = rules.get("latency")
    if latency is not None and latency.margin is None:
        rules["latency"] = replace(latency, margin=0.05)
    return replace(policy, metrics=tuple(replace(rule, threshold=None) for rule in rules.values()))


def _arm(name: str, is_baseline: bool, weight: int, figures: VersionFigures | None, policy: RolloutPolicy) -> ArmReport:
    known = figures or VersionFigures()
    total_count = sum(known.total_buckets.values())
    rewards = known.rewards
    lower, upper = mean_interval(rewards, policy.alpha)
    bounded = lower != float("-inf")
    return ArmReport(
        model_version=name,
        arm="baseline" if is_baseline else "candidate",
        weight=weight,
        requests=known.outcomes.trials,
        answers=known.answers,
        success_rate=_rate(known.outcomes, policy.alpha),
        compute_ms_mean=known.compute_ms / known.answers if known.answers else None,
        compute_ms_p95=quantile_ms(known.compute_buckets, 0.95),
        total_ms_mean=known.total_ms / total_count if total_count else None,
        total_ms_p95=quantile_ms(known.total_buckets, 0.95),
        agreement=_rate(known.agreement, policy.alpha),
        accuracy=_rate(known.labelled, policy.alpha),
        reward=None
        if not rewards.count
        else RewardShown(
            count=rewards.count,
            mean=rewards.mean,
            lower=lower if bounded else None,
            upper=upper if bounded else None,
        ),
    )


def _rate(counts: Counts, alpha: float) -> RateShown | None:
    if not counts.trials:
        return None
    lower, upper = rate_interval(counts, alpha)
    return RateShown(successes=counts.successes, count=counts.trials, rate=counts.rate, lower=lower, upper=upper)


def _lifts(table: RolloutTable, named: set[MetricName]) -> list[Lift]:
    found: list[Lift] = []
    for tests in table.candidates:
        for test in tests.whole:
            [compared] = test.evidences()
            if compared.estimate is None:
                continue
            told = metric_evidence(test, (compared,), model_version=tests.model_version, outcome="inconclusive")
            found.append(_lift(told, compared, decides=test.rule.metric in named))
    return found


def _lift(told: MetricEvidence, compared: Evidence, *, decides: bool) -> Lift:
    estimate = compared.estimate or 0.0
    difference = -estimate if told.metric == "latency" else estimate
    return Lift(
        metric=told.metric,
        model_version=told.model_version,
        difference=difference,
        lower=told.lower,
        upper=told.upper,
        relative=difference / told.baseline_value if told.baseline_value else None,
        p_worse=compared.p_value("worse"),
        p_better=compared.p_value("better"),
        decides=decides,
    )


def _because(evidence: tuple[MetricEvidence, ...], outcome: str) -> str:
    metrics = [entry for entry in evidence if entry.outcome == outcome]
    said = "is shown to be worse" if outcome == "failed" else "is shown to be good enough"
    return "; ".join(f"{entry.metric} of {entry.model_version} {said}" for entry in metrics)
