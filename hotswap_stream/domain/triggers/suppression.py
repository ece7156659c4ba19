"""What keeps a trigger from starting a run now."""

from msgspec import Struct

from hotswap_events.envelope import Timestamp
from hotswap_events.training.policy import TrainingPolicy
from hotswap_events.training.triggers import SuppressedCause, TriggerName
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.triggers.calendar import frozen_until, later, shown
from hotswap_stream.domain.triggers.on_way import on_way

DAY_SECONDS = 86_400.0
OF_LIVE_DATA: frozenset[TriggerName] = frozenset({"drift", "quality"})
"""Triggers that look at how the active version does: while a version that a run made about it is on its way, they would
fire about the same again."""


class Suppression(Struct, frozen=True):
    """Why nothing starts."""

    cause: SuppressedCause
    detail: str


def suppression(
    state: ModelState, policy: TrainingPolicy, trigger: TriggerName, at: Timestamp, *, override: bool = False
) -> Suppression | None:
    """Return what keeps a run from being started at this time, or None.

    Distances in time are taken without their sign: where a clock was ahead and was set back, what was written with it
    holds up nothing for longer than it would have.

    Args:
        state: The model.
        policy: The one that holds.
        trigger: Which would fire.
        at: The time now.
        override: Whether a person wants it all the same: past all but a run that is on.
    """
    run = next((run for run in state.runs.values() if run.is_open and run.request is not None), None)
    if run is not None:
        return Suppression("run-on", f"training run {run.run_id} is {run.status}; one at a time")
    if override:
        return None
    until = frozen_until(policy.freeze, at)
    if until is not None:
        return Suppression("freeze", f"nothing starts before {shown(until)}")
    last = state.triggers.last_fired
    if last is not None and _apart(at, last.at) < policy.cooldown_seconds:
        ends = later(last.at, policy.cooldown_seconds)
        return Suppression(
            "cooldown",
            f"{last.trigger} fired at {shown(last.at)}, and the cooldown is {policy.cooldown_seconds:g} s, until "
            f"{shown(ends)}",
        )
    of_the_day = [moment for moment in state.triggers.fired_at if _apart(at, moment) < DAY_SECONDS]
    if len(of_the_day) >= policy.runs_per_day_max:
        return Suppression(
            "budget",
            f"{len(of_the_day)} runs were started in the last 24 hours, of {policy.runs_per_day_max} allowed; the next "
            f"one from {shown(later(of_the_day[-policy.runs_per_day_max], DAY_SECONDS))}",
        )
    coming = on_way(state, at) if trigger in OF_LIVE_DATA else None
    if coming is not None:
        return Suppression("version-on-way", f"{coming}; what it does about live data is seen first")
    return None


def _apart(one: Timestamp, other: Timestamp) -> float:
    return abs((one - other).total_seconds())
