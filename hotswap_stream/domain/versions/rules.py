"""What may happen to versions."""

from collections.abc import Callable
from typing import Any

from hotswap_events.commands import (
    ArchiveVersion,
    PromoteVersion,
    Refusal,
    RegisterVersion,
    RollBack,
    StageVersion,
    SwitchVersion,
)
from hotswap_events.registry.events import (
    ModelArchived,
    ModelRolledBack,
    ModelStaged,
    ModelTrained,
)
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_stream.domain.deciding import limits
from hotswap_stream.domain.deciding.decision import (
    Accepted,
    Decision,
    find_version,
    illegal,
    invalid,
    promotion,
    why_not_playable,
)
from hotswap_stream.domain.deciding.legal_steps import accepted_steps, legal_steps, ways_into_production
from hotswap_stream.domain.deciding.signatures import breaks_requests, differing_signature
from hotswap_stream.domain.deciding.twins import failed_with
from hotswap_stream.domain.state.model import ModelState, VersionState
from hotswap_stream.domain.state.standing_in import leaves_unanswered
from hotswap_stream.domain.training.rules import unfit_run
from hotswap_stream.domain.versions.options import options_told, wrong_options


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
        or limits.wrong_trial(command.trial)
        or (command.graph and limits.wrong_artifact(command.graph))
        or wrong_options(command.options)
    )
    if wrong:
        return invalid(wrong)
    if name in state.versions:
        return Refusal(
            code="duplicate-version",
            reason=f"{state.model_name!r} has a version {name!r} already; versions never change, leave the name out "
            f"to get {_next_version_name(state)!r}",
        )
    if (unfit := unfit_run(state, command.run_id)) is not None:
        return unfit
    return Accepted(
        (
            ModelTrained(
                model_version=name,
                artifact=command.artifact,
                provenance=command.provenance,
                run_id=command.run_id,
                metrics=command.metrics,
                tags=command.tags,
                trial=command.trial,
                graph=command.graph,
                options=options_told(command.options),
            ),
        ),
        _same_as_failed(state, command.artifact.digest, command.options or PLAIN),
    )


def _same_as_failed(state: ModelState, artifact_digest: str, options: VersionOptions) -> str | None:
    """Return what whoever registers these bytes again should know, or None."""
    failed = failed_with(state, artifact_digest, options)
    return None if failed is None else f"the artifact is that of {failed}, which failed validation"


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
    if differing := differing_signature(state, version, allowed=command.allow_signature_change):
        return differing
    return Accepted((promotion(state, version),))


def _switch(state: ModelState, command: SwitchVersion) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if version.stage == "production":
        return Accepted((), f"{version.model_version!r} is active already")
    if version.artifact_deleted:
        return illegal(state, version, "has lost its artifact to a clean-up")
    if differing := differing_signature(state, version, allowed=command.allow_signature_change):
        return differing
    return Accepted((promotion(state, version, forced=True),))


def _archive(state: ModelState, command: ArchiveVersion) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if version.stage == "archived":
        return Accepted((), f"{version.model_version!r} is archived already")
    if version.stage == "production":
        return _refusal_to_leave_none(state, version)
    if unanswered := leaves_unanswered(state, version):
        return _refusal_to_archive(state, version, unanswered)
    return Accepted((ModelArchived(model_version=version.model_version),))


def _refusal_to_leave_none(state: ModelState, version: VersionState) -> Refusal:
    legal = (*accepted_steps(state, version), *ways_into_production(state))
    return Refusal(
        code="illegal-step",
        reason=f"{version.model_version!r} of {state.model_name!r} is active; archiving it would leave none: put "
        f"another one into production first; legal: {', '.join(legal)}",
        legal=legal,
    )


def _refusal_to_archive(state: ModelState, version: VersionState, unanswered: str) -> Refusal:
    """Refuse to archive what answers for a version whose circuit is not closed: nothing else would."""
    into_production = tuple(step for step in accepted_steps(state, version) if step.startswith(("promote", "switch")))
    return Refusal(
        code="illegal-step",
        reason=f"{version.model_version!r} of {state.model_name!r} answers for {unanswered!r}, whose circuit is not "
        f"closed, and nothing else would; reset the circuit of {unanswered} first, or put {version.model_version} into "
        "production, or disable the model",
        legal=(f"reset circuit of {unanswered}", *into_production, "disable"),
    )


def _roll_back(state: ModelState, command: RollBack) -> Decision:
    active = state.active
    if active is None:
        return Refusal(
            code="illegal-step",
            reason=f"{state.model_name!r} has no active version to roll back from",
            legal=ways_into_production(state),
        )
    if command.from_version is not None and command.from_version != active.model_version:
        return Refusal(
            code="conflict",
            reason=f"asked to roll back from {command.from_version!r}, but {active.model_version!r} is active",
        )
    entered = active.production_sequences[-1]
    if command.entered_sequence not in (None, entered):
        return Refusal(
            code="conflict",
            reason=f"asked to take back what put {active.model_version!r} into production at sequence "
            f"{command.entered_sequence}, but it is there since {entered}",
        )
    former = state.former_version
    if former is None:
        return Refusal(
            code="illegal-step",
            reason=f"{active.model_version!r} is the only version of {state.model_name!r} fit for production so far; "
            "there is no former one to go back to",
            legal=ways_into_production(state),
        )
    if state.rolled_back_from is not None and command.from_version is None and command.entered_sequence is None:
        return _pressed_twice(state, active, former, state.rolled_back_from)
    back = ModelRolledBack(
        model_version=former,
        artifact_digest=state.versions[former].artifact.digest,
        from_version=active.model_version,
        cause=command.cause,
    )
    return Accepted((back,), f"to undo it: switch to {active.model_version}{_next_rollback(state, former)}")


def _pressed_twice(state: ModelState, active: VersionState, former: str, left: str) -> Refusal:
    """Refuse to roll back what a rollback brought, unless it is named: whoever asks may not know of the first one."""
    return Refusal(
        code="illegal-step",
        reason=f"{active.model_version!r} of {state.model_name!r} is active because of a rollback from {left!r}; one "
        f"more would go on to {former!r} and archive {active.model_version!r}. If that is meant, name what is left "
        f"(from_version: {active.model_version}, or --from); to undo the rollback, switch to {left}",
        legal=(f"roll back from {active.model_version}", _switch_to(state, left)),
    )


def _switch_to(state: ModelState, model_version: str) -> str:
    breaks = breaks_requests(state, state.versions[model_version])
    return f"switch to {model_version}{' with allow_signature_change' if breaks else ''}"


def _next_rollback(state: ModelState, former: str) -> str:
    """Return where one more rollback would go after this one, as the end of a sentence."""
    for name in reversed(state.production_history):
        if name != former and state.versions[name].stage == "superseded":
            return f"; one more, with from_version: {former} (or --from), would go to {name} and archive {former}"
    return "; there is no version before it to go back to"


VERSION_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {
    RegisterVersion: _register,
    StageVersion: _stage,
    PromoteVersion: _promote,
    SwitchVersion: _switch,
    ArchiveVersion: _archive,
    RollBack: _roll_back,
}
