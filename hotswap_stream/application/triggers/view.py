"""Training policies and what they started, as people ask for it."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_events.rollouts.strategy import MetricName
from hotswap_events.training.policy import TrainingPolicy
from hotswap_events.training.triggers import SuppressedCause, TriggerName
from hotswap_stream.application.descriptions.trigger import triggers_text
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.triggers import FiredTrigger, SuppressedTrigger
from hotswap_stream.domain.triggers.on_way import version_in_rollout


class TriggerRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trigger that started a run, or would have."""

    model_name: str
    status: Literal["fired", "suppressed"]
    trigger: TriggerName
    slot: str
    """What it was about: a time of the schedule, a file's digest, a number, or the id of a person's command."""
    at: datetime
    sequence: int
    """Stream position of its event."""
    figures: dict[str, float] = {}
    detail: str | None = None
    run_id: str | None = None
    run_status: str | None = None
    """Now; absent for a run that ended long ago."""
    cause: SuppressedCause | None = None
    actor: str | None = None
    reason: str | None = None


class PeakView(Struct, frozen=True, kw_only=True):
    """The best live quality since the active version entered production: what a drop is measured against."""

    metric: MetricName
    value: float
    labels: int
    model_version: str
    sequence: int


class ModelTriggers(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What starts training runs of one model, and what has started them."""

    model_name: str
    sequence: int
    triggers: tuple[str, ...]
    """Those of the policy, in a few words each."""
    policy: TrainingPolicy | None = None
    """Absent: nothing starts by itself."""
    policy_sequence: int | None = None
    policy_set_at: datetime | None = None
    run_on: str | None = None
    """The run that keeps others from starting now."""
    version_on_way: str | None = None
    """The version of a run in the current rollout, which keeps drift and quality from starting another run."""
    fired: dict[str, int] = {}
    """How often each trigger fired."""
    peak: PeakView | None = None
    history: tuple[TriggerRecord, ...] = ()
    """Newest first; the last 100."""


class TriggerSummary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model that has a training policy, or had one."""

    model_name: str
    triggers: tuple[str, ...]
    trainer: str | None = None
    run_on: str | None = None
    last: TriggerRecord | None = None
    """What happened last."""


class TriggerList(Struct, frozen=True, kw_only=True):
    """By model name."""

    models: tuple[TriggerSummary, ...]


def list_triggers(streams: Streams) -> TriggerList:
    """Return the models that have a training policy, or had one."""
    states = [stream.state for _, stream in sorted(streams.items())]
    return TriggerList(models=tuple(_summary(state) for state in states if state.triggers.policy_sequence))


def find_triggers(streams: Streams, model_name: str) -> ModelTriggers | Refusal:
    """Return what starts training runs of one model."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    state, triggers, peak = stream.state, stream.state.triggers, stream.state.triggers.peak
    return ModelTriggers(
        model_name=model_name,
        sequence=state.sequence,
        triggers=() if triggers.policy is None else tuple(triggers_text(triggers.policy)),
        policy=triggers.policy,
        policy_sequence=triggers.policy_sequence or None,
        policy_set_at=triggers.policy_at,
        run_on=run_on(state),
        version_on_way=version_in_rollout(state),
        fired={str(name): count for name, count in triggers.counts.items()},
        peak=None
        if peak is None
        else PeakView(
            metric=peak.metric,
            value=peak.value,
            labels=peak.labels,
            model_version=peak.model_version,
            sequence=peak.sequence,
        ),
        history=tuple(trigger_record(state, kept) for kept in reversed(triggers.history)),
    )


def run_on(state: ModelState) -> str | None:
    """Return the run of the model that was asked for and is not over."""
    return next((run.run_id for run in state.runs.values() if run.is_open and run.request is not None), None)


def _summary(state: ModelState) -> TriggerSummary:
    triggers = state.triggers
    return TriggerSummary(
        model_name=state.model_name,
        triggers=() if triggers.policy is None else tuple(triggers_text(triggers.policy)),
        trainer=None if triggers.policy is None else triggers.policy.trainer,
        run_on=run_on(state),
        last=trigger_record(state, triggers.history[-1]) if triggers.history else None,
    )


def trigger_record(state: ModelState, kept: FiredTrigger | SuppressedTrigger) -> TriggerRecord:
    """Return what a state remembers of a trigger, for people."""
    if isinstance(kept, SuppressedTrigger):
        return TriggerRecord(
            model_name=state.model_name,
            status="suppressed",
            trigger=kept.trigger,
            slot=kept.slot,
            at=kept.at,
            sequence=kept.sequence,
            figures=dict(kept.figures),
            detail=kept.detail,
            cause=kept.cause,
        )
    run = state.runs.get(kept.run_id)
    return TriggerRecord(
        model_name=state.model_name,
        status="fired",
        trigger=kept.trigger,
        slot=kept.slot,
        at=kept.at,
        sequence=kept.sequence,
        figures=dict(kept.figures),
        detail=kept.detail,
        run_id=kept.run_id,
        run_status=None if run is None else run.status,
        actor=kept.actor,
        reason=kept.reason,
    )
