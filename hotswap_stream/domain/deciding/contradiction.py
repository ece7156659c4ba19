"""How an event handler says that an event contradicts the state it meets."""

from hotswap_stream.domain.state.model import ModelState, VersionState


class IllegalEventError(ValueError):
    """The event contradicts the state; the message says how."""


def known_version(state: ModelState, model_version: str) -> VersionState:
    """Return the version an event names.

    Raises:
        IllegalEventError: The model has no version of that name.
    """
    version = state.versions.get(model_version)
    if version is None:
        raise IllegalEventError(f"model {state.model_name!r} has no version {model_version!r}")
    return version
