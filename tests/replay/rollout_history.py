"""The part of a release's history that has every event of rollouts, of the validation policy and of the clean-up."""

from typing import Protocol

from hotswap_events.commands import AnyCommand
from hotswap_events.rollouts.strategy import CanaryStrategy, RolloutPolicy
from tests.support.samples.registry import promote, register, roll_back, switch, validate
from tests.support.samples.rollouts import (
    EVIDENCE,
    GATED,
    SHADOW,
    STRICT,
    WITHOUT_SHADOW,
    ab,
    abort_rollout,
    advance_rollout,
    change_strategy,
    delete_artifact,
    fixed,
    fleet,
    pause_rollout,
    progressive,
    promote_rollout,
    record_analysis,
    resume_rollout,
    set_validation_policy,
    start_rollout,
)


class Sender(Protocol):
    """As much of the history's writers as a story needs."""

    async def send(self, *commands: AnyCommand) -> None:
        """One after the other; each is accepted."""


def _gated(name: str, baseline: str, accuracy: float = 0.97) -> AnyCommand:
    """Figures for every gate."""
    own = {"accuracy": accuracy, "macro_f1": accuracy, "latency_ms_p95": 9.0, "agreement": 0.9}
    return validate(name, figures=own, baseline_version=baseline, baseline_figures={"accuracy": 0.96, "macro_f1": 0.96})


async def rollouts(writers: Sender) -> None:
    """Every command on rollouts and every way a rollout can end."""
    await writers.send(
        register("v1"),
        validate("v1", promote_first=True),
        set_validation_policy(GATED, reason="speed counts as well"),
        register("v2"),
        _gated("v2", "v1"),
        # r1: shadow, then in steps to production, baked and kept
        start_rollout(SHADOW, "v2", policy=STRICT, salt="users", reason="first look"),
        change_strategy(progressive(), policy=WITHOUT_SHADOW, reason="agrees with v1"),
        record_analysis("inconclusive", 10, step_index=1),
        resume_rollout(rollout_id="r1"),
        record_analysis("successful", 20, rollout_id="r1", step_index=1, evidence=EVIDENCE, model_version="v2"),
        pause_rollout(reason="over lunch"),
        advance_rollout(reason="after lunch"),
        record_analysis("successful", 30, evidence=EVIDENCE),
        # r2: never validated, by force; harm in the bake
        register("v3"),
        start_rollout(fixed("v2"), "v3", forced=True, policy=STRICT),
        change_strategy(fleet(1_000, "worker-1"), policy=WITHOUT_SHADOW, forced=True),
        promote_rollout(forced=True, model_version="v3"),
        record_analysis("failed", 40, evidence=EVIDENCE),
        # r3: two arms against the baseline, harm by one of them
        register("v4"),
        _gated("v4", "v2"),
        start_rollout(ab(v2=8_000, v1=1_000, v4=1_000)),
        record_analysis("failed", 50, model_version="v1", evidence=EVIDENCE),
        # r4: a canary aborted by hand, r5: one superseded by hand, r6: its bake ended by a rollback
        start_rollout(CanaryStrategy(weight=500), "v4"),
        change_strategy(CanaryStrategy(weight=2_500)),
        abort_rollout(archive=False, reason="not today"),
        start_rollout(CanaryStrategy(weight=500), "v4", policy=RolloutPolicy(auto_promote=False)),
        record_analysis("successful", 60),
        switch("v4"),
        register("v5"),
        _gated("v5", "v4"),
        start_rollout(SHADOW, "v5", policy=STRICT),
        promote_rollout(),
        roll_back("emergency"),
        register("v6"),
        delete_artifact("v6", actor="janitor", reason="beyond the newest"),
        promote("v2"),
    )
