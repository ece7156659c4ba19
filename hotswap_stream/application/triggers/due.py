"""What is due by the clock and by counts alone: pure, from the state of the log and what comes in."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from hotswap_events.training.commands import FailTraining
from hotswap_events.training.triggers import FireTrigger, SuppressTrigger, TriggerName
from hotswap_stream.application.own_commands import own_id
from hotswap_stream.application.triggers.ids import suppressed_id, trigger_id
from hotswap_stream.domain.reserved import TRAINING_ACTOR
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.triggers.calendar import newest_time, slot_of
from hotswap_stream.domain.triggers.rules import next_slot
from hotswap_stream.domain.triggers.suppression import suppression

LATE = timedelta(seconds=60)
"""A schedule that is not to be caught up fires no later than this after its time."""
ROWS_TOTAL = "rows_total"
"""The figure by which the next count of rows knows where the last one ended."""


class Due(Struct, frozen=True, kw_only=True):
    """A trigger that is to fire, if nothing keeps it from that."""

    trigger: TriggerName
    slot: str
    detail: str
    figures: Mapping[str, float] = {}


def schedule_due(state: ModelState, now: datetime) -> Due | None:
    """Return the newest time of the schedule that has come and did not fire, since the policy holds."""
    triggers, policy = state.triggers, state.triggers.policy
    if policy is None or policy.schedule is None or triggers.policy_at is None:
        return None
    time = newest_time(policy.schedule, triggers.policy_at, now)
    if time is None or (not policy.schedule.catch_up and now - time > LATE):
        return None
    last, slot = triggers.last.get("schedule"), slot_of(time)
    if last is not None and slot <= last.slot:
        return None
    late = (now - time).total_seconds()
    caught_up = f", {late:.0f} s ago" if late > LATE.total_seconds() else ""
    return Due(
        trigger="schedule",
        slot=slot,
        detail=f"{policy.schedule.cron!r} in {policy.schedule.timezone}: {slot}{caught_up}",
    )


def rows_due(state: ModelState, rows_total: int) -> Due | None:
    """Return whether the buffer of rows is full.

    Args:
        state: The model.
        rows_total: Pieces of feedback that came about it, ever, as far as they were counted. Where the count began
            anew, it is below that of the last run, and all of it counts.
    """
    policy = state.triggers.policy
    wanted = None if policy is None or policy.data is None else policy.data.rows
    if wanted is None:
        return None
    last = state.triggers.last.get("rows")
    before = 0 if last is None else int(last.figures.get(ROWS_TOTAL, 0.0))
    rows = rows_total - before if rows_total >= before else rows_total
    if rows < wanted:
        return None
    return Due(
        trigger="rows",
        slot=next_slot(state.triggers, "rows"),
        detail=f"{rows:,} pieces of feedback since the last run by this trigger, {wanted:,} are wanted",
        figures={"rows": float(rows), "wanted": float(wanted), ROWS_TOTAL: float(rows_total)},
    )


def unclaimed_run(state: ModelState, now: datetime) -> FailTraining | None:
    """Return what is to be said of the oldest run that no runner took for too long, by the policy that holds."""
    policy = state.triggers.policy
    if policy is None:
        return None
    for run in state.runs.values():
        if run.status != "requested" or run.requested_at is None or run.request is None:
            continue
        # Where a clock was set back, nothing waits longer for it.
        waited = abs((now - run.requested_at).total_seconds())
        if waited > policy.waits_seconds_max:
            return FailTraining(
                command_id=own_id(f"training:{run.run_id}:unclaimed"),
                actor=TRAINING_ACTOR,
                model_name=state.model_name,
                correlation_id=run.run_id,
                run_id=run.run_id,
                cause="unclaimed",
                detail=f"no runner took it within {policy.waits_seconds_max:g} s; is there one with trainer "
                f"{run.request.trainer!r}? `hotswap-stream trainers --show` lists those of a machine",
            )
    return None


def command_of(state: ModelState, due: Due, now: datetime) -> FireTrigger | SuppressTrigger | None:
    """Return what is to be said of a trigger that is due; None where it was said already."""
    policy = state.triggers.policy
    if policy is None:
        return None
    kept = suppression(state, policy, due.trigger, now)
    if kept is None:
        return FireTrigger(
            command_id=trigger_id(state.model_name, due.trigger, due.slot),
            actor=TRAINING_ACTOR,
            model_name=state.model_name,
            trigger=due.trigger,
            slot=due.slot,
            at=now,
            figures=dict(due.figures),
            detail=due.detail,
        )
    if (due.trigger, kept.cause) in state.triggers.suppressed:
        return None
    return SuppressTrigger(
        command_id=suppressed_id(state, due.trigger, kept.cause),
        actor=TRAINING_ACTOR,
        model_name=state.model_name,
        trigger=due.trigger,
        slot=due.slot,
        at=now,
        figures=dict(due.figures),
        detail=kept.detail,
        cause=kept.cause,
    )


def refused(state: ModelState, fire: FireTrigger, reason: str) -> SuppressTrigger | None:
    """Return what is to be said of a trigger whose run was refused; None where it was said already."""
    if (fire.trigger, "refused") in state.triggers.suppressed:
        return None
    return SuppressTrigger(
        command_id=suppressed_id(state, fire.trigger, "refused"),
        actor=TRAINING_ACTOR,
        model_name=fire.model_name,
        trigger=fire.trigger,
        slot=fire.slot,
        at=fire.at,
        figures=fire.figures,
        detail=reason[:2_000],
        cause="refused",
    )
