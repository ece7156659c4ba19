"""Versions with the same artifact: what one of them showed holds for the other."""

from hotswap_stream.domain.state.model import ModelState, VersionState


def failed_twin(state: ModelState, version: VersionState) -> str | None:
    """Return the newest other version with the same artifact that failed validation; None if there is none.

    A version that was validated since has a verdict of its own, and that one counts.
    """
    if version.validation is not None and version.validation.verdict == "passed":
        return None
    return failed_with(state, version.artifact.digest, besides=version.model_version)


def failed_with(state: ModelState, artifact_digest: str, *, besides: str | None = None) -> str | None:
    """Return the newest version with this artifact that failed validation; None if there is none."""
    for other in reversed(state.versions.values()):
        if other.artifact.digest != artifact_digest or other.model_version == besides:
            continue
        if other.validation is not None and other.validation.verdict == "failed":
            return other.model_version
    return None
