"""What can happen to a rollout: events in the model's stream, in the same order as all others.

A rollout is named `r1`, `r2` … within its model. It is running, paused, or baking after its
promotion; at most one is.
"""

from typing import Literal

from msgspec import Struct

from hotswap_events.rollouts.strategy import Arm, MetricName, RolloutPolicy, Strategy

AnalysisOutcome = Literal["successful", "failed", "inconclusive"]
PauseCause = Literal["operator", "inconclusive", "waiting-for-promotion"]
RolloutOutcome = Literal["promoted", "aborted", "superseded"]
BakeOutcome = Literal["kept", "rolled-back", "superseded"]

EVIDENCE_MAX = 32
EVIDENCE_FIGURES_MAX = 16


class MetricEvidence(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one metric of one version showed when the outcome was drawn."""

    metric: MetricName
    model_version: str
    outcome: AnalysisOutcome
    count: int
    """Observations of the version that the metric is made of."""
    value: float | None = None
    baseline_count: int | None = None
    baseline_value: float | None = None
    lower: float | None = None
    """Ends of the anytime-valid interval of `value`, or of its difference to the baseline where there is a margin."""
    upper: float | None = None
    p_value: float | None = None
    """Anytime-valid."""
    threshold: float | None = None
    """What it was judged by."""
    margin: float | None = None
    figures: dict[str, float] = {}
    """Further figures of the test."""


Evidence = tuple[MetricEvidence, ...]
"""At most 32 entries."""


class RolloutStarted(Struct, frozen=True, kw_only=True, gc=False):
    """Candidates are tried against the version in production. Traffic moves with `weights-set`."""

    rollout_id: str
    strategy: Strategy
    baseline_version: str
    candidates: tuple[str, ...]
    salt: str
    """Goes into the hash that routes; the same for the whole rollout, so that a user stays where he is."""
    policy: RolloutPolicy
    forced: bool = False
    """Candidates that have not passed validation may get traffic and be promoted."""


class RolloutStrategyChanged(Struct, frozen=True, kw_only=True, gc=False):
    """The rollout goes on by another strategy, with the same salt. A progressive one begins at its first step."""

    rollout_id: str
    strategy: Strategy
    candidates: tuple[str, ...]
    policy: RolloutPolicy
    forced: bool = False
    """As with the start; holds from here on."""


class RolloutWeightsSet(Struct, frozen=True, kw_only=True, gc=False):
    """Traffic is split like this from here on."""

    rollout_id: str
    arms: tuple[Arm, ...]
    """The baseline first, then the candidates in their order; weights sum to 10,000."""


class RolloutStepEntered(Struct, frozen=True, kw_only=True, gc=False):
    """A progressive rollout came to a step."""

    rollout_id: str
    step_index: int
    """From 0; the number of steps says that all are done."""


class RolloutPaused(Struct, frozen=True, kw_only=True, gc=False):
    """The rollout stands still; traffic stays split as it is."""

    rollout_id: str
    cause: PauseCause


class RolloutResumed(Struct, frozen=True, kw_only=True, gc=False):
    """The rollout goes on. An analysis begins with a fresh budget."""

    rollout_id: str


class RolloutAnalysisRecorded(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The evidence led to an outcome; what follows from it are the next events of the same decision."""

    rollout_id: str
    outcome: AnalysisOutcome
    watermark: int
    """How far the observations had been read; grows, so that the same evidence is not recorded twice."""
    step_index: int | None = None
    """Of a progressive rollout."""
    evidence: tuple[MetricEvidence, ...] = ()
    model_version: str | None = None
    """Which candidate the outcome is about, where there are several."""


class RolloutCompleted(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The rollout is over: all traffic goes to the version in production again.

    `promoted`: the next event puts the candidate into production. `aborted`: the baseline stays. `superseded`: somebody
    changed a version in play by hand, which the next event says.
    """

    rollout_id: str
    outcome: RolloutOutcome
    model_version: str | None = None
    """The promoted one."""
    bake_seconds: int = 0
    """How long the former version is one event away, if harm shows."""
    evidence: tuple[MetricEvidence, ...] = ()


class RolloutBakeEnded(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The time behind the promotion is over. `rolled-back`: the next event returns to the baseline."""

    rollout_id: str
    outcome: BakeOutcome
    evidence: tuple[MetricEvidence, ...] = ()


RolloutEvent = (
    RolloutStarted
    | RolloutStrategyChanged
    | RolloutWeightsSet
    | RolloutStepEntered
    | RolloutPaused
    | RolloutResumed
    | RolloutAnalysisRecorded
    | RolloutCompleted
    | RolloutBakeEnded
)

ROLLOUT_EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.rollout.started.v1": RolloutStarted,
    "hotswap.rollout.strategy-changed.v1": RolloutStrategyChanged,
    "hotswap.rollout.weights-set.v1": RolloutWeightsSet,
    "hotswap.rollout.step-entered.v1": RolloutStepEntered,
    "hotswap.rollout.paused.v1": RolloutPaused,
    "hotswap.rollout.resumed.v1": RolloutResumed,
    "hotswap.rollout.analysis-recorded.v1": RolloutAnalysisRecorded,
    "hotswap.rollout.completed.v1": RolloutCompleted,
    "hotswap.rollout.bake-ended.v1": RolloutBakeEnded,
}
