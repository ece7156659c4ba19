"""The fold of the registry as metrics."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from hotswap_events.rollouts.events import MetricEvidence
from hotswap_events.rollouts.evidence import RolloutEvidence
from hotswap_events.rollouts.strategy import WEIGHT_TOTAL
from hotswap_stream.api.runtime import RefusalSeries
from hotswap_stream.application.registry.fold import RegistryFold, Stream
from hotswap_stream.application.rollouts.shown import EvidenceView
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.observability import metrics as catalogue
from hotswap_stream.observability.metric_spec import Family, Sample, single

_POSITIONS = {"closed": 0.0, "half-open": 0.5, "open": 1.0}


def registry_families(
    fold: RegistryFold, refused_switches: Mapping[RefusalSeries, int], evidence: EvidenceView | None = None
) -> Iterator[Family]:
    """Yield what the log says of models, versions, circuits, alerts and rollouts.

    Args:
        fold: The registry as far as it was read.
        refused_switches: Refused changes of the version in production, as this process counted them.
        evidence: What rollouts show right now; without it, what was recorded of them last.
    """
    streams = list(fold.streams.values())
    yield single(catalogue.REGISTRY_MODELS, len(streams))
    yield single(catalogue.REGISTRY_EVENTS_APPLIED, fold.applied_count)
    yield single(catalogue.REGISTRY_EVENTS_VOID, fold.void_count)
    yield Family(catalogue.MODEL_VERSION_INFO, _version_info(streams))
    yield Family(catalogue.MODEL_SWITCHES, _switches(streams, refused_switches))
    yield Family(catalogue.REGISTRY_VERSIONS, _versions_by_stage(streams))
    yield Family(catalogue.CIRCUIT_OPEN, _circuit_positions(streams))
    yield Family(catalogue.CIRCUIT_OPENINGS, _circuit_openings(streams))
    yield Family(catalogue.MODEL_DISABLED, _disabled(streams))
    yield Family(catalogue.ALERTS_RAISED, _alerts(streams))
    rollouts = [
        (stream.state.model_name, stream.state.rollout) for stream in streams if stream.state.rollout is not None
    ]
    yield from _rollout_families(rollouts, evidence if evidence is not None and evidence.known else None)


def _version_info(streams: Sequence[Stream]) -> Iterator[Sample]:
    labelled = catalogue.MODEL_VERSION_INFO.labelled
    for stream in streams:
        active = stream.state.active
        if active is not None:
            provenance = active.provenance
            yield (
                labelled(
                    stream.state.model_name,
                    active.model_version,
                    active.artifact.digest,
                    provenance.code_revision or "",
                    provenance.data_snapshot or "",
                ),
                1,
            )


def _switches(streams: Sequence[Stream], refused: Mapping[RefusalSeries, int]) -> Iterator[Sample]:
    labelled = catalogue.MODEL_SWITCHES.labelled
    for stream in streams:
        history = ["none", *stream.state.production_history]
        for (left, right), count in Counter(pairwise(history)).items():
            yield labelled(stream.state.model_name, left, right, "success"), count
    for series, count in refused.items():
        yield labelled(*series), count


def _versions_by_stage(streams: Sequence[Stream]) -> Iterator[Sample]:
    labelled = catalogue.REGISTRY_VERSIONS.labelled
    for stream in streams:
        for stage, count in Counter(version.stage for version in stream.state.versions.values()).items():
            yield labelled(stream.state.model_name, stage), count


def _circuit_positions(streams: Sequence[Stream]) -> Iterator[Sample]:
    labelled = catalogue.CIRCUIT_OPEN.labelled
    for stream in streams:
        for name, circuit in stream.state.serving.circuits.items():
            yield labelled(stream.state.model_name, name), _POSITIONS[circuit.position]


def _circuit_openings(streams: Sequence[Stream]) -> Iterator[Sample]:
    labelled = catalogue.CIRCUIT_OPENINGS.labelled
    for stream in streams:
        for name, circuit in stream.state.serving.circuits.items():
            yield labelled(stream.state.model_name, name), circuit.openings


def _disabled(streams: Sequence[Stream]) -> Iterator[Sample]:
    labelled = catalogue.MODEL_DISABLED.labelled
    for stream in streams:
        yield labelled(stream.state.model_name), int(stream.state.serving.disabled)


def _alerts(streams: Sequence[Stream]) -> Iterator[Sample]:
    labelled = catalogue.ALERTS_RAISED.labelled
    for stream in streams:
        alerts, model_name = stream.state.alerts, stream.state.model_name
        rules = {(rule.name, rule.severity): 0 for rule in alerts.effective_policy.rules}
        # An alert may have been raised by a rule that a newer release's default policy has no more.
        rules |= {(alert.rule.name, alert.rule.severity): 1 for alert in alerts.raised.values()}
        for (rule_name, severity), raised in rules.items():
            yield labelled(model_name, rule_name, severity), raised


def _rollout_families(rollouts: Sequence[tuple[str, RolloutState]], evidence: EvidenceView | None) -> Iterator[Family]:
    step, steps, weight = catalogue.ROLLOUT_STEP, catalogue.ROLLOUT_STEPS, catalogue.ROLLOUT_WEIGHT
    yield Family(step, [(step.labelled(name, rollout.status), _step(rollout)) for name, rollout in rollouts])
    yield Family(steps, [(steps.labelled(name), _steps(rollout)) for name, rollout in rollouts])
    yield Family(
        weight,
        [
            (weight.labelled(name, arm.model_version), arm.weight / WEIGHT_TOTAL)
            for name, rollout in rollouts
            for arm in rollout.arms
        ],
    )
    lower, upper, threshold = (
        catalogue.ROLLOUT_EVIDENCE_LOWER,
        catalogue.ROLLOUT_EVIDENCE_UPPER,
        catalogue.ROLLOUT_THRESHOLD,
    )
    shown = [
        (lower.labelled(name, found.model_version, found.metric), found)
        for name, rollout in rollouts
        for found in _evidence(name, rollout, evidence)
    ]
    yield Family(lower, [(labels, found.lower) for labels, found in shown if found.lower is not None])
    yield Family(upper, [(labels, found.upper) for labels, found in shown if found.upper is not None])
    limits = [(labels, _limit(found)) for labels, found in shown]
    yield Family(threshold, [(labels, limit) for labels, limit in limits if limit is not None])


def _evidence(
    model_name: str, rollout: RolloutState, evidence: EvidenceView | None
) -> Sequence[RolloutEvidence | MetricEvidence]:
    """Return what the metrics show now, else what was recorded of them last."""
    now = () if evidence is None else evidence.latest(model_name, rollout.rollout_id)
    return now or (rollout.analyses[-1].evidence if rollout.analyses else ())


def _limit(found: RolloutEvidence | MetricEvidence) -> float | None:
    """Return what the interval must get past; of what was recorded, the threshold of the rule."""
    limit = found.limit if isinstance(found, RolloutEvidence) else None
    return found.threshold if limit is None else limit


def _step(rollout: RolloutState) -> int:
    """Return the present step from 1; the number of steps once all are done, 0 without any."""
    return 0 if rollout.step_index is None else min(rollout.step_index + 1, _steps(rollout))


def _steps(rollout: RolloutState) -> int:
    return len(getattr(rollout.strategy, "steps", ()))
