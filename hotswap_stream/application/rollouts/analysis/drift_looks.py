"""Looks for drift between a candidate and the baseline, each when it is due. Pure."""

from hotswap_events.rollouts.strategy import MetricRule
from hotswap_stream.application.observations.sketch import Sketch
from hotswap_stream.application.rollouts.analysis.alpha_shares import tests_alpha
from hotswap_stream.application.rollouts.analysis.figures import SKETCH_METRICS, VersionFigures
from hotswap_stream.application.rollouts.analysis.table import CandidateTests
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.domain.statistics.drift import DriftEvidence, drift, largest_distance, looks_due


def drifts_found(
    tests: CandidateTests, rollout: RolloutState, figures: dict[str, VersionFigures]
) -> dict[str, DriftEvidence]:
    """Return what the looks show that are due by now, by metric. What was found stays found."""
    found = dict(tests.drifts)
    for rule in rollout.policy.metrics:
        name = SKETCH_METRICS.get(rule.metric)
        known = found.get(rule.metric)
        if name is None or (known is not None and known.drifted):
            continue
        look = _look(rule, name, rollout, figures, tests.model_version, 0 if known is None else known.look)
        if look is not None:
            found[rule.metric] = look
    return found


def _look(
    rule: MetricRule,
    name: str,
    rollout: RolloutState,
    figures: dict[str, VersionFigures],
    candidate: str,
    looks_before: int,
) -> DriftEvidence | None:
    ours, theirs = (
        figures.get(version, VersionFigures()).sketches.get(name) for version in (candidate, rollout.baseline_version)
    )
    if ours is None or theirs is None:
        return None
    current, reference = Sketch(ours), Sketch(theirs)
    look = looks_due(min(current.count, reference.count))
    if look <= looks_before:
        return None
    points = sorted({*current.points(), *reference.points()})
    return drift(
        largest_distance(reference.shares_up_to(points), current.shares_up_to(points)),
        reference_count=reference.count,
        current_count=current.count,
        look=look,
        alpha=tests_alpha(rollout.policy, len(rollout.candidates)),
        tolerance=min(0.999, rule.threshold or 0.0),
        rank_error=current.rank_error + reference.rank_error,
    )
