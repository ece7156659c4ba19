"""What another training policy would have started on what was recorded, and why.

The log and the records are those of the time as it was, so what would have come of other runs is not in them: each run
is taken to go on for a time and to end without a version. Everything else is decided by the same rules as live.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import AnyCommand, CancelTraining, Refusal
from hotswap_events.envelope import Envelope
from hotswap_events.inference.observation import Observation
from hotswap_events.registry.events import RegistryEvent
from hotswap_events.training.events import TRAINING_EVENT_TYPES
from hotswap_events.training.policy import TrainingPolicy
from hotswap_events.training.triggers import (
    TRAINING_TRIGGER_EVENT_TYPES,
    TrainingPolicySet,
    TrainingTriggered,
)
from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.application.observations.feedback import AnswerLookup, FeedbackJoiner
from hotswap_stream.application.observations.history import Recorded, RecordedHistory
from hotswap_stream.application.registry.fold import Applied, RegistryFold
from hotswap_stream.application.rollouts.analysis.entry import judged_of
from hotswap_stream.application.triggers.drift_watch import DriftWatch
from hotswap_stream.application.triggers.due import Due, command_of, rows_due, schedule_due
from hotswap_stream.application.triggers.quality_watch import QualityWatch
from hotswap_stream.application.triggers.view import TriggerRecord, trigger_record
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.evolve import IllegalEventError, evolve_in_place
from hotswap_stream.domain.reserved import TRAINING_ACTOR
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.triggers import NO_TRIGGERS
from hotswap_stream.domain.triggers.limits import wrong_training_policy

RUN_SECONDS = 600.0
LOOK = timedelta(seconds=60)
"""How often time alone is looked at, where nothing was recorded."""
DAYS_MAX = 92

_NOT_OF_THE_TRIAL = (*TRAINING_EVENT_TYPES.values(), *TRAINING_TRIGGER_EVENT_TYPES.values())


class TriggerBacktest(Struct, frozen=True, kw_only=True):
    """Side by side."""

    model_name: str
    since: datetime
    until: datetime
    run_seconds: float
    """How long each run was taken to go on."""
    records: int
    """Observations and pieces of feedback that were read."""
    policy: TrainingPolicy
    trial: tuple[TriggerRecord, ...]
    """What the policy would have started or suppressed, oldest first; at most the last 100."""
    actual: tuple[TriggerRecord, ...]
    """What was started and suppressed."""


class _Trial:
    """The model as it was, with the tried policy in place of its own."""

    def __init__(self, state: ModelState, policy: TrainingPolicy, since: datetime, run_seconds: float) -> None:
        self.state = state
        state.triggers = NO_TRIGGERS
        state.runs = {run_id: run for run_id, run in state.runs.items() if not run.is_open}
        self._run = timedelta(seconds=run_seconds)
        self._run_ends: tuple[str, datetime] | None = None
        self._commands = 0
        self.rows = 0
        self.drift = None if policy.drift is None else DriftWatch(policy.drift)
        self.quality = None if policy.quality is None else QualityWatch(policy.quality)
        self._evolve(TrainingPolicySet(policy=policy), since, "backtest")

    def happened(self, event: Envelope) -> None:
        """Take in what is no part of training."""
        if isinstance(event.data, _NOT_OF_THE_TRIAL):
            return
        try:
            evolve_in_place(self.state, event)
        except IllegalEventError:
            return  # it began or ended a run that the trial does not have

    def look(self, now: datetime) -> None:
        """Fire what is due at this time."""
        if self._run_ends is not None and self._run_ends[1] <= now:
            run_id, ended = self._run_ends
            self._run_ends = None
            self._commands += 1
            self._decide(
                CancelTraining(
                    command_id=f"backtest-{self._commands}",
                    actor=TRAINING_ACTOR,
                    model_name=self.state.model_name,
                    run_id=run_id,
                ),
                ended,
            )
        peak = None if self.quality is None else self.quality.peak(self.state)
        if peak is not None:
            self._decide(peak, now)
        for due in (
            schedule_due(self.state, now),
            None if self.drift is None else self.drift.due(self.state),
            None if self.quality is None else self.quality.due(self.state),
            rows_due(self.state, self.rows),
        ):
            if due is not None:
                self._fire(due, now)

    def _fire(self, due: Due, now: datetime) -> None:
        command = command_of(self.state, due, now)
        if command is None:
            return
        for event in self._decide(command, now):
            if isinstance(event, TrainingTriggered):
                self._run_ends = event.run_id, now + self._run
                if due.trigger == "drift" and self.drift is not None:
                    self.drift.fired()
                if due.trigger == "quality" and self.quality is not None:
                    self.quality.fired()

    def _decide(self, command: AnyCommand, now: datetime) -> tuple[RegistryEvent, ...]:
        decision = decide(self.state, command)
        if not isinstance(decision, Accepted):
            return ()
        for event in decision.events:
            self._evolve(event, now, command.command_id)
        return decision.events

    def _evolve(self, data: RegistryEvent, now: datetime, command_id: str) -> None:
        envelope = REGISTRY_CODEC.envelope(
            data,
            id=command_id,
            source="/hotswap/backtest",
            subject=self.state.model_name,
            time=now,
            sequence=self.state.sequence + 1,
            previous="",
            actor=TRAINING_ACTOR,
            reason=None,
            causationid=command_id,
            correlationid=command_id,
            traceparent=None,
        )
        evolve_in_place(self.state, envelope)


async def backtest_triggers(
    log: RegistryLog,
    history: RecordedHistory,
    model_name: str,
    policy: TrainingPolicy,
    *,
    since: datetime,
    until: datetime,
    answers: AnswerLookup | None = None,
    run_seconds: float = RUN_SECONDS,
) -> TriggerBacktest | Refusal:
    """Return what the policy would have started between two times.

    Args:
        log: The registry log.
        history: Observations and feedback.
        model_name: Whose runs.
        policy: The one to try.
        since: When it begins to hold.
        until: When the look ends.
        answers: Finds the answers that feedback is about; without it quality says nothing.
        run_seconds: How long each run is taken to go on.

    Raises:
        HotswapError: What was recorded cannot be read.
    """
    if wrong := wrong_training_policy(policy) or _wrong_time(since, until):
        return Refusal(code="invalid-value", reason=wrong)
    state, events, actual = await _course(log, model_name, since, until)
    if not state.exists and not events:
        return Refusal(code="unknown-model", reason=f"there was no model {model_name!r} before {until.isoformat()}")
    trial = _Trial(state, policy, since, run_seconds)
    joiner = None if answers is None else FeedbackJoiner(answers)
    records, now, event_number = 0, since, 0

    def pass_time(to: datetime) -> None:
        nonlocal now, event_number
        while event_number < len(events) and events[event_number].time <= to:
            trial.happened(events[event_number])
            event_number += 1
        while now + LOOK < to:
            now += LOOK
            trial.look(now)

    async for recorded in history.read(model_name, since, until):
        records += 1
        pass_time(recorded.at)
        await _fold(trial, recorded, joiner)
        if recorded.at - now >= timedelta(seconds=1):
            now = recorded.at
            trial.look(now)
    pass_time(until)
    trial.look(until)
    return TriggerBacktest(
        model_name=model_name,
        since=since,
        until=until,
        run_seconds=run_seconds,
        records=records,
        policy=policy,
        trial=tuple(trigger_record(trial.state, kept) for kept in trial.state.triggers.history),
        actual=actual,
    )


async def _fold(trial: _Trial, recorded: Recorded, joiner: FeedbackJoiner | None) -> None:
    value = recorded.value
    if isinstance(value, Observation):
        if trial.drift is not None:
            trial.drift.fold(trial.state, value, round(recorded.at.timestamp() * 1000))
        return
    if trial.quality is None or joiner is None:
        trial.rows += 1
        return
    joined = await joiner.join(value)
    trial.rows += joined.status != "double"
    judged = judged_of(joined)
    if judged is not None:
        trial.quality.judge(trial.state, judged)


async def _course(
    log: RegistryLog, model_name: str, since: datetime, until: datetime
) -> tuple[ModelState, list[Envelope], tuple[TriggerRecord, ...]]:
    """Return the model at the begin, its events until the end, and what its own policy did in between."""
    fold, begun, events = RegistryFold(), ModelState(model_name), list[Envelope]()
    async for page in log.read(0, await log.end_offset()):
        for record in page:
            outcome = fold.apply(record)
            if not isinstance(outcome, Applied) or outcome.event.subject != model_name:
                continue
            if outcome.event.time <= since:
                begun = fold.state(model_name).copy()
            elif outcome.event.time <= until:
                events.append(outcome.event)
    ended = fold.state(model_name)
    happened = [kept for kept in ended.triggers.history if since < kept.at <= until]
    return begun, events, tuple(trigger_record(ended, kept) for kept in happened)


def _wrong_time(since: datetime, until: datetime) -> str | None:
    if since >= until:
        return f"the time begins at {since.isoformat()}, which is not before its end, {until.isoformat()}"
    if until - since > timedelta(days=DAYS_MAX):
        return f"the time has {(until - since).days} days; at most {DAYS_MAX} are looked at"
    return None
