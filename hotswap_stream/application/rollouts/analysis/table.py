"""What the analysis of a model's rollout has folded so far: sums per version, and the tests of each candidate.

Tests run twice over: from the rollout's start, so that harm adds up over all its steps, and from the start of the
present phase (a step, a resumption), so that each analysis step is earned anew.
"""

from datetime import datetime

from msgspec import Struct

from hotswap_events.rollouts.strategy import RolloutPolicy
from hotswap_stream.application.rollouts.analysis.figures import VersionFigures
from hotswap_stream.application.rollouts.analysis.metric_tests import MetricTest
from hotswap_stream.domain.statistics.drift import DriftEvidence
from hotswap_stream.domain.statistics.samples import Counts


class CandidateTests(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The tests of one candidate, in the order of the policy's metrics, those for drift left out."""

    model_version: str
    whole: tuple[MetricTest, ...]
    phase: tuple[MetricTest, ...]
    phase_answers: int = 0
    """Answers and failures of the candidate in this phase: what a budget of answers is spent by."""
    drifts: dict[str, DriftEvidence] = {}


class RolloutTable(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rollout while it runs, is paused, or bakes."""

    rollout_id: str
    policy: RolloutPolicy
    phase_started_at: datetime
    phase_number: int = 1
    figures: dict[str, VersionFigures] = {}
    candidates: tuple[CandidateTests, ...] = ()
    before: Counts = Counts()
    """What the baseline answered before the rollout: a version is held to it where the baseline gets no traffic."""
    bake: tuple[MetricTest, ...] | None = None
    """The promoted version's tests since the promotion, against what the baseline did before it."""


class ModelTable(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of one model between two records."""

    rollout: RolloutTable | None = None
    before: dict[str, Counts] = {}
    """What each version answered without a rollout, lately."""
