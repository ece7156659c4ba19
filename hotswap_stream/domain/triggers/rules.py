"""What may happen to a model's training policy and to its triggers. Pure, as all rules: the time comes with commands.

A trigger that fires and the request of its run are events of one decision, so nothing can come between the two.
"""

import math
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from hotswap_events.commands import Refusal
from hotswap_events.training.commands import RequestTraining
from hotswap_events.training.events import AskedByHand, AskedByTrigger
from hotswap_events.training.policy import TrainingPolicy
from hotswap_events.training.triggers import (
    FireTrigger,
    QualityPeaked,
    RecordQualityPeak,
    SetTrainingPolicy,
    SuppressedCause,
    SuppressTrigger,
    TrainingPolicySet,
    TrainingSuppressed,
    TrainingTriggered,
    TriggerCommand,
    TriggerName,
)
from hotswap_stream.domain.deciding import limits
from hotswap_stream.domain.deciding.applicable import inapplicable
from hotswap_stream.domain.deciding.decision import Accepted, Decision, invalid
from hotswap_stream.domain.deciding.live_metrics import lower_is_better
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.triggers import TriggersState
from hotswap_stream.domain.training.rules import request_training
from hotswap_stream.domain.triggers.limits import wrong_training_policy
from hotswap_stream.domain.triggers.suppression import suppression

COUNTED: tuple[TriggerName, ...] = ("drift", "quality", "rows")
"""Triggers whose slots are numbers: how often they have fired, and one more."""
BY_HAND: TriggerName = "hand"


def next_slot(triggers: TriggersState, trigger: TriggerName) -> str:
    """Return the slot that a counted trigger fires about next."""
    return str(triggers.counts.get(trigger, 0) + 1)


def run_id_of(model_name: str, trigger: TriggerName, slot: str) -> str:
    """Return the id of the run that a slot leads to: the same wherever it is decided, another one for each model."""
    digest = blake2b(f"{model_name}\0{trigger}\0{slot}".encode(), digest_size=8).hexdigest()
    return f"{trigger}-{digest}"


def has_trigger(policy: TrainingPolicy, trigger: TriggerName) -> bool:
    """Return whether the policy lets this trigger start runs."""
    data = policy.data
    return {
        "schedule": policy.schedule is not None,
        "drift": policy.drift is not None,
        "quality": policy.quality is not None,
        "rows": data is not None and data.rows is not None,
        "files": data is not None and data.files,
        "hand": policy.by_hand,
    }[trigger]


def _set_policy(state: ModelState, command: SetTrainingPolicy) -> Decision:
    policy = command.policy
    if policy == state.triggers.policy:
        return Accepted((), "this training policy holds already" if policy else "the model has no training policy")
    if policy is not None:
        if wrong := wrong_training_policy(policy):
            return invalid(wrong)
        if policy.quality is not None and (wrong := inapplicable((policy.quality.metric,), state)):
            return invalid(f"quality: {wrong}")
        trial = _request(state, policy, _example(state.model_name))
        if isinstance(trial, Refusal) and trial.code == "invalid-value":
            return trial
    return Accepted((TrainingPolicySet(policy=policy),))


def _fire(state: ModelState, command: FireTrigger) -> Decision:
    policy = _checked(state, command)
    if isinstance(policy, Refusal):
        return policy
    if note := _fired_already(state, command):
        return Accepted((), note)
    if command.override and (command.trigger != BY_HAND or not command.reason):
        return invalid("only a person may override cooldown, budget and freeze, by hand and with a reason")
    kept = suppression(state, policy, command.trigger, command.at, override=command.override)
    if kept is not None:
        return Refusal(
            code="illegal-step",
            reason=f"{command.trigger} of {state.model_name!r} does not fire ({kept.cause}): {kept.detail}",
            legal=_past(policy, kept.cause),
        )
    request = _request(state, policy, command)
    if isinstance(request, Refusal):
        return request
    triggered = TrainingTriggered(
        trigger=command.trigger,
        slot=_slot(command),
        run_id=run_id_of(state.model_name, command.trigger, _slot(command)),
        figures=command.figures,
        detail=command.detail,
    )
    return Accepted((triggered, *request.events))


def _past(policy: TrainingPolicy, cause: SuppressedCause) -> tuple[str, ...]:
    """Return how a person can start a run in spite of what keeps a trigger from firing."""
    if cause == "run-on":
        return ("cancel the run",)
    if cause == "version-on-way":
        return ("wait for the version, or end its rollout", *(("fire hand",) if policy.by_hand else ()))
    return ("fire hand with override and reason",) if policy.by_hand else ()


def _request(state: ModelState, policy: TrainingPolicy, command: FireTrigger) -> Decision:
    """Decide on the run that the trigger leads to."""
    by_hand = command.trigger == BY_HAND
    return request_training(
        state,
        RequestTraining(
            command_id=command.command_id,
            actor=command.actor,
            model_name=command.model_name,
            run_id=run_id_of(state.model_name, command.trigger, _slot(command)),
            trainer=policy.trainer,
            parameters=policy.parameters,
            datasets=tuple(dict.fromkeys((*policy.datasets, *command.datasets))),
            after=policy.after,
            cause=AskedByHand()
            if by_hand
            else AskedByTrigger(trigger=command.trigger, slot=_slot(command), figures=command.figures),
            retries=policy.retries,
            seconds_max=policy.seconds_max,
        ),
    )


def _example(model_name: str) -> FireTrigger:
    """Return a command, to see whether a run by a policy could be asked for."""
    at: Any = None  # nobody asks for the time of an example
    return FireTrigger(command_id="example", actor="example", model_name=model_name, trigger="hand", slot="-", at=at)


def _suppress(state: ModelState, command: SuppressTrigger) -> Decision:
    policy = _checked(state, command)
    if isinstance(policy, Refusal):
        return policy
    if note := _fired_already(state, command):
        return Accepted((), note)
    if (command.trigger, command.cause) in state.triggers.suppressed:
        return Accepted((), "that was said already")
    detail = command.detail or ""
    if command.cause != "refused":
        kept = suppression(state, policy, command.trigger, command.at)
        if kept is None or kept.cause != command.cause:
            return Accepted((), f"{command.cause} does not keep it from firing any more")
        detail = kept.detail
    return Accepted(
        (
            TrainingSuppressed(
                trigger=command.trigger,
                slot=_slot(command),
                cause=command.cause,
                detail=detail,
                figures=command.figures,
            ),
        )
    )


def _slot(command: TriggerCommand) -> str:
    return command.slot or command.command_id


def _checked(state: ModelState, command: TriggerCommand) -> TrainingPolicy | Refusal:
    policy = state.triggers.policy
    if policy is None:
        return Refusal(
            code="illegal-step",
            reason=f"{state.model_name!r} has no training policy, so no trigger says which run to start: set one, or "
            "ask for a run with a trainer of your choice",
            legal=("set a training policy", "request a training run"),
        )
    if not has_trigger(policy, command.trigger):
        return Refusal(
            code="illegal-step",
            reason=f"the training policy of {state.model_name!r} has no trigger {command.trigger!r}; it has "
            + (", ".join(name for name in _TRIGGERS if has_trigger(policy, name)) or "none"),
        )
    if wrong := limits.wrong_figures("figures", command.figures):
        return invalid(wrong)
    return policy


def _fired_already(state: ModelState, command: TriggerCommand) -> str | None:
    """Return that the slot has passed, or None. Files are known by their commands' ids, which are kept for ever."""
    trigger, slot, last = command.trigger, _slot(command), state.triggers.last.get(command.trigger)
    if trigger in COUNTED and slot != next_slot(state.triggers, trigger):
        return f"{trigger} fired about {slot!r} already"
    if trigger == "schedule" and last is not None and slot <= last.slot:
        return f"the schedule fired for {last.slot} already"
    run = state.runs.get(run_id_of(state.model_name, trigger, slot))
    return None if run is None else f"{trigger} fired about {slot!r} already: training run {run.run_id} is {run.status}"


def _peak(state: ModelState, command: RecordQualityPeak) -> Decision:
    policy, active, peak = state.triggers.policy, state.active, state.triggers.peak
    if policy is None or policy.quality is None or policy.quality.metric != command.metric:
        return Accepted((), "no quality trigger looks at this metric any more")
    if not math.isfinite(command.value):
        return invalid(f"value is {command.value}; a finite number is needed")
    if (
        active is None
        or active.model_version != command.model_version
        or active.production_sequences[-1:] != (command.production_sequence,)
    ):
        return Refusal(
            code="conflict",
            reason=f"{command.model_version!r} is not in production since {command.production_sequence} any more",
        )
    if peak is not None and peak.production_sequence == command.production_sequence and peak.metric == command.metric:
        better = command.value < peak.value if lower_is_better(command.metric) else command.value > peak.value
        if not better:
            return Accepted((), f"{peak.value:g} is better")
    return Accepted(
        (
            QualityPeaked(
                metric=command.metric,
                value=command.value,
                labels=command.labels,
                model_version=command.model_version,
                production_sequence=command.production_sequence,
            ),
        )
    )


_TRIGGERS: tuple[TriggerName, ...] = ("schedule", "drift", "quality", "rows", "files", "hand")

TRIGGER_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {
    SetTrainingPolicy: _set_policy,
    FireTrigger: _fire,
    SuppressTrigger: _suppress,
    RecordQualityPeak: _peak,
}
