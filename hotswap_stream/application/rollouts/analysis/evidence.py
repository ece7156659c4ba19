"""What a rollout that goes on shows now, as records for everybody: by the same verdicts that it is decided by. Pure."""

from collections.abc import Iterator
from datetime import datetime

from hotswap_events.rollouts.evidence import EvidenceVerdict, GoingOn, RolloutEvidence
from hotswap_events.rollouts.strategy import ARMS_MAX
from hotswap_stream.application.rollouts.analysis.budget import Budget, budget_of
from hotswap_stream.application.rollouts.analysis.table import RolloutTable
from hotswap_stream.application.rollouts.analysis.verdicts import MetricVerdict, judge_bake, verdicts_of
from hotswap_stream.domain.deciding.live_metrics import lower_is_better
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.domain.statistics.judgement import Outcome

_STATUSES: dict[str, GoingOn] = {"running": "running", "paused": "paused", "baking": "baking"}
_VERDICTS: dict[Outcome, EvidenceVerdict] = {"successful": "passed", "failed": "harmful"}


def evidence_of(
    model_name: str,
    rollout: RolloutState,
    table: RolloutTable,
    *,
    at: datetime,
    now: datetime,
    read_up_to: int,
    offset: int,
) -> tuple[RolloutEvidence, ...]:
    """Return what each metric of each candidate shows; of a promoted version while it bakes.

    Args:
        model_name: The model of the rollout.
        rollout: The rollout, while it goes on.
        table: What was folded of it, in step with it.
        at: When this is said.
        now: The time that has come, by the clock of the records.
        read_up_to: How far the observations were read.
        offset: Of the model's last event.
    """
    status = _STATUSES.get(rollout.status)
    if status is None:
        return ()
    budget = budget_of(rollout, table, now)
    return tuple(
        RolloutEvidence(
            model_name=model_name,
            rollout_id=rollout.rollout_id,
            metric=verdict.metric,
            model_version=name,
            baseline_version=rollout.baseline_version,
            verdict=_verdict(verdict),
            at=at,
            registry_offset=max(0, offset),
            watermark=max(0, read_up_to),
            status=status,
            arms=rollout.arms[:ARMS_MAX],
            step_index=rollout.step_index if status != "baking" else None,
            steps=len(getattr(rollout.strategy, "steps", ())),
            compared_with=verdict.interval.compared_with,
            lower_is_better=lower_is_better(verdict.metric),
            count=verdict.evidence.count,
            value=verdict.evidence.value,
            baseline_count=verdict.evidence.baseline_count,
            baseline_value=verdict.evidence.baseline_value,
            estimate=verdict.interval.estimate,
            lower=verdict.evidence.lower,
            upper=verdict.evidence.upper,
            limit=verdict.interval.limit,
            harm_limit=verdict.interval.harm_limit,
            p_value=verdict.evidence.p_value,
            threshold=verdict.evidence.threshold,
            margin=verdict.evidence.margin,
            figures=verdict.evidence.figures,
            answers=answers,
            answers_max=budget.answers_max,
            answers_min=rollout.policy.answers_min,
            seconds=budget.seconds,
            seconds_max=budget.seconds_max,
            budget_used=budget.spent(answers),
        )
        for name, answers, verdict in _verdicts(rollout, table, budget)
    )


def _verdicts(rollout: RolloutState, table: RolloutTable, budget: Budget) -> Iterator[tuple[str, int, MetricVerdict]]:
    if rollout.status == "baking":
        name = rollout.promoted_version or ""
        for test in table.bake or ():
            yield name, test.candidate.trials + test.candidate_values.count, judge_bake(name, test, over=budget.used)
        return
    for candidate in verdicts_of(rollout, table, budget_used=budget.used):
        for verdict in candidate.metrics:
            yield candidate.model_version, candidate.answers, verdict


def _verdict(found: MetricVerdict) -> EvidenceVerdict:
    known = _VERDICTS.get(found.outcome)
    if known is not None:
        return known
    return "undecided" if found.evidence.count else "no-data"
