"""What a running rollout shows, on `hotswap.evidence`: once a second a record per candidate and metric.

The agent that decides the rollout writes them, from what it decides by: the figures are those that the rollout's next
recorded analysis carries, if no more answers come. Nothing that draws a rollout has to ask for a report. Key: the model
name, so that one partition has all of a model's records.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.bounds import REWARD_MAX, Count, Index, Name, Offset, check_time
from hotswap_events.command import ModelName, ModelVersion
from hotswap_events.envelope import Timestamp
from hotswap_events.rollouts.events import EVIDENCE_FIGURES_MAX
from hotswap_events.rollouts.strategy import ARMS_MAX, Arm, MetricName, RolloutId, Share

EvidenceVerdict = Literal["passed", "harmful", "undecided", "no-data"]
ComparedWith = Literal["baseline", "threshold"]
GoingOn = Literal["running", "paused", "baking"]

EVIDENCE_SECONDS = 1.0
"""The agent writes this often."""
EVIDENCE_BYTES_MAX = 16_384
"""Of one record; a longer one is passed over by readers."""

Figure = Annotated[float, Meta(ge=-REWARD_MAX, le=REWARD_MAX)]
Seconds = Annotated[float, Meta(ge=0.0, le=1e12)]


class RolloutEvidence(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one metric of one candidate shows now."""

    model_name: ModelName
    rollout_id: RolloutId
    metric: MetricName
    model_version: ModelVersion
    """The candidate."""
    baseline_version: ModelVersion
    verdict: EvidenceVerdict
    """`no-data`: nothing was counted yet. A metric that is `undecided` may still be either."""
    at: Timestamp
    """By the agent's clock."""
    registry_offset: Offset
    """Of the model's last event that the agent knew: of two records the one with the higher one holds, then the later
    one."""
    watermark: Offset
    """How far the observations had been read."""
    status: GoingOn
    arms: Annotated[tuple[Arm, ...], Meta(max_length=ARMS_MAX)]
    """The baseline first."""
    step_index: Index | None = None
    """Of a progressive rollout, from 0; the number of steps once all are done."""
    steps: Index = 0
    """How many there are; 0 for a rollout without steps."""
    compared_with: ComparedWith = "baseline"
    """What the interval is of: the difference to the baseline, or the metric itself, held to a threshold."""
    lower_is_better: bool = False
    count: Count = 0
    """Observations of the candidate that the metric is made of."""
    value: Figure | None = None
    baseline_count: Count | None = None
    baseline_value: Figure | None = None
    estimate: Figure | None = None
    """Between `lower` and `upper`: of the difference, or of the metric itself."""
    lower: Figure | None = None
    """Ends of the interval, which is true at every look."""
    upper: Figure | None = None
    limit: Figure | None = None
    """The metric passes when the whole interval is on the good side of it. In the unit of the interval; absent: it
    cannot be told yet, or the metric is a distance, which passes when the budget is used without harm."""
    harm_limit: Figure | None = None
    """The metric is harmful when the whole interval, or a distance, is on the bad side of it."""
    p_value: Share | None = None
    """Anytime-valid."""
    threshold: Figure | None = None
    """Of the rule."""
    margin: Figure | None = None
    """Of the rule: by how much the candidate may be worse."""
    figures: Annotated[dict[Name, Figure], Meta(max_length=EVIDENCE_FIGURES_MAX)] = {}
    """Further figures of the test."""
    answers: Count = 0
    """Of the candidate in the present analysis: what a budget of answers is spent by."""
    answers_max: Count | None = None
    """The budget; absent: there is none."""
    answers_min: Count = 0
    """Below this nothing passes."""
    seconds: Seconds = 0.0
    """Since the present step, the whole of a rollout without steps, or the bake began."""
    seconds_max: Seconds | None = None
    """How long it may take."""
    budget_used: Share = 0.0
    """The larger part of answers and time that is spent, 0 to 1."""

    def __post_init__(self) -> None:
        check_time("at", self.at)
