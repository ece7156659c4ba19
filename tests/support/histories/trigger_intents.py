"""Random commands on training policies and triggers."""

from datetime import timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from hotswap_events.commands import AnyCommand
from hotswap_events.training.policy import RUNS_PER_DAY_MAX
from hotswap_events.training.triggers import TriggerName
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.triggers.calendar import slot_of
from hotswap_stream.domain.triggers.rules import COUNTED, next_slot
from tests.support.samples.registry import EPOCH, register, start_training
from tests.support.samples.training import cancel, claim
from tests.support.samples.triggers import (
    EVERYTHING,
    POLICY,
    fire,
    peak,
    set_training_policy,
    suppress,
)

_NAMES: tuple[TriggerName, ...] = ("schedule", "drift", "quality", "rows", "files", "hand")
_AT_ANY_TIME = replace(EVERYTHING, freeze=(), cooldown_seconds=0.0, runs_per_day_max=RUNS_PER_DAY_MAX)
_POLICIES = (POLICY, replace(EVERYTHING, freeze=()), EVERYTHING, _AT_ANY_TIME, _AT_ANY_TIME, None)


def trigger_command(state: ModelState, seed: int, **attributes: Any) -> AnyCommand:
    """A command that often is possible."""
    random = Random(seed)
    open_runs = [run.run_id for run in state.runs.values() if run.is_open]
    kind = random.choice(("policy", "fire", "fire", "fire", "suppress", "peak", "end"))
    if state.triggers.policy is None or kind == "policy":
        return set_training_policy(random.choice(_POLICIES), **attributes)
    if kind == "end" or (open_runs and random.random() < 0.3):
        return cancel(random.choice(open_runs or ["run-9"]), **attributes)
    at = EPOCH + timedelta(seconds=random.choice((-90_000, 0, 30, 700, 86_400, 200_000)))
    trigger = random.choice(_NAMES)
    slot = str(random.randint(1, 4))
    if trigger == "schedule":
        slot = slot_of(EPOCH + timedelta(hours=random.randint(0, 5)))
    elif trigger in COUNTED and random.random() < 0.8:
        slot = next_slot(state.triggers, trigger)
    if kind == "suppress":
        cause = random.choice(("freeze", "cooldown", "budget", "run-on", "version-on-way", "refused"))
        return suppress(trigger, slot, cause, at, **attributes)
    if kind == "peak":
        sequences = () if state.active is None else state.active.production_sequences
        return peak(random.random(), state.active_version or "v1", *(sequences[-1:] or (1,)), **attributes)
    by_hand = trigger == "hand"
    override = {"override": True, "reason": "now"} if by_hand and random.random() < 0.5 else {}
    return fire(trigger, slot, at, **override, **attributes)


def worked_on(state: ModelState, seed: int, **attributes: Any) -> AnyCommand:
    """The next thing that a runner says about a run: it is claimed, begins, and makes a version."""
    runs = [run for run in state.runs.values() if run.is_open and run.request is not None]
    if not runs:
        return register(None, **attributes)
    run = Random(seed).choice(runs)
    match run.status:
        case "requested":
            return claim(run.run_id, **attributes)
        case "claimed":
            return start_training(run.run_id, **attributes)
        case _:
            return register(None, run_id=run.run_id, **attributes)
