"""How the arms of a rollout do, side by side, with what the evidence says so far; one may look as often as one likes.

The intervals are those of the tests that decide: true at all looks together. Metrics that the policy does not name are
shown too, where there is anything to show, and do not take part in the advice.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.inference.observation import Observation
from hotswap_events.rollouts.events import MetricEvidence
from hotswap_events.rollouts.record import RolloutStatus
from hotswap_events.rollouts.strategy import MetricName, MetricRule, RolloutPolicy
from hotswap_stream.application.descriptions.rollout import describe_strategy
from hotswap_stream.application.observations.feedback import JoinStatus
from hotswap_stream.application.rollouts.analysis.figures import JudgedAnswer
from hotswap_stream.application.rollouts.analysis.folding import fold_judged, fold_observation
from hotswap_stream.application.rollouts.analysis.metric_tests import metric_evidence
from hotswap_stream.application.rollouts.analysis.table import ModelTable, RolloutTable
from hotswap_stream.application.rollouts.analysis.verdicts import verdicts_of
from hotswap_stream.application.rollouts.report.arms import ArmReport, arm_report
from hotswap_stream.application.rollouts.report.arms import RewardShown as RewardShown
from hotswap_stream.application.rollouts.report.decision import RolloutDecision, decision_of
from hotswap_stream.application.rollouts.report.undecided import Undecided, undecided_of
from hotswap_stream.domain.deciding.live_metrics import (
    FEEDBACK_METRICS,
    LIVE_METRICS,
    Better,
    is_share,
    lower_is_better,
)
from hotswap_stream.domain.rollouts.automatic import looks_at_content
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.domain.statistics.evidence import Evidence

Advice = Literal["roll out", "roll back", "no harm", "continue", "ended"]
"""`no harm`: what the policy names is good enough, and nothing of it tells right answers from wrong ones. `ended`:
there is nothing left to advise; `decision` says what came of it."""

MARGINS: dict[MetricName, float] = {
    "success-rate": 0.05,
    "accuracy": 0.05,
    "hit-rate": 0.05,
    **{metric: 0.0 for metric in LIVE_METRICS if metric in FEEDBACK_METRICS and not is_share(metric)},
}
"""Sizes of difference found quickest, for metrics that are shown though the policy does not name them."""


class Lift(Struct, frozen=True, kw_only=True):
    """What a candidate's metric is above the baseline's. Of latency it is the share of slow answers."""

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
    better: Better = "higher"
    unit: str = "share"
    """Unit of the difference. `target`: that of what is predicted."""


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
    """By the policy's metrics, since the rollout's start; of one that ended, that of the last analysis in the log."""
    advice: Advice
    because: str
    undecided: tuple[Undecided, ...] = ()
    """Why metrics decide nothing yet."""
    decision: RolloutDecision | None = None
    """How the rollout ended, as the log says; null while it goes on."""


class Experiment:
    """Folds one rollout's records into its report. Not in step with the rollout's phases: it is all of it.

    `shown` are the metrics that are compared though the policy does not name them. They share its alpha: those that the
    model cannot have would make the intervals of all others wider.
    """

    def __init__(self, rollout: RolloutState, *, shown: Iterable[MetricName] = tuple(MARGINS)) -> None:
        running = replace(rollout, status="running", pause_cause=None, step_index=None, ended_at=None)
        self._rollout = replace(running, phase_started_at=rollout.started_at)
        self._shown = replace(self._rollout, policy=_shown_policy(rollout.policy, shown))
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
        evidence = tuple(entry for verdict in verdicts for entry in verdict.evidence)
        undecided = undecided_of(evidence, rollout.policy.answers_min)
        if advice == "continue" and undecided:
            because = "; ".join(f"{each.metric} of {each.model_version}: {each.because}" for each in undecided)
        decision = decision_of(rollout)
        if decision is not None:
            # The log says what came of it and by which evidence: what today's tests would say may differ.
            advice, because, undecided = "ended", str(decision), ()
            evidence = rollout.analyses[-1].evidence if rollout.analyses else evidence
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
                arm_report(
                    name, name == rollout.baseline_version, weights.get(name, 0), figures.get(name), rollout.policy
                )
                for name in (rollout.baseline_version, *rollout.candidates)
            ),
            lifts=() if shown is None else tuple(_lifts(shown, named)),
            evidence=evidence,
            advice=advice,
            because=because,
            undecided=undecided,
            decision=decision,
        )

    def _both(self) -> tuple[tuple[bool, RolloutState], ...]:
        return (True, self._rollout), (False, self._shown)

    def _read(self, at: datetime) -> None:
        self.records += 1
        self.read_to = at


def _shown_policy(policy: RolloutPolicy, shown: Iterable[MetricName]) -> RolloutPolicy:
    """Return the policy with rules on differences, for all that can be compared."""
    rules = {rule.metric: rule for rule in policy.metrics if rule.metric in (*MARGINS, "latency")}
    for metric in (*rules, *shown):
        known = rules.get(metric, MetricRule(metric=metric))
        if metric in MARGINS and known.margin is None and known.relative is None:
            rules[metric] = replace(known, margin=MARGINS[metric])
    latency = rules.get("latency")
    if latency is not None and latency.margin is None:
        rules["latency"] = replace(latency, margin=0.05)
    return replace(policy, metrics=tuple(replace(rule, threshold=None) for rule in rules.values()))


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
    difference = -estimate if lower_is_better(told.metric) else estimate
    return Lift(
        metric=told.metric,
        better=LIVE_METRICS[told.metric].better,
        unit=LIVE_METRICS[told.metric].unit,
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
