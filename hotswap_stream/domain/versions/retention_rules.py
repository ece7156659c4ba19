"""When a version may lose its artifact."""

from collections.abc import Callable
from typing import Any

from hotswap_events.commands import DeleteArtifact, Refusal
from hotswap_events.registry.events import ArtifactDeleted, ModelArchived
from hotswap_stream.domain.deciding.decision import Accepted, Decision, find_version, illegal
from hotswap_stream.domain.state.model import ModelState, VersionState
from hotswap_stream.domain.state.rollout import versions_of


def why_kept(state: ModelState, version: VersionState) -> str | None:
    """Return why the version must keep its artifact whatever its age, or None."""
    if version.stage == "production":
        return "in production"
    if version.was_in_production:
        return "was in production"
    if state.rollout is not None and version.model_version in versions_of(state.rollout):
        return f"in rollout {state.rollout.rollout_id}"
    if version.stage == "staging":
        return "in staging"
    if version.model_version == state.serving.effective_policy.fallback_version:
        return "the fallback of the serving policy"
    return None


def _delete_artifact(state: ModelState, command: DeleteArtifact) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if version.artifact_deleted:
        return Accepted((), f"the artifact of {version.model_version!r} was given up already")
    if kept := why_kept(state, version):
        return illegal(state, version, f"keeps its artifact: {kept}")
    deleted = ArtifactDeleted(model_version=version.model_version, artifact_digest=version.artifact.digest)
    if version.stage == "archived":
        return Accepted((deleted,))
    return Accepted((ModelArchived(model_version=version.model_version), deleted))


RETENTION_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {DeleteArtifact: _delete_artifact}
