"""A rollout decided again from what was recorded, by another policy: what would have been decided, when, at what cost.

The records are those of the rollout as it was: with another policy the candidate might have had more traffic or less,
and what people did by hand is left out. So the answer is exact as long as both decide alike, and from there on an
estimate; where the records end before the policy decides, it says so.
"""

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import Refusal
from hotswap_events.envelope import Envelope
from hotswap_events.inference.observation import Observation
from hotswap_events.registry.events import ModelPromoted, ModelRolledBack
from hotswap_events.rollouts.events import RolloutAnalysisRecorded, RolloutPaused, RolloutStepEntered
from hotswap_events.rollouts.strategy import RolloutPolicy, ShadowStrategy
from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.application.observations.feedback import AnswerLookup, FeedbackJoiner
from hotswap_stream.application.observations.history import RecordedHistory
from hotswap_stream.application.rollouts.analysis.entry import judged_of
from hotswap_stream.application.rollouts.analysis.figures import VersionFigures
from hotswap_stream.application.rollouts.backtest.course import RolloutCourse, rollout_courses
from hotswap_stream.application.rollouts.backtest.trial import RolloutTrial
from hotswap_stream.domain.state.rollout import RolloutState

WARM_UP = timedelta(minutes=10)
"""Read before the rollout: what the baseline did then makes its first answers count."""


class BacktestDecision(Struct, frozen=True, kw_only=True):
    """One decision, made or not."""

    at: datetime
    decided: str
    """`successful`, `failed`, `inconclusive`, `step 3`, `paused (inconclusive)` …"""
    reason: str | None


class BacktestCost(Struct, frozen=True, kw_only=True):
    """What the candidates' answers cost until the end."""

    requests: int
    failed: int
    extra_failed: float
    """Failed beyond what the baseline would have failed of as many requests; below 0, fewer."""
    labelled: int
    wrong: int
    extra_wrong: float


class BacktestSide(Struct, frozen=True, kw_only=True):
    """How a rollout went under one policy."""

    decisions: tuple[BacktestDecision, ...]
    outcome: str
    """`promoted`, `aborted`, `superseded`, `rolled-back`, `paused`, or `undecided` when the records ended."""
    ended_at: datetime | None
    seconds: float | None
    """From the start to the end."""
    cost: BacktestCost


class BacktestReport(Struct, frozen=True, kw_only=True):
    """Side by side."""

    model_name: str
    rollout_id: str
    baseline_version: str
    candidates: tuple[str, ...]
    records: int
    last_record_at: datetime | None
    policy: RolloutPolicy
    actual: BacktestSide
    trial: BacktestSide


class _Figures:
    """Sums over the rollout, until somebody stops caring."""

    def __init__(self, rollout: RolloutState) -> None:
        self._rollout = rollout
        self.of: dict[str, VersionFigures] = {}

    def cost(self) -> BacktestCost:
        baseline = self.of.get(self._rollout.baseline_version, VersionFigures())
        candidates = [self.of.get(name, VersionFigures()) for name in self._rollout.candidates]
        requests = sum(found.outcomes.trials for found in candidates)
        failed = sum(found.failures for found in candidates)
        labelled = sum(found.labelled.trials for found in candidates)
        wrong = sum(found.labelled.failures for found in candidates)
        as_baseline = baseline.failures / baseline.outcomes.trials if baseline.outcomes.trials else 0.0
        wrong_as_baseline = 1 - baseline.labelled.rate if baseline.labelled.trials else 0.0
        return BacktestCost(
            requests=requests,
            failed=failed,
            extra_failed=failed - requests * as_baseline,
            labelled=labelled,
            wrong=wrong,
            extra_wrong=wrong - labelled * wrong_as_baseline,
        )

    def observe(self, record: Observation) -> None:
        rollout, name = self._rollout, record.model_version
        shadowed = isinstance(rollout.strategy, ShadowStrategy) and name in rollout.candidates
        if name is None or record.rollout_id != rollout.rollout_id:
            return
        if record.role == ("shadow" if shadowed else "primary"):
            self.of[name] = self.of.get(name, VersionFigures()).with_observation(record, ())


async def backtest(
    course: RolloutCourse,
    history: RecordedHistory,
    policy: RolloutPolicy,
    *,
    answers: AnswerLookup | None = None,
    until: datetime | None = None,
) -> BacktestReport:
    """Decide the rollout again. HotswapErrors say what cannot be read."""
    rollout = course.begun.rollout
    if rollout is None:
        raise ValueError(f"rollout {course.rollout_id} ended where it began")
    state = course.begun.copy()
    state.rollout = replace(rollout, policy=policy)
    trial, figures = RolloutTrial(state), _Figures(rollout)
    joiner = None if answers is None else FeedbackJoiner(answers)
    marks: dict[str, int] = {}
    records, last_at = 0, None
    actual_cost = trial_cost = None
    async for recorded in history.read(state.model_name, course.started_at - WARM_UP, until):
        records, last_at = records + 1, recorded.at
        if actual_cost is None and course.ended_at is not None and recorded.at > course.ended_at:
            actual_cost = figures.cost()
        value = recorded.value
        over = _over(trial)
        if isinstance(value, Observation):
            if value.sequence <= marks.get(value.worker_run, 0):
                continue
            marks[value.worker_run] = value.sequence
            if over or trial.observe(value, recorded.at):
                figures.observe(value)
        elif joiner is not None:
            judged = judged_of(await joiner.join(value))
            if judged is not None and judged.answered_at >= course.started_at:
                figures.of[judged.model_version] = figures.of.get(judged.model_version, VersionFigures()).with_judged(
                    judged
                )
                if not over:
                    trial.judge(judged, recorded.at)
        if trial_cost is None and _ended_at(trial) is not None:
            trial_cost = figures.cost()
    if until is not None and not _over(trial):
        trial.tick(until)
    cost = figures.cost()
    return BacktestReport(
        model_name=state.model_name,
        rollout_id=course.rollout_id,
        baseline_version=rollout.baseline_version,
        candidates=rollout.candidates,
        records=records,
        last_record_at=last_at,
        policy=policy,
        actual=_actual_side(course, actual_cost or cost),
        trial=_trial_side(course, trial, trial_cost or cost),
    )


async def backtest_rollouts(
    log: RegistryLog,
    history: RecordedHistory,
    model_name: str,
    policy: RolloutPolicy,
    *,
    rollout_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    answers: AnswerLookup | None = None,
) -> tuple[BacktestReport, ...] | Refusal:
    """Return the rollout of this id; without one, those that began between the two times, or the last one."""
    courses = await rollout_courses(log, model_name)
    chosen = [
        course
        for course in courses
        if (rollout_id is None or course.rollout_id == rollout_id)
        and (since is None or course.started_at >= since)
        and (until is None or course.started_at <= until)
    ]
    if not chosen:
        there = ", ".join(f"{course.rollout_id} at {course.started_at:%Y-%m-%dT%H:%M:%SZ}" for course in courses[-10:])
        reason = f"no such rollout of {model_name!r} began in that time; there is {there or 'none yet'}"
        return Refusal(code="unknown-rollout", reason=reason)
    if since is None and until is None:
        chosen = chosen[-1:]
    return tuple([await backtest(course, history, policy, answers=answers, until=until) for course in chosen])


def _over(trial: RolloutTrial) -> bool:
    """Return whether nothing more would be decided without a person."""
    rollout = trial.state.rollout
    return rollout is None or rollout.status == "paused" or trial.refused is not None


def _ended_at(trial: RolloutTrial) -> datetime | None:
    """Return when the rollout was promoted, aborted, or left to a person."""
    rollout = trial.state.rollout
    for decided in trial.decided:
        if any(isinstance(event, ModelPromoted) for event in decided.events):
            return decided.at
    return trial.decided[-1].at if trial.decided and (rollout is None or rollout.status == "paused") else None


def _trial_side(course: RolloutCourse, trial: RolloutTrial, cost: BacktestCost) -> BacktestSide:
    rollout, ended_at = trial.state.rollout, _ended_at(trial)
    outcome = "undecided"
    if rollout is None:
        outcome = trial.state.rollout_history[-1].status
    elif rollout.status == "baking":
        outcome = "promoted"
    elif rollout.status == "paused":
        outcome = "paused"
    decisions = tuple(
        BacktestDecision(at=each.at, decided=_words(each.events), reason=each.command.reason) for each in trial.decided
    )
    return BacktestSide(
        decisions=decisions,
        outcome=outcome,
        ended_at=ended_at,
        seconds=None if ended_at is None else (ended_at - course.started_at).total_seconds(),
        cost=cost,
    )


def _actual_side(course: RolloutCourse, cost: BacktestCost) -> BacktestSide:
    begun_by = course.events[0].causationid
    decisions: dict[str, list[object]] = {}
    first: dict[str, Envelope] = {}
    for event in course.events:
        if event.causationid != begun_by:
            decisions.setdefault(event.causationid, []).append(event.data)
            first.setdefault(event.causationid, event)
    ended_at = course.ended_at
    return BacktestSide(
        decisions=tuple(
            BacktestDecision(at=first[cause].time, decided=_words(tuple(events)), reason=first[cause].reason)
            for cause, events in decisions.items()
        ),
        outcome=course.outcome or "undecided",
        ended_at=ended_at,
        seconds=None if ended_at is None else (ended_at - course.started_at).total_seconds(),
        cost=cost,
    )


def _words(events: tuple[object, ...]) -> str:
    """Return what the events of one decision say, in a few words."""
    said: list[str] = []
    for event in events:
        if isinstance(event, RolloutAnalysisRecorded):
            said.append(event.outcome)
        elif isinstance(event, RolloutPaused):
            said.append(f"paused ({event.cause})")
        elif isinstance(event, RolloutStepEntered):
            said.append(f"step {event.step_index}")
        elif isinstance(event, ModelPromoted | ModelRolledBack):
            said.append(f"{event.model_version} in production")
    if said:
        return ", ".join(said)
    return ", ".join(_short(event) for event in events)


def _short(event: object) -> str:
    """Return `resumed`, `weights-set` … from the event's type name."""
    return REGISTRY_CODEC.type_name(event).split(".")[-2]  # type: ignore[arg-type]
