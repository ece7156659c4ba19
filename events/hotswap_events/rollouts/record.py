"""The readable state of a rollout: in the registry state, and as the API returns it."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.rollouts.events import AnalysisOutcome, MetricEvidence, PauseCause
from hotswap_events.rollouts.strategy import Arm, RolloutPolicy, Strategy

RolloutStatus = Literal["running", "paused", "baking", "promoted", "aborted", "superseded", "rolled-back"]
AwareTime = Annotated[datetime, Meta(tz=True)]


class RolloutAnalysis(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One recorded analysis of a rollout."""

    outcome: AnalysisOutcome
    watermark: int
    """How far the observations had been read."""
    sequence: int
    """Of its event in the model's stream."""
    recorded_at: AwareTime
    step_index: int | None = None
    model_version: str | None = None
    evidence: tuple[MetricEvidence, ...] = ()


class RolloutRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One rollout as it is or as it ended."""

    rollout_id: str
    status: RolloutStatus
    strategy: Strategy
    policy: RolloutPolicy
    baseline_version: str
    candidates: tuple[str, ...]
    arms: tuple[Arm, ...]
    """The split of the traffic while it goes on: the baseline first, weights of 10,000."""
    salt: str
    started_at: AwareTime
    started_sequence: int
    phase_started_at: AwareTime
    """When the present step, the whole of a rollout without steps, or the bake began or was last resumed."""
    forced: bool = False
    """Its candidates need not have passed validation."""
    step_index: int | None = None
    """Of a progressive one until it ends or bakes, from 0; the number of steps once all are done."""
    pause_cause: PauseCause | None = None
    promoted_version: str | None = None
    analyses: tuple[RolloutAnalysis, ...] = ()
    """The last ones, oldest first."""
    ended_at: AwareTime | None = None
    ended_sequence: int | None = None
