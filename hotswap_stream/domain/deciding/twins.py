"""Versions with the same artifact and precision: what one of them showed holds for the other.

Executors of one precision compute the same within rounding; another precision is another model, which has a
verdict of its own.
"""

from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.domain.state.model import ModelState, VersionState


def failed_twin(state: ModelState, version: VersionState) -> str | None:
    """Return the newest other version with the same artifact and precision that failed validation, or None.

    A version that was validated since has a verdict of its own, and that one counts.
    """
    if version.validation is not None and version.validation.verdict == "passed":
        return None
    return failed_with(state, version.artifact.digest, version.options, besides=version.model_version)


def failed_with(
    state: ModelState, artifact_digest: str, options: VersionOptions, *, besides: str | None = None
) -> str | None:
    """Return the newest version with this artifact in this precision that failed validation, or None."""
    for other in reversed(state.versions.values()):
        same = (other.artifact.digest, other.options.precision) == (artifact_digest, options.precision)
        if not same or other.model_version == besides:
            continue
        if other.validation is not None and other.validation.verdict == "failed":
            return other.model_version
    return None
