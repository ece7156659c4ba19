"""Rollout strategies and policies as data: the same words in events, commands, HTTP bodies and strategy files.

Weights and shares are whole numbers of ten-thousandths: 10,000 is all traffic, 500 is 5 %. A strategy's `kind` says
which it is. The words of a progressive rollout are those of Argo Rollouts: `set_weight`, `pause`, `analysis`.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from hotswap_events.command import ModelVersion

WEIGHT_TOTAL = 10_000
ARMS_MAX = 8
STEPS_MAX = 64
METRICS_MAX = 16
WORKERS_NAMED_MAX = 1_000
SECONDS_MAX = 31 * 86_400
ANSWERS_MAX = 10**12
ROLLOUT_ID_CHARACTERS_MAX = 32

Weight = Annotated[int, Meta(ge=0, le=WEIGHT_TOTAL)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Seconds = Annotated[int, Meta(ge=1, le=SECONDS_MAX)]
Answers = Annotated[int, Meta(ge=1, le=ANSWERS_MAX)]
RolloutId = Annotated[str, Meta(min_length=1, max_length=ROLLOUT_ID_CHARACTERS_MAX)]
Salt = Annotated[str, Meta(min_length=1, max_length=128)]
WorkerName = Annotated[str, Meta(min_length=1, max_length=256)]

AT_MAX = 100
AT_DEFAULT = 10
ERROR_MAX = 1e30
"""Errors are cut off here; the squares of what is cut off are numbers still."""

MetricName = Literal[
    "success-rate",
    "latency",
    "agreement",
    "accuracy",
    "reward",
    "absolute-error",
    "squared-error",
    "percentage-error",
    "hit-rate",
    "ndcg",
    "reciprocal-rank",
    "input-drift",
    "score-drift",
]


class Arm(Struct, frozen=True, kw_only=True, gc=False):
    """One version and its part of the traffic."""

    model_version: ModelVersion
    weight: Weight
    """Of 10,000."""


class FixedStrategy(Struct, frozen=True, kw_only=True, tag_field="kind", tag="fixed", gc=False):
    """Everybody gets one version, the baseline or the candidate, without a promotion."""

    model_version: ModelVersion


class ShadowStrategy(Struct, frozen=True, kw_only=True, tag_field="kind", tag="shadow", gc=False):
    """Everybody gets the baseline; the candidates see a share of the requests too, and their outputs are compared."""

    sample_share: Weight = WEIGHT_TOTAL
    """Of the requests, in 1/10,000."""


class CanaryStrategy(Struct, frozen=True, kw_only=True, tag_field="kind", tag="canary", gc=False):
    """A share of the users gets the candidate, each of them always."""

    weight: Weight
    """Of the candidate, of 10,000."""


class AbStrategy(Struct, frozen=True, kw_only=True, tag_field="kind", tag="ab", gc=False):
    """Two or more arms in any split, each user always in the same one. The baseline may be one of them."""

    arms: tuple[Arm, ...]
    """2 to 8; weights sum to 10,000."""


class SetWeightStep(Struct, frozen=True, kw_only=True, tag_field="step", tag="set_weight", gc=False):
    """Give the candidate this share and go on."""

    weight: Weight
    """Of the candidate, of 10,000."""


class PauseStep(Struct, frozen=True, kw_only=True, tag_field="step", tag="pause", gc=False):
    """Wait: for a time, or until somebody resumes."""

    duration_seconds: Seconds | None = None
    """None: until resumed."""


class AnalysisStep(Struct, frozen=True, kw_only=True, tag_field="step", tag="analysis", gc=False):
    """Go on when the evidence says success; end the rollout when it says harm."""

    duration_seconds: Seconds | None = None
    """Budget of this step; None: the policy's."""
    answers: Answers | None = None
    """Budget of answers by the candidate; None: the policy's."""
    metrics: tuple[MetricName, ...] = ()
    """Which metrics of the policy count here; none named: all."""


RolloutStep = SetWeightStep | PauseStep | AnalysisStep


class ProgressiveStrategy(Struct, frozen=True, kw_only=True, tag_field="kind", tag="progressive", gc=False):
    """Steps of weight, pause and analysis; behind the last one the candidate is promoted."""

    steps: tuple[RolloutStep, ...]
    """1 to 64, not all of them weights."""


class FleetStrategy(Struct, frozen=True, kw_only=True, tag_field="kind", tag="fleet", gc=False):
    """A part of the workers answers with the candidate, the others with the baseline."""

    share: Weight = 0
    """Of the workers by the hash of their names, in 1/10,000. Each worker decides for itself, so the part of a small
    fleet may differ from it: name the workers there."""
    workers: tuple[WorkerName, ...] = ()
    """Named workers, at most 1,000, besides those of the share."""


Strategy = FixedStrategy | ShadowStrategy | CanaryStrategy | AbStrategy | ProgressiveStrategy | FleetStrategy


class MetricRule(Struct, frozen=True, kw_only=True, gc=False):
    """What one metric of a candidate must be. At least one of `threshold` and a margin is given.

    `threshold` is absolute: at most it for latency, errors and drift, at least it for all others. `margin` is against
    the baseline: worse than it by at most this much, in the metric's unit.
    """

    metric: MetricName
    threshold: float | None = None
    margin: Annotated[float, Meta(ge=0.0)] | None = None
    slow_ms: Annotated[float, Meta(gt=0.0)] | None = None
    """latency only, and needed there: an answer above this is slow, and the metric is the share of slow answers. So
    threshold 0.05 says that the 95th percentile is at most `slow_ms`."""
    relative_margin: Annotated[float, Meta(gt=0.0)] | UnsetType = UNSET
    """Instead of `margin`: worse than the baseline by at most this part of what it has (0.05 is 5 %). Of metrics made
    of feedback but reward, which may be 0 or less."""
    error_max: Annotated[float, Meta(gt=0.0, le=ERROR_MAX)] | UnsetType = UNSET
    """Errors only: a larger one counts as this much, so that a few of them do not hide what all others show."""
    at: Annotated[int, Meta(ge=1, le=AT_MAX)] | UnsetType = UNSET
    """hit-rate and ndcg only: how many of the best items count; not given: 10."""

    @property
    def relative(self) -> float | None:
        """The relative margin; None without one."""
        return None if isinstance(self.relative_margin, UnsetType) else self.relative_margin

    @property
    def cut_off(self) -> float:
        """The largest error that counts as it is."""
        return ERROR_MAX if isinstance(self.error_max, UnsetType) else self.error_max

    @property
    def first(self) -> int:
        """How many of the best items count."""
        return AT_DEFAULT if isinstance(self.at, UnsetType) else self.at


class RolloutPolicy(Struct, frozen=True, kw_only=True, gc=False):
    """When a rollout has succeeded, failed, or cannot tell. All fields are stored, so that defaults may change."""

    metrics: tuple[MetricRule, ...] = (MetricRule(metric="success-rate", margin=0.02),)
    """At most 16, each metric once."""
    alpha: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.05
    """Chance of a false alarm over the whole rollout, however often one looks."""
    seconds_max: Seconds = 86_400
    """Budget of an analysis; without an outcome by then it is inconclusive."""
    answers_max: Answers | None = None
    """Budget of answers by the candidate; None: no limit but time."""
    answers_min: Annotated[int, Meta(ge=0, le=ANSWERS_MAX)] = 100
    """No success before the candidate gave this many answers."""
    on_inconclusive: Literal["pause", "proceed", "abort"] = "pause"
    """`pause`: a person decides; `proceed`: as if successful; `abort`: as if failed."""
    bake_seconds: Annotated[int, Meta(ge=0, le=SECONDS_MAX)] = 0
    """After a promotion, how long harm leads back to the former version; 0: not at all."""
    auto_promote: bool = True
    """False: success waits for a person's `promote`. True: it does where a metric looks at what the answers say
    (agreement, or one made of feedback), and the version passed validation or is a person's choice by an inconclusive
    one."""
    auto_archive: bool = True
    """Archive the candidates of a rollout that is aborted."""
    promote_on_operational: bool | UnsetType = UNSET
    """True: success promotes although no metric would notice if all answers were wrong. Left out: false."""
    promote_after_shadow: bool | UnsetType = UNSET
    """True: a shadow's success promotes; left out or false: it ends in a report and waits for a person."""

    @property
    def promotes_on_operational(self) -> bool:
        """Whether a success rate, latency or drift alone may promote."""
        return self.promote_on_operational is True

    @property
    def promotes_after_shadow(self) -> bool:
        """Whether a shadow's success promotes."""
        return self.promote_after_shadow is True


DEFAULT_ROLLOUT_POLICY = RolloutPolicy()
