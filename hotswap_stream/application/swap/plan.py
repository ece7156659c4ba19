"""Which versions of a model a worker holds in memory, the most needed first. Pure."""

from collections.abc import Iterable

from msgspec import Struct

from hotswap_stream.domain.serving.route import fallback_of, route
from hotswap_stream.domain.state.model import ModelState, VersionState
from hotswap_stream.domain.state.rollout import versions_of


class HoldLimits(Struct, frozen=True, kw_only=True):
    """How much is held beside what has to answer now."""

    memory_bytes_max: int
    """Artifact bytes, of all that is held beside the active version and its stand-in."""
    versions_max: int = 4
    """Versions held because they are likely to be needed, the active one included; those of a rollout come besides."""
    requested_versions_max: int = 4
    """Versions held because requests asked for them by name, besides."""


def versions_to_hold(state: ModelState, requested: Iterable[str], limits: HoldLimits) -> list[VersionState]:
    """Plan which versions are held.

    The active version and what answers for it are, whatever they weigh. Then, as long as there is room: the versions of
    the rollout, the fallback, the former version, what is staged, what was requested by name, what is new. A version
    that does not fit is passed over; a smaller one after it may fit.

    Args:
        state: The model's state.
        requested: Versions that were requested by name, the most wanted first.
        limits: How much may be held.

    Returns:
        The versions, the most needed first.
    """
    active = state.active
    needed: dict[str, VersionState] = {}
    if active is not None:
        needed[active.model_version] = active
        answering = route(state).answered_by
        if answering is not None:
            needed[answering] = state.versions[answering]
    asked_for = [name for name in requested if name in state.versions and state.versions[name].stage != "archived"]
    asked_for = asked_for[: limits.requested_versions_max]
    budget_bytes = limits.memory_bytes_max
    held = dict(needed)
    uncounted = {*asked_for, *(() if state.rollout is None else versions_of(state.rollout))}
    likely_count = len(needed)
    for version in _by_likelihood(state, asked_for):
        name = version.model_version
        if name in held or version.artifact.size_bytes > budget_bytes or version.artifact_deleted:
            continue
        if name not in uncounted:
            if likely_count >= limits.versions_max:
                continue
            likely_count += 1
        budget_bytes -= version.artifact.size_bytes
        held[name] = version
    return list(held.values())


def _by_likelihood(state: ModelState, requested: list[str]) -> list[VersionState]:
    active, former = state.active_version, state.former_version
    in_rollout = () if state.rollout is None else versions_of(state.rollout)
    fallback = None if active is None else fallback_of(state, active)
    newest = list(reversed(state.versions.values()))
    return [
        *(state.versions[name] for name in (*in_rollout, fallback, former) if name is not None),
        *(version for version in newest if version.stage == "staging"),
        *(state.versions[name] for name in requested),
        *(version for version in newest if version.stage == "none"),
    ]
