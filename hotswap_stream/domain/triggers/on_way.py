"""Versions that training runs made and that are on their way to production: what drift and quality wait for."""

from hotswap_events.envelope import Timestamp
from hotswap_events.training.events import TrainingRequested
from hotswap_stream.domain.state.model import ModelState, VersionState
from hotswap_stream.domain.state.rollout import RolloutState, versions_of

VERDICT_SECONDS_MAX = 600.0
"""A version that is not validated by then may never be: its run said so in its log, and nothing waits for it."""


def version_in_rollout(state: ModelState) -> str | None:
    """Return the version of a run that the current rollout tries, or watches after its promotion; None without one."""
    rollout = state.rollout
    if rollout is None:
        return None
    tried = [name for name in versions_of(rollout) if name != rollout.baseline_version]
    return next((name for name in tried if _request_of(state, state.versions[name]) is not None), None)


def on_way(state: ModelState, at: Timestamp) -> str | None:
    """Return which version of a run is on its way to production, for people; None where none is.

    A version that waits for a person, or of which nothing is to become, is not on its way.

    Args:
        state: The model.
        at: The time now.
    """
    rollout = state.rollout
    tried = version_in_rollout(state)
    if rollout is not None and tried is not None:
        run_id = state.versions[tried].run_id
        return f"{tried} of training run {run_id} is in rollout {rollout.rollout_id}, which is {rollout.status}"
    for version in reversed(state.versions.values()):
        waits_for = _waits_for(state, version, rollout, at)
        if waits_for is not None:
            return f"{version.model_version} of training run {version.run_id} waits for {waits_for}"
    return None


def _waits_for(state: ModelState, version: VersionState, rollout: RolloutState | None, at: Timestamp) -> str | None:
    if version.stage != "none" or version.was_in_production:
        return None
    request = _request_of(state, version)
    if request is None or request.after in ("nothing", "ask"):
        return None
    if version.validation is None:
        # Without its sign: a clock that was ahead and was set back holds up nothing for longer.
        waits_s = abs((at - version.registered_at).total_seconds())
        return "its verdict" if waits_s < VERDICT_SECONDS_MAX else None
    if version.validation.verdict != "passed" or rollout is None or rollout.status == "baking":
        return None
    if any(version.model_version in ended.candidates for ended in state.rollout_history):
        return None
    return f"the end of rollout {rollout.rollout_id}"


def _request_of(state: ModelState, version: VersionState) -> TrainingRequested | None:
    """Return what was asked for when the version's run was; None for a version that no such run made."""
    run = None if version.run_id is None else state.runs.get(version.run_id)
    return None if run is None else run.request
