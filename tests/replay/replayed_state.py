"""What a history leads to, in a form that can be kept beside it for ever.

Only names fields that every release has, so that an old expectation is still met when states gain fields.
"""

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

import msgspec

from hotswap_events.registry.version_options import PLAIN
from hotswap_stream.application.audit.audit import verify_records
from hotswap_stream.application.audit.findings import AuditReport
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.log.stream import LogStream
from hotswap_stream.application.registry.fold import AppliedUnknown, RegistryFold, Stream, Void
from hotswap_stream.domain.serving.route import route
from hotswap_stream.domain.state.alerts import NO_ALERTS, AlertsState, RaisedAlert
from hotswap_stream.domain.state.circuits import UNTOUCHED
from hotswap_stream.domain.state.model import ModelState, RunState, VersionState
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.domain.state.triggers import NO_TRIGGERS, TriggersState


def replayed_state(records: Iterable[LogRecord]) -> dict[str, Any]:
    """Outcome of each record, the state of each model, and what an audit finds, as plain JSON values."""
    kept = list(records)
    fold = RegistryFold()
    outcomes = [_outcome(fold, record) for record in kept]
    report = verify_records(kept)
    with_log = {} if not fold.log.sequence else {"log": _log(fold.log, report)}
    document = {
        **with_log,
        "outcomes": outcomes,
        "models": {name: _stream(stream) for name, stream in sorted(fold.streams.items())},
        "audit": {
            "conflicts": report.conflicts,
            # What is only noticed today failed an audit when the first histories were kept.
            "findings": sorted(
                ([finding.damage, finding.offset] for finding in (*report.findings, *report.notices)),
                key=itemgetter(1),
            ),
        },
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return plain


def _log(log: LogStream, report: AuditReport) -> dict[str, Any]:
    """Only of logs whose own stream has events: histories of before say nothing of it."""
    return {
        "sequence": log.sequence,
        "head_digest": log.head_digest,
        "log_id": None if log.begun is None else log.begun.log_id,
        **({"webhooks": _webhooks(log)} if log.webhooks else {}),
        "acknowledged": [[each.finding.damage, each.finding.offset, each.actor] for each in report.acknowledged],
    }


def _webhooks(log: LogStream) -> dict[str, Any]:
    return {
        name: [found.data.url, found.data.event_patterns, found.data.signed_with, found.actor, found.since_offset]
        for name, found in log.webhooks.items()
    }


def _outcome(fold: RegistryFold, record: LogRecord) -> str:
    outcome = fold.apply(record)
    if isinstance(outcome, Void):
        return f"void: {outcome.kind}"
    return "applied, unknown here" if isinstance(outcome, AppliedUnknown) else "applied"


def _stream(stream: Stream) -> dict[str, Any]:
    state = stream.state
    with_rollouts = {"rollouts": _rollouts(state)} if state.rollouts_total or state.validation_policy else {}
    with_serving = {} if state.serving is UNTOUCHED else {"serving": _serving(stream)}
    with_alerts = {} if state.alerts is NO_ALERTS else {"alerts": _alerts(state)}
    with_set = {} if state.validation_set is None else {"validation_set": state.validation_set}
    with_tags = {"tags": state.tags} if state.tags else {}
    with_aliases = {"aliases": state.aliases} if state.aliases else {}
    with_datasets = {"datasets": _datasets(state)} if state.datasets or state.request_retention else {}
    with_triggers = {} if state.triggers is NO_TRIGGERS else {"triggers": _triggers(state.triggers)}
    with_rest = {**with_set, **with_tags, **with_aliases, **with_datasets, **with_triggers}
    return {**with_rollouts, **with_serving, **with_alerts, **with_rest} | {
        "sequence": state.sequence,
        "head_digest": stream.head_digest,
        "offset": stream.offset,
        "active_version": state.active_version,
        "active_offset": stream.active_offset,
        "former_version": state.former_version,
        "production_history": state.production_history,
        "versions": {name: _version(version) for name, version in state.versions.items()},
        "runs": {run_id: _run(run) for run_id, run in state.runs.items()},
        "command_ids": state.command_ids,
        "unknown_event_type": state.unknown_event_type,
    }


def _version(version: VersionState) -> dict[str, Any]:
    validation = version.validation
    return {
        "stage": version.stage,
        "artifact_digest": version.artifact.digest,
        "size_bytes": version.artifact.size_bytes,
        "origin": version.provenance.origin,
        "created_by": version.provenance.created_by,
        "code_revision": version.provenance.code_revision,
        "data_snapshot": version.provenance.data_snapshot,
        "image": version.provenance.image,
        "environment": version.provenance.environment,
        "registered_sequence": version.registered_sequence,
        "registered_at": version.registered_at,
        "deployed_at": version.deployed_at,
        "run_id": version.run_id,
        "metrics": version.metrics,
        "tags": version.tags,
        **({"approved_by": version.approved_by} if version.approved_by else {}),
        **({"artifact_deleted": True} if version.artifact_deleted else {}),
        **({} if version.profile is None else {"profile": version.profile}),
        **({} if version.graph is None else {"graph": version.graph.digest}),
        **({} if version.options == PLAIN else {"options": version.options}),
        "verdict": None if validation is None else validation.verdict,
        "figures": None if validation is None else validation.figures,
        "baseline_version": None if validation is None else validation.baseline_version,
        **({} if validation is None or validation.detail is None else {"verdict_detail": validation.detail}),
        "production_sequences": version.production_sequences,
    }


def _datasets(state: ModelState) -> dict[str, Any]:
    """Only of models that have any: histories of before say nothing of datasets."""
    return {
        "built": {
            digest: [found.sequence, found.at, found.actor, found.built] for digest, found in state.datasets.items()
        },
        "names": state.dataset_names,
        "request_retention": state.request_retention,
    }


def _run(run: RunState) -> dict[str, Any]:
    """What was asked for only where it was: histories of before have no requests."""
    known = {
        "request": run.request,
        "requested_by": run.requested_by,
        "requested_at": run.requested_at,
        "runner": run.runner,
        "claimed_at": run.claimed_at,
        "model_version": run.model_version,
        "ended_by": run.ended_by,
    }
    return {"status": run.status, "detail": run.detail, **({} if run.request is None else known)}


def _triggers(triggers: TriggersState) -> dict[str, Any]:
    """Only of models that have any: histories of before say nothing of triggers."""
    return {
        "policy": triggers.policy,
        "policy_sequence": triggers.policy_sequence,
        "counts": triggers.counts,
        "last": {name: [fired.slot, fired.run_id, fired.sequence] for name, fired in triggers.last.items()},
        "suppressed": sorted(triggers.suppressed),
        "peak": triggers.peak,
    }


def _serving(stream: Stream) -> dict[str, Any]:
    """Only of models that have any: histories of before say nothing of circuits."""
    serving, way = stream.state.serving, route(stream.state)
    return {
        "policy": serving.policy,
        "circuits": {
            name: {
                "position": circuit.position,
                "since_sequence": circuit.since_sequence,
                "opened_at": circuit.opened_at,
                "opened_cause": circuit.opened_cause,
                "openings": circuit.openings,
            }
            for name, circuit in serving.circuits.items()
        },
        "disabled_sequence": serving.disabled_sequence,
        "disabled_reason": serving.disabled_reason,
        "route": {
            "answered_by": way.answered_by,
            "fallback_for": way.fallback_for,
            "probed": way.probed,
            "refused_because": way.refused_because,
            "offset": stream.route_offset,
        },
    }


def _alerts(state: ModelState) -> dict[str, Any]:
    """Only of models that have any: histories of before say nothing of alerts."""
    alerts = state.alerts
    return {
        "policy": alerts.policy,
        "raised": {name: _alert(alert) for name, alert in alerts.raised.items()},
        "raised_total": alerts.raised_total,
        "ended": [
            {
                "alert": _alert(over.alert),
                "sequence": over.sequence,
                "at": over.at,
                "cause": over.cause,
                "value": over.value,
                "figures": over.figures,
            }
            for over in alerts.ended
        ],
        **_alert_care(alerts),
    }


def _alert_care(alerts: AlertsState) -> dict[str, Any]:
    """Only where people said anything of alerts: histories of before have none of it."""
    acknowledged = {name: [known.raised_sequence, known.actor] for name, known in alerts.acknowledged.items()}
    snoozes = {name: [snooze.sequence, snooze.seconds] for name, snooze in alerts.snoozes.items()}
    return {
        **({"acknowledged": acknowledged} if acknowledged else {}),
        **({"snoozes": snoozes} if snoozes else {}),
    }


def _alert(alert: RaisedAlert) -> dict[str, Any]:
    return {
        "rule": alert.rule,
        "sequence": alert.sequence,
        "at": alert.at,
        "value": alert.value,
        "count": alert.count,
        "figures": alert.figures,
        "model_version": alert.model_version,
    }


def _rollouts(state: ModelState) -> dict[str, Any]:
    """Only of models that have any: histories of before say nothing of rollouts."""
    return {
        "total": state.rollouts_total,
        "current": None if state.rollout is None else _rollout(state.rollout),
        "ended": [_rollout(rollout) for rollout in state.rollout_history],
        "validation_thresholds": None if state.validation_policy is None else state.validation_policy.thresholds(),
    }


def _rollout(rollout: RolloutState) -> dict[str, Any]:
    return {
        "rollout_id": rollout.rollout_id,
        "status": rollout.status,
        "strategy": rollout.strategy,
        "policy": rollout.policy,
        "baseline_version": rollout.baseline_version,
        "candidates": rollout.candidates,
        "salt": rollout.salt,
        "arms": {arm.model_version: arm.weight for arm in rollout.arms},
        "forced": rollout.forced,
        "started_sequence": rollout.started_sequence,
        "ended_sequence": rollout.ended_sequence,
        "phase_started_at": rollout.phase_started_at,
        "phase_seconds_before": rollout.phase_seconds_before,
        "step_index": rollout.step_index,
        "pause_cause": rollout.pause_cause,
        "promoted_version": rollout.promoted_version,
        "watermark": rollout.watermark,
        "analyses": [[analysis.outcome, analysis.watermark, analysis.sequence] for analysis in rollout.analyses],
    }
