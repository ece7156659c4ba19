"""`decide(state, command) -> events | refusal`: what may happen next. Pure: no clock, no ids, no I/O."""

from collections.abc import Callable
from typing import Any

from hotswap_events.commands import (
    AnyCommand,
    RecordDataset,
    Refusal,
    RegisterVersion,
    RequestTraining,
    StartTraining,
    TagModel,
    ValidateVersion,
)
from hotswap_events.training.triggers import SetTrainingPolicy
from hotswap_stream.domain.alerts.rules import ALERT_RULES
from hotswap_stream.domain.dataset_rules import DATASET_RULES
from hotswap_stream.domain.deciding import limits
from hotswap_stream.domain.deciding.decision import Accepted as Accepted
from hotswap_stream.domain.deciding.decision import Decision as Decision
from hotswap_stream.domain.deciding.decision import invalid
from hotswap_stream.domain.emergency_rules import emergency
from hotswap_stream.domain.rollouts.rules import ROLLOUT_RULES
from hotswap_stream.domain.rollouts.superseded import ending_rollout
from hotswap_stream.domain.serving.rules import SERVING_RULES
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.training.rules import TRAINING_RULES
from hotswap_stream.domain.triggers.rules import TRIGGER_RULES
from hotswap_stream.domain.versions.profile_rules import PROFILE_RULES
from hotswap_stream.domain.versions.retention_rules import RETENTION_RULES
from hotswap_stream.domain.versions.rules import VERSION_RULES
from hotswap_stream.domain.versions.tag_rules import TAG_RULES
from hotswap_stream.domain.versions.validation import DEFAULT_VALIDATION_POLICY, ValidationPolicy
from hotswap_stream.domain.versions.validation_rules import VALIDATION_RULES, validate


def decide(state: ModelState, command: AnyCommand, policy: ValidationPolicy = DEFAULT_VALIDATION_POLICY) -> Decision:
    """Decide one command against the model's state. A command applied before yields no event, whatever it asks.

    Args:
        state: The model's state after the last event of its stream; it is left alone.
        command: What somebody asks for.
        policy: By which versions are judged where the model has no policy of its own.

    Returns:
        The events to append, in order, or the refusal that says what would be legal.
    """
    if command.command_id in state.command_ids:
        return Accepted((), f"command {command.command_id} was applied before")
    if command.expected_sequence is not None and command.expected_sequence != state.sequence:
        return Refusal(
            code="sequence-mismatch",
            reason=f"you expected sequence {command.expected_sequence}, {state.model_name!r} is at {state.sequence}",
        )
    if not state.exists and (wrong := limits.wrong_model_name(state.model_name)):
        return invalid(wrong)
    if not state.exists and not isinstance(command, _BEGINNING):
        return Refusal(
            code="unknown-model",
            reason=f"there is no model {state.model_name!r} yet",
            legal=("register a version", "start a training run"),
        )
    if state.unknown_event_type is not None and (decision := emergency(state, command)) is not None:
        return decision
    if isinstance(command, ValidateVersion):
        return ending_rollout(state, validate(state, command, state.validation_policy or policy))
    return ending_rollout(state, _RULES[type(command)](state, command))


_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {
    **VERSION_RULES,
    **SERVING_RULES,
    **ROLLOUT_RULES,
    **RETENTION_RULES,
    **PROFILE_RULES,
    **ALERT_RULES,
    **VALIDATION_RULES,
    **TAG_RULES,
    **DATASET_RULES,
    **TRAINING_RULES,
    **TRIGGER_RULES,
}

_BEGINNING = (StartTraining, RequestTraining, RecordDataset, SetTrainingPolicy, RegisterVersion, TagModel)
"""Commands that may come first, with a new model's name."""
