"""The verdict on a version, the policy by which it is drawn, and the set that it is measured on."""

import re
from collections.abc import Callable
from typing import Any

from hotswap_events.commands import ChooseValidationSet, Refusal, SetValidationPolicy, ValidateVersion
from hotswap_events.registry.events import ModelArchived, ModelValidated, RegistryEvent
from hotswap_events.validation.policy import ValidationPolicySet
from hotswap_events.validation.sets import ValidationSet, ValidationSetChosen
from hotswap_stream.domain.deciding import limits
from hotswap_stream.domain.deciding.decision import Accepted, Decision, find_version, illegal, invalid, promotion
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.versions.metrics import CLASSIFICATION
from hotswap_stream.domain.versions.validation import (
    Judgement,
    ValidationPolicy,
    judge,
    judge_by_gates,
    missing_figure,
    wrong_validation_policy,
)

_KIND = re.compile(r"[a-z][a-z0-9-]{0,63}")


def by_accuracy(state: ModelState) -> bool:
    """Return whether accuracy counts for this model: unless its validation set is of another kind."""
    return state.validation_set is None or state.validation_set.kind == CLASSIFICATION


def _wrong_evaluation(state: ModelState, command: ValidateVersion) -> str | None:
    if by_accuracy(state) and "accuracy" not in command.figures:
        return (
            "figures need 'accuracy', a share from 0 to 1; for a model that is no classifier choose a validation set "
            "of its kind first"
        )
    if not command.figures:
        return "there are no figures"
    for what, figures in (("figures", command.figures), ("baseline_figures", command.baseline_figures)):
        if wrong := limits.wrong_figures(what, figures):
            return wrong
        if by_accuracy(state) and not 0 <= figures.get("accuracy", 0) <= 1:
            return f"{what}['accuracy'] is {figures['accuracy']}, not a share from 0 to 1"
    return limits.wrong_texts("validation", {"validation_set": command.validation_set})


def validate(state: ModelState, command: ValidateVersion, policy: ValidationPolicy) -> Decision:
    """Return the verdict on a version, by the policy that holds for its model."""
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if version.stage in ("archived", "production"):
        return illegal(state, version, f"is in stage {version.stage}; a verdict now would come too late")
    if wrong := _wrong_evaluation(state, command):
        return invalid(wrong)
    if command.baseline_version != state.active_version:
        return Refusal(
            code="conflict",
            reason=f"compared with {command.baseline_version or 'no version'}, but "
            f"{state.active_version or 'no version'} is active; evaluate again",
        )
    if by_accuracy(state) and state.active_version is not None and "accuracy" not in command.baseline_figures:
        return invalid(
            f"{state.active_version!r} is active: baseline_figures need its 'accuracy' on the same validation set"
        )
    baseline = command.baseline_figures if state.active_version is not None else None
    if wrong := missing_figure(policy, command.figures, baseline):
        return invalid(wrong)
    if by_accuracy(state):
        judged = Judgement(judge(policy, command.figures, baseline))
    else:
        judged = judge_by_gates(policy, command.figures, baseline)
    events: list[RegistryEvent] = [
        ModelValidated(
            model_version=version.model_version,
            verdict=judged.verdict,
            validation_set=command.validation_set,
            figures=command.figures,
            thresholds=policy.thresholds(by_accuracy=by_accuracy(state)),
            baseline_version=state.active_version,
            baseline_figures=dict(command.baseline_figures),
            detail=judged.because,
        )
    ]
    if judged.verdict == "failed":
        events.append(ModelArchived(model_version=version.model_version))
    elif judged.verdict == "passed" and command.promote_first and state.active_version is None:
        events.append(promotion(state, version))
    return Accepted(tuple(events), _told(state, command, judged))


def _told(state: ModelState, command: ValidateVersion, judged: Judgement) -> str | None:
    """Return why a version failed; None where it did not."""
    if judged.verdict != "failed":
        return None
    accuracy, former = command.figures.get("accuracy"), command.baseline_figures.get("accuracy")
    against = "" if former is None else f" against {former:.6g} of {state.active_version}"
    because = judged.because or ("by the policy" if accuracy is None else f"accuracy {accuracy:.6g}{against}")
    return f"{command.model_version} failed and is archived: {because}"


def _set_validation_policy(state: ModelState, command: SetValidationPolicy) -> Decision:
    """Set the policy from here on; verdicts drawn before stay."""
    if wrong := limits.wrong_shape(command.policy, ValidationPolicy) or wrong_validation_policy(command.policy):
        return invalid(wrong)
    if command.policy == state.validation_policy:
        return Accepted((), f"{state.model_name!r} has this policy already")
    return Accepted((ValidationPolicySet(policy=command.policy),))


def _choose_validation_set(state: ModelState, command: ChooseValidationSet) -> Decision:
    """Choose the set from here on; verdicts drawn before keep theirs."""
    chosen = command.validation_set
    if wrong := limits.wrong_shape(chosen, ValidationSet) or limits.wrong_digest(chosen.artifact_digest):
        return invalid(wrong)
    if not _KIND.fullmatch(chosen.kind):
        return invalid(
            f"kind {chosen.kind!r} is not valid: lower-case letters, digits and '-', such as 'classification'"
        )
    if chosen == state.validation_set:
        return Accepted((), f"{state.model_name!r} has this validation set already")
    return Accepted((ValidationSetChosen(validation_set=chosen),))


VALIDATION_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {
    SetValidationPolicy: _set_validation_policy,
    ChooseValidationSet: _choose_validation_set,
}
