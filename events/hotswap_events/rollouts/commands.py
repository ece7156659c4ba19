"""What one may ask of rollouts."""

from typing import Annotated

from msgspec import Meta

from hotswap_events.bounds import INT64_MAX
from hotswap_events.command import Command, ModelVersion
from hotswap_events.rollouts.events import AnalysisOutcome, Evidence
from hotswap_events.rollouts.strategy import (
    DEFAULT_ROLLOUT_POLICY,
    RolloutId,
    RolloutPolicy,
    Salt,
    Strategy,
)

Candidates = tuple[ModelVersion, ...]
StepIndex = Annotated[int, Meta(ge=0, le=INT64_MAX)]


class StartRollout(Command, frozen=True, tag="hotswap.command.start-rollout.v1"):
    """Try candidates against the version in production. It gets the next name `r<n>`."""

    strategy: Strategy
    candidates: Candidates = ()
    """One; several where the strategy takes them (shadow). An A/B test's come from its arms."""
    policy: RolloutPolicy = DEFAULT_ROLLOUT_POLICY
    salt: Salt | None = None
    """Default: `<model>/<rollout>`. The same salt again puts the same users into the candidate's share."""
    forced: bool = False
    """Give traffic to candidates that have not passed validation."""
    allow_signature_change: bool = False
    """Even if their inputs or outputs differ from the active version's, so that its users' requests would break."""


class RolloutCommand(Command, frozen=True, kw_only=True):
    """What the commands on a running rollout carry."""

    rollout_id: RolloutId | None = None
    """Refuse unless this rollout is the current one."""
    step_index: StepIndex | None = None
    """Refuse unless a progressive rollout is at this step: of two who advance it, one does."""


class AdvanceRollout(RolloutCommand, frozen=True, tag="hotswap.command.advance-rollout.v1"):
    """Go to a progressive rollout's next step, whatever the present one waits for; behind the last, promote."""


class PauseRollout(RolloutCommand, frozen=True, tag="hotswap.command.pause-rollout.v1"):
    """Let a rollout stand still, with traffic split as it is."""


class ResumeRollout(RolloutCommand, frozen=True, tag="hotswap.command.resume-rollout.v1"):
    """Let a paused rollout go on; a step that pauses until somebody resumes is left."""


class PromoteRollout(RolloutCommand, frozen=True, tag="hotswap.command.promote-rollout.v1"):
    """Put the candidate into production now and end the rollout. While it bakes: end the bake, keep the version."""

    model_version: ModelVersion | None = None
    """Which candidate, where there are several."""
    forced: bool = False
    """Even if it has not passed validation."""


class AbortRollout(RolloutCommand, frozen=True, tag="hotswap.command.abort-rollout.v1"):
    """Give all traffic back to the baseline and end the rollout. While it bakes: roll back to the baseline."""

    archive: bool | None = None
    """Archive the candidates; default: what the policy says."""


class ChangeStrategy(RolloutCommand, frozen=True, tag="hotswap.command.change-strategy.v1"):
    """Go on by another strategy, with the same baseline and salt."""

    strategy: Strategy
    candidates: Candidates = ()
    """Default: those the rollout has."""
    policy: RolloutPolicy | None = None
    """Default: the one the rollout has."""
    forced: bool = False
    """Give traffic to candidates that have not passed validation."""
    allow_signature_change: bool = False
    """Even if their inputs or outputs differ from the active version's, so that its users' requests would break."""


class RecordAnalysis(RolloutCommand, frozen=True, tag="hotswap.command.record-analysis.v1"):
    """Hand in the outcome of an analysis with its evidence; the rollout's policy says what follows.

    `successful`: the next step, or the promotion; `failed`: abort, or roll back while it bakes; `inconclusive`, at the
    end of the budget: as `on_inconclusive` says. The end of a bake without harm is `successful`.
    """

    outcome: AnalysisOutcome
    watermark: Annotated[int, Meta(ge=0, le=INT64_MAX)]
    """How far the observations had been read. One that is not above the last recorded changes nothing."""
    evidence: Evidence = ()
    model_version: ModelVersion | None = None
    """Which candidate, where there are several: the winner of a success, the harmful one of a failure."""


RolloutCommands = (
    StartRollout
    | AdvanceRollout
    | PauseRollout
    | ResumeRollout
    | PromoteRollout
    | AbortRollout
    | ChangeStrategy
    | RecordAnalysis
)
