"""State of one rollout, folded from its model's stream. Frozen: each event makes a new one."""

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.envelope import Timestamp
from hotswap_events.rollouts.events import AnalysisOutcome, MetricEvidence, PauseCause
from hotswap_events.rollouts.record import RolloutStatus as RolloutStatus
from hotswap_events.rollouts.strategy import (
    WEIGHT_TOTAL,
    Arm,
    PauseStep,
    ProgressiveStrategy,
    RolloutPolicy,
    RolloutStep,
    Strategy,
)

ROLLOUTS_KEPT_MAX = 20
"""Ended rollouts that a state remembers; the log has them all."""

ANALYSES_KEPT_MAX = 20


class AnalysisState(Struct, frozen=True, gc=False):
    """One recorded analysis."""

    outcome: AnalysisOutcome
    watermark: int
    step_index: int | None
    evidence: tuple[MetricEvidence, ...]
    model_version: str | None
    sequence: int
    recorded_at: Timestamp


class RolloutState(Struct, frozen=True, gc=False):
    """One rollout. While it is `running`, `paused` or `baking`, it is its model's current one."""

    rollout_id: str
    status: RolloutStatus
    strategy: Strategy
    policy: RolloutPolicy
    baseline_version: str
    candidates: tuple[str, ...]
    salt: str
    arms: tuple[Arm, ...]
    """The baseline first, then the candidates in their order; weights sum to 10,000."""
    forced: bool
    started_at: Timestamp
    started_sequence: int
    phase_started_at: Timestamp
    """When the present step, or all of a rollout without steps, or the bake began, or was last resumed."""
    phase_seconds_before: float = 0.0
    """How long a pause step had waited when the rollout was paused in it."""
    step_index: int | None = None
    """The index of a progressive rollout's present step; the number of steps once all are done."""
    pause_cause: PauseCause | None = None
    promoted_version: str | None = None
    watermark: int = -1
    """The highest of the recorded analyses."""
    analyses: tuple[AnalysisState, ...] = ()
    """The last 20, oldest first."""
    ended_at: Timestamp | None = None
    ended_sequence: int | None = None
    asked_by: str = ""
    """Who asked for the strategy and the policy in force: at the start, or when they were changed last."""
    asked_reason: str | None = None
    ended_by: str = ""
    """Who asked for its end."""
    ended_reason: str | None = None

    @property
    def step(self) -> RolloutStep | None:
        """The present step of a progressive rollout; None after the last one."""
        if not isinstance(self.strategy, ProgressiveStrategy) or self.step_index is None:
            return None
        return self.strategy.steps[self.step_index] if self.step_index < len(self.strategy.steps) else None


def versions_of(rollout: RolloutState) -> tuple[str, ...]:
    """Return the versions in play: baseline and candidates, or while it bakes the promoted one and the way back."""
    if rollout.status == "baking" and rollout.promoted_version is not None:
        return rollout.promoted_version, rollout.baseline_version
    return rollout.baseline_version, *rollout.candidates


def seconds_in_phase(rollout: RolloutState, now: Timestamp) -> float:
    """Return how long the present phase has lasted, without the time the rollout stood still in a pause step.

    A pause step is over at its `duration_seconds`, an analysis at its own or the policy's, a bake at `bake_seconds`.
    """
    if rollout.status == "paused":
        return rollout.phase_seconds_before
    return rollout.phase_seconds_before + (now - rollout.phase_started_at).total_seconds()


def waits_until_resumed(rollout: RolloutState) -> bool:
    """Return whether the present step is a pause without an end of its own."""
    return isinstance(rollout.step, PauseStep) and rollout.step.duration_seconds is None


def baseline_arms(candidates: tuple[str, ...], baseline_version: str) -> tuple[Arm, ...]:
    """Return the split that gives all traffic to the baseline."""
    return (
        Arm(model_version=baseline_version, weight=WEIGHT_TOTAL),
        *(Arm(model_version=name, weight=0) for name in candidates),
    )


def with_strategy(
    rollout: RolloutState, strategy: Strategy, candidates: tuple[str, ...], policy: RolloutPolicy, *, forced: bool
) -> RolloutState:
    """Return the rollout under another strategy. The times are left as they were.

    Candidates keep their weights; those of versions left out go to the baseline.
    """
    weights = {arm.model_version: arm.weight for arm in rollout.arms}
    arms = tuple(Arm(model_version=name, weight=weights.get(name, 0)) for name in candidates)
    to_baseline = WEIGHT_TOTAL - sum(arm.weight for arm in arms)
    return replace(
        rollout,
        strategy=strategy,
        policy=policy,
        candidates=candidates,
        forced=forced,
        arms=(Arm(model_version=rollout.baseline_version, weight=to_baseline), *arms),
        step_index=None,
    )
