"""The part of a release's history in which triggers start training runs."""

from datetime import timedelta
from typing import Protocol

from msgspec.structs import replace

from hotswap_events.commands import AnyCommand
from hotswap_events.training.policy import QualityTrigger
from hotswap_stream.domain.triggers.rules import run_id_of
from tests.support.samples.registry import EPOCH, MODEL, register, start_training, validate
from tests.support.samples.rollouts import SHADOW, abort_rollout, start_rollout
from tests.support.samples.training import cancel, claim
from tests.support.samples.triggers import EVERYTHING, FILE, POLICY, fire, peak, set_training_policy, suppress

_SOON = EPOCH + timedelta(minutes=1)
_LATER = EPOCH + timedelta(days=2)


class Sender(Protocol):
    """As much of the history's writers as a story needs."""

    async def send(self, *commands: AnyCommand) -> None:
        """One after the other; each is accepted."""


async def triggers(writers: Sender) -> None:
    """A policy begins the model; each trigger fires, is suppressed in all ways, and quality has its best."""
    drift = run_id_of(MODEL, "drift", "1")
    scheduled = run_id_of(MODEL, "schedule", "2026-01-05T02:00:00Z")
    await writers.send(
        set_training_policy(POLICY),
        register("v1"),
        validate("v1", promote_first=True),
        set_training_policy(replace(EVERYTHING, freeze=()), reason="from now on by itself"),
        peak(0.93, "v1", 4, labels=200),
        fire("drift", "1", _LATER, figures={"distance.score.0": 0.31, "limit": 0.2}, detail="0.31, above 0.2"),
        suppress("files", FILE, "run-on", _LATER),
        claim(drift),
        start_training(drift, actor="trainer:runner-1"),
        register("v2", run_id=drift),
        suppress("quality", "1", "cooldown", _SOON, figures={"accuracy": 0.8}),
        fire("files", FILE, _LATER, datasets=(f"sha256:{'e' * 64}",)),
        cancel(run_id_of(MODEL, "files", FILE)),
        fire("schedule", "2026-01-05T02:00:00Z", _LATER + timedelta(days=3)),
        cancel(scheduled),
        fire("hand", "c-9", _LATER, override=True, reason="before the fair"),
        cancel(run_id_of(MODEL, "hand", "c-9")),
        fire("quality", "1", _LATER + timedelta(days=4), figures={"accuracy": 0.8}),
        suppress("rows", "1", "refused", _LATER, detail="too many runs"),
        set_training_policy(EVERYTHING),
        set_training_policy(None, reason="enough"),
    )


async def version_on_way(writers: Sender) -> None:
    """A drop starts a run; while its version answers beside the active one the same drop starts nothing, said once."""
    run = run_id_of(MODEL, "quality", "1")
    policy = replace(POLICY, quality=QualityTrigger(metric="accuracy", drop=0.05, labels_min=200))
    await writers.send(
        register("v1"),
        validate("v1", promote_first=True),
        set_training_policy(policy),
        fire("quality", "1", _SOON, figures={"accuracy": 0.8}),
        claim(run),
        start_training(run, actor="trainer:runner-1"),
        register("v2", run_id=run),
        suppress("quality", "2", "version-on-way", _SOON, figures={"accuracy": 0.79}),
        validate("v2", 0.97, ("v1", 0.95)),
        start_rollout(SHADOW, "v2"),
        abort_rollout(),
        fire("quality", "2", _LATER, figures={"accuracy": 0.79}),
    )
