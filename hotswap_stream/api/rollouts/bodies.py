"""Bodies of the commands on rollouts."""

from typing import Annotated

from msgspec import Meta

from hotswap_events.commands import ModelVersion
from hotswap_events.rollouts.commands import Candidates, StepIndex
from hotswap_events.rollouts.events import AnalysisOutcome, Evidence
from hotswap_events.rollouts.strategy import DEFAULT_ROLLOUT_POLICY, RolloutId, RolloutPolicy, Salt, Strategy
from hotswap_stream.api.commands.context import CommandBody


class StartRolloutBody(CommandBody, frozen=True):
    """What to try, and how."""

    strategy: Strategy
    candidates: Candidates = ()
    """One; several where the strategy takes them. An A/B test's come from its arms."""
    policy: RolloutPolicy = DEFAULT_ROLLOUT_POLICY
    salt: Salt | None = None
    """Default: `<model>/<rollout>`. The same salt again puts the same users into the candidate's share."""
    forced: bool = False
    """Give traffic to candidates that have not passed validation."""
    allow_signature_change: bool = False
    """Even if their inputs or outputs differ from the active version's, so that its users' requests would break."""


class RolloutBody(CommandBody, frozen=True, kw_only=True):
    """What a command on the current rollout may carry."""

    rollout_id: RolloutId | None = None
    """Refuse unless this rollout is the current one."""
    step_index: StepIndex | None = None
    """Refuse unless a progressive rollout is at this step."""


class PromoteRolloutBody(RolloutBody, frozen=True):
    """Which candidate to put into production."""

    model_version: ModelVersion | None = None
    """Needed where there are several."""
    forced: bool = False
    """Even if it has not passed validation."""


class AbortRolloutBody(RolloutBody, frozen=True):
    """How to end the rollout."""

    archive: bool | None = None
    """Archive the candidates; default: what the policy says."""


class ChangeStrategyBody(RolloutBody, frozen=True):
    """How the rollout goes on."""

    strategy: Strategy
    candidates: Candidates = ()
    """Default: those the rollout has."""
    policy: RolloutPolicy | None = None
    """Default: the one the rollout has."""
    forced: bool = False
    """Give traffic to candidates that have not passed validation."""
    allow_signature_change: bool = False
    """Even if their inputs or outputs differ from the active version's, so that its users' requests would break."""


class RecordAnalysisBody(RolloutBody, frozen=True):
    """The outcome of an analysis, with its evidence."""

    outcome: AnalysisOutcome
    watermark: Annotated[int, Meta(ge=0)]
    """How far the observations had been read. One that is not above the last recorded changes nothing."""
    evidence: Evidence = ()
    model_version: ModelVersion | None = None
    """Which candidate, where there are several."""
