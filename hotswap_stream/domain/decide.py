"""`decide(state, command) -> events | refusal`: what may happen next. Pure: no clock, no ids, no I/O."""

from collections.abc import Callable
from typing import Any

from hotswap_events.commands import (
    AnyCommand,
    ArchiveVersion,
    FailTraining,
    PromoteVersion,
    Refusal,
    RegisterVersion,
    RollBack,
    StageVersion,
    StartTraining,
    SwitchVersion,
    ValidateVersion,
)
from hotswap_events.registry import (
    ModelArchived,
    ModelPromoted,
    ModelRolledBack,
    ModelStaged,
    ModelTrained,
    ModelValidated,
    RegistryEvent,
    TrainingFailed,
    TrainingStarted,
)
from hotswap_stream.domain import limits
from hotswap_stream.domain.decision import Accepted as Accepted
from hotswap_stream.domain.decision import Decision as Decision
from hotswap_stream.domain.decision import find_version, illegal, invalid, why_not_playable
from hotswap_stream.domain.legal_steps import legal_steps
from hotswap_stream.domain.state import ModelState, VersionState
from hotswap_stream.domain.validation import DEFAULT_VALIDATION_POLICY, ValidationPolicy, judge


def decide(state: ModelState, command: AnyCommand, policy: ValidationPolicy = DEFAULT_VALIDATION_POLICY) -> Decision:
    """Decide one command against the model's state. A command applied before yields no event, whatever it asks."""
    if command.command_id in state.command_ids:
        return Accepted((), f"command {command.command_id} was applied before")
    if command.expected_sequence is not None and command.expected_sequence != state.sequence:
        return Refusal(
            code="sequence-mismatch",
            reason=f"you expected sequence {command.expected_sequence}, {state.model_name!r} is at {state.sequence}",
        )
    if not state.exists and (wrong := limits.wrong_model_name(state.model_name)):
        return invalid(wrong)
    if not state.exists and not isinstance(command, StartTraining | RegisterVersion):
        return Refusal(
            code="unknown-model",
            reason=f"there is no model {state.model_name!r} yet",
            legal=("register a version", "start a training run"),
        )
    if isinstance(command, ValidateVersion):
        return _validate(state, command, policy)
    return _RULES[type(command)](state, command)


def _start_training(state: ModelState, command: StartTraining) -> Decision:
    if wrong := limits.wrong_labels("parameters", command.parameters) or limits.wrong_texts(
        "training", {"architecture": command.architecture, "data_snapshot": command.data_snapshot}
    ):
        return invalid(wrong)
    if command.run_id in state.runs:
        return Refusal(code="invalid-value", reason=f"run id {command.run_id!r} is taken; give each run its own")
    return Accepted(
        (
            TrainingStarted(
                run_id=command.run_id,
                architecture=command.architecture,
                data_snapshot=command.data_snapshot,
                parameters=command.parameters,
            ),
        )
    )


def _fail_training(state: ModelState, command: FailTraining) -> Decision:
    run = state.runs.get(command.run_id)
    if run is None:
        return Refusal(code="invalid-value", reason=f"no training run {command.run_id!r} was started")
    if run.status != "running":
        return Refusal(code="illegal-step", reason=f"training run {command.run_id!r} has ended already: {run.status}")
    detail = command.detail[: limits.DETAIL_CHARACTERS_MAX]
    return Accepted((TrainingFailed(run_id=command.run_id, cause=command.cause, detail=detail),))


def _next_version_name(state: ModelState) -> str:
    number = len(state.versions) + 1
    while f"v{number}" in state.versions:
        number += 1
    return f"v{number}"


def _register(state: ModelState, command: RegisterVersion) -> Decision:
    name = command.model_version if command.model_version is not None else _next_version_name(state)
    wrong = (
        limits.wrong_version_name(name)
        or limits.wrong_artifact(command.artifact)
        or limits.wrong_figures("metrics", command.metrics)
        or limits.wrong_labels("tags", command.tags)
        or limits.wrong_provenance(command.provenance)
    )
    if wrong:
        return invalid(wrong)
    if name in state.versions:
        return Refusal(
            code="duplicate-version",
            reason=f"{state.model_name!r} has a version {name!r} already; versions never change, leave the name out "
            f"to get {_next_version_name(state)!r}",
        )
    if command.run_id is not None and (run := state.runs.get(command.run_id)) and run.status != "running":
        return Refusal(code="illegal-step", reason=f"training run {command.run_id!r} has ended already: {run.status}")
    return Accepted(
        (
            ModelTrained(
                model_version=name,
                artifact=command.artifact,
                provenance=command.provenance,
                run_id=command.run_id,
                metrics=command.metrics,
                tags=command.tags,
            ),
        )
    )


def _wrong_evaluation(command: ValidateVersion) -> str | None:
    if "accuracy" not in command.figures:
        return "figures need 'accuracy', a share from 0 to 1"
    for what, figures in (("figures", command.figures), ("baseline_figures", command.baseline_figures)):
        if wrong := limits.wrong_figures(what, figures):
            return wrong
        if not 0 <= figures.get("accuracy", 0) <= 1:
            return f"{what}['accuracy'] is {figures['accuracy']}, not a share from 0 to 1"
    return limits.wrong_texts("validation", {"validation_set": command.validation_set})


def _validate(state: ModelState, command: ValidateVersion, policy: ValidationPolicy) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if version.stage in ("archived", "production"):
        return illegal(state, version, f"is in stage {version.stage}; a verdict now would come too late")
    if wrong := _wrong_evaluation(command):
        return invalid(wrong)
    if command.baseline_version != state.active_version:
        return Refusal(
            code="conflict",
            reason=f"compared with {command.baseline_version or 'no version'}, but "
            f"{state.active_version or 'no version'} is active; evaluate again",
        )
    if state.active_version is not None and "accuracy" not in command.baseline_figures:
        return invalid(
            f"{state.active_version!r} is active: baseline_figures need its 'accuracy' on the same validation set"
        )
    baseline = command.baseline_figures if state.active_version is not None else None
    verdict = judge(policy, command.figures, baseline)
    events: list[RegistryEvent] = [
        ModelValidated(
            model_version=version.model_version,
            verdict=verdict,
            validation_set=command.validation_set,
            figures=command.figures,
            thresholds=policy.thresholds(),
            baseline_version=state.active_version,
            baseline_figures=dict(command.baseline_figures),
        )
    ]
    if verdict == "failed":
        events.append(ModelArchived(model_version=version.model_version))
    elif verdict == "passed" and command.promote_first and state.active_version is None:
        events.append(_promotion(state, version))
    return Accepted(tuple(events))


def _promotion(state: ModelState, version: VersionState, *, forced: bool = False) -> ModelPromoted:
    return ModelPromoted(
        model_version=version.model_version,
        artifact_digest=version.artifact.digest,
        previous_version=state.active_version,
        forced=forced,
    )


def _stage(state: ModelState, command: StageVersion) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if version.stage == "staging":
        return Accepted((), f"{version.model_version!r} is in staging already")
    if "stage" not in legal_steps(state, version):
        return illegal(state, version, why_not_playable(version))
    return Accepted((ModelStaged(model_version=version.model_version),))


def _promote(state: ModelState, command: PromoteVersion) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if version.stage == "production":
        return Accepted((), f"{version.model_version!r} is active already")
    if "promote" not in legal_steps(state, version):
        return illegal(state, version, why_not_playable(version))
    return Accepted((_promotion(state, version),))


def _switch(state: ModelState, command: SwitchVersion) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if version.stage == "production":
        return Accepted((), f"{version.model_version!r} is active already")
    return Accepted((_promotion(state, version, forced=True),))


def _archive(state: ModelState, command: ArchiveVersion) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if version.stage == "archived":
        return Accepted((), f"{version.model_version!r} is archived already")
    if version.stage == "production":
        return illegal(state, version, "is active; archiving it would leave none: promote another or roll back first")
    return Accepted((ModelArchived(model_version=version.model_version),))


def _roll_back(state: ModelState, command: RollBack) -> Decision:
    active = state.active
    if active is None:
        return Refusal(
            code="illegal-step",
            reason=f"{state.model_name!r} has no active version to roll back from",
            legal=("promote", "switch"),
        )
    if command.from_version is not None and command.from_version != active.model_version:
        return Refusal(
            code="conflict",
            reason=f"asked to roll back from {command.from_version!r}, but {active.model_version!r} is active",
        )
    former = state.former_version
    if former is None:
        return Refusal(
            code="illegal-step",
            reason=f"{active.model_version!r} is the only version of {state.model_name!r} fit for production so far; "
            "there is no former one to go back to",
            legal=("register", "promote", "switch"),
        )
    return Accepted(
        (
            ModelRolledBack(
                model_version=former,
                artifact_digest=state.versions[former].artifact.digest,
                from_version=active.model_version,
                cause=command.cause,
            ),
        )
    )


_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {
    StartTraining: _start_training,
    FailTraining: _fail_training,
    RegisterVersion: _register,
    StageVersion: _stage,
    PromoteVersion: _promote,
    SwitchVersion: _switch,
    ArchiveVersion: _archive,
    RollBack: _roll_back,
}
