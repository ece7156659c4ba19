"""What a decision is, and what the rules of all families of commands say alike."""

from itertools import islice

from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_events.registry.events import ModelPromoted, RegistryEvent
from hotswap_stream.domain.deciding.legal_steps import accepted_steps
from hotswap_stream.domain.deciding.twins import failed_twin
from hotswap_stream.domain.state.model import ModelState, VersionState

NAMES_LISTED_MAX = 20

FAILED_FOR_GOOD = "is archived because it failed validation; to have it validated again, register it as a new version"


class Accepted(Struct, frozen=True):
    """The events to append, in order; none: nothing to do."""

    events: tuple[RegistryEvent, ...]
    note: str | None = None
    """Why there is nothing to do; beside events, what whoever asked should know."""


Decision = Accepted | Refusal


def invalid(wrong: str) -> Refusal:
    """Refuse a value that cannot be accepted in any state."""
    return Refusal(code="invalid-value", reason=wrong)


def find_version(state: ModelState, model_version: str) -> VersionState | Refusal:
    """Return the version, or the refusal that lists those that exist."""
    version = state.versions.get(model_version)
    if version is not None:
        return version
    newest = tuple(islice(reversed(state.versions), NAMES_LISTED_MAX))
    return Refusal(
        code="unknown-version",
        reason=f"{state.model_name!r} has no version {model_version!r}; it has {', '.join(newest) or 'none yet'}",
        legal=newest,
    )


def illegal(state: ModelState, version: VersionState, problem: str) -> Refusal:
    """Refuse a step that the version's stage or verdict forbids, and name those that would be accepted."""
    legal = accepted_steps(state, version)
    if version.artifact_deleted:
        legal, problem = ("register",), f"{problem}; what is to be tried again must be registered as a new version"
    if twin := failed_twin(state, version):
        problem = f"{problem}, and its artifact is that of {twin!r}, which failed validation"
    return Refusal(
        code="illegal-step",
        reason=f"{version.model_version!r} of {state.model_name!r} {problem}; legal: {', '.join(legal) or 'nothing'}",
        legal=legal,
    )


def why_not_playable(version: VersionState) -> str:
    """Return what keeps a version from being staged or promoted, as the end of a sentence about it."""
    if version.artifact_deleted:
        return "has lost its artifact to a clean-up"
    if version.validation is None and not version.was_in_production:
        return "has not been validated"
    if version.validation is not None and version.validation.verdict == "failed":
        return FAILED_FOR_GOOD if version.stage == "archived" else "failed validation"
    return f"is in stage {version.stage}"


def promotion(state: ModelState, version: VersionState, *, forced: bool = False) -> ModelPromoted:
    """Return the event that puts a version into production in place of the active one."""
    return ModelPromoted(
        model_version=version.model_version,
        artifact_digest=version.artifact.digest,
        previous_version=state.active_version,
        forced=forced,
    )
