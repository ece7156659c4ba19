"""From the fold to what people and dashboards read: one `RegistryState` per model."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec

from hotswap_events.registry.state import (
    ALERTS_LISTED_MAX,
    CIRCUITS_LISTED_MAX,
    PRODUCTION_SEQUENCES_LISTED_MAX,
    STATE_BYTES_MAX,
    VERSIONS_LISTED_MAX,
    AlertRecord,
    CircuitRecord,
    RegistryState,
    RegistryVersion,
)
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.registry.rollout_record import rollout_record
from hotswap_stream.domain.serving.route import route
from hotswap_stream.domain.state.model import ModelState, VersionState
from hotswap_stream.domain.versions.options import options_told

_encoder = msgspec.json.Encoder()


def registry_version(version: VersionState) -> RegistryVersion:
    """Return one version as others read it."""
    validation, profile = version.validation, version.profile
    return RegistryVersion(
        model_version=version.model_version,
        stage=version.stage,
        artifact=version.artifact,
        registered_sequence=version.registered_sequence,
        registered_at=version.registered_at,
        deployed_at=version.deployed_at,
        deployed_by=version.deployed_by,
        approved_by=version.approved_by,
        run_id=version.run_id,
        provenance=version.provenance,
        metrics=version.metrics,
        tags=version.tags,
        trial=version.trial,
        graph=version.graph,
        options=options_told(version.options),
        verdict=None if validation is None else validation.verdict,
        validation=validation,
        promotions_total=len(version.production_sequences),
        production_sequences=version.production_sequences[-PRODUCTION_SEQUENCES_LISTED_MAX:],
        artifact_deleted=version.artifact_deleted,
        profiled=profile is not None,
        profile_rows=0 if profile is None else profile.rows,
        profile_source=None if profile is None else profile.source,
    )


def circuit_records(state: ModelState, *, circuits_max: int) -> tuple[CircuitRecord, ...]:
    """Return the circuits that moved, by version name: those that are not closed first to be listed."""
    moved = sorted(state.serving.circuits.items(), key=lambda item: (item[1].position == "closed", item[0]))
    return tuple(
        CircuitRecord(
            model_version=name,
            position=circuit.position,
            since_sequence=circuit.since_sequence,
            opened_at=circuit.opened_at,
            opened_cause=circuit.opened_cause,
            openings=circuit.openings,
        )
        for name, circuit in sorted(moved[:circuits_max], key=lambda item: item[0])
    )


def alert_records(state: ModelState, *, alerts_max: int) -> tuple[AlertRecord, ...]:
    """Return the raised alerts, oldest first, without their figures: 64 long names each would not fit into a record."""
    return tuple(
        AlertRecord(
            rule=alert.rule,
            raised_sequence=alert.sequence,
            raised_at=alert.at,
            value=alert.value,
            count=alert.count,
            model_version=alert.model_version,
        )
        for alert in islice(state.alerts.raised.values(), alerts_max)
    )


_PARTS: dict[str, Any] = {
    "rollout": None,
    "validation_policy": None,
    "validation_set": None,
    "tags": {},
    "aliases": {},
    "serving_policy": None,
    "alert_policy": None,
    "alerts": (),
    "circuits": (),
    "disabled_reason": None,
    "unknown_event_type": None,
}
"""Fields of a state that may be of any size, because events may be, and the value of each without it."""


def registry_state(stream: Stream, *, versions_listed_max: int | None = VERSIONS_LISTED_MAX) -> RegistryState:
    """Return the state of a stream that has an event. `versions_listed_max` counts the newest; None lists all."""
    state = stream.state
    newest = set(islice(reversed(state.versions), versions_listed_max))
    return RegistryState(
        model_name=state.model_name,
        sequence=state.sequence,
        offset=stream.offset,
        head_digest=stream.head_digest,
        updated_at=datetime.fromtimestamp(stream.changed_timestamp_ms / 1000, UTC),
        versions=tuple(
            registry_version(version)
            for name, version in reversed(state.versions.items())
            if name in newest or version.stage in ("production", "staging")
        ),
        versions_total=len(state.versions),
        active_version=state.active_version,
        active_offset=None if state.active_version is None else stream.active_offset,
        answered_by=route(state).answered_by,
        route_offset=None if stream.route_offset < 0 else stream.route_offset,
        disabled=state.serving.disabled,
        disabled_reason=state.serving.disabled_reason,
        circuits=circuit_records(state, circuits_max=CIRCUITS_LISTED_MAX),
        serving_policy=state.serving.policy,
        former_version=state.former_version,
        rollout=None if state.rollout is None else rollout_record(state.rollout, analyses_max=1),
        validation_policy=state.validation_policy,
        validation_set=state.validation_set,
        tags=dict(state.tags),
        aliases=dict(state.aliases),
        alerts=alert_records(state, alerts_max=ALERTS_LISTED_MAX),
        alert_policy=state.alerts.policy,
        unknown_event_type=state.unknown_event_type,
    )


def encode_registry_state(state: RegistryState, *, bytes_max: int = STATE_BYTES_MAX) -> bytes:
    """Return JSON of at most `bytes_max` bytes: where not all fits, versions lose details, and at last go unlisted.

    The active version is the last to lose anything, then those in staging, then the newest. What is not of versions may
    take seven eighths: its largest parts go where they take more, and the state says which.
    """
    value = _encoder.encode(state)
    if len(value) <= bytes_max:
        return value
    state = _without_large_parts(state, bytes_max * 7 // 8)
    room = bytes_max - len(_encoder.encode(msgspec.structs.replace(state, versions=())))
    fitting: dict[str, RegistryVersion] = {}
    by_weight = _by_weight(state.versions)
    for version in by_weight:
        bare = _without_details(version)
        room -= _listed_bytes(bare)
        if room < 0:
            break
        fitting[version.model_version] = bare
    for version in by_weight[: len(fitting)]:
        details_bytes = _listed_bytes(version) - _listed_bytes(fitting[version.model_version])
        if details_bytes <= room:
            room -= details_bytes
            fitting[version.model_version] = version
    listed = tuple(fitting[version.model_version] for version in state.versions if version.model_version in fitting)
    return _encoder.encode(msgspec.structs.replace(state, versions=listed))


def _without_large_parts(state: RegistryState, bytes_max: int) -> RegistryState:
    """Return the state without as many of its largest parts as must go, so that all but its versions fits."""
    bare, omitted = msgspec.structs.replace(state, versions=()), list[str]()
    while len(_encoder.encode(bare)) > bytes_max and len(omitted) < len(_PARTS):
        left = {name: part for name, part in _PARTS.items() if name not in omitted}
        largest = max(left, key=lambda name: len(_encoder.encode(getattr(bare, name))))
        omitted.append(largest)
        bare = msgspec.structs.replace(bare, **{largest: left[largest]}, parts_omitted=tuple(omitted))
    return msgspec.structs.replace(bare, versions=state.versions)


def _by_weight(versions: Iterable[RegistryVersion]) -> list[RegistryVersion]:
    """Sort versions: in production, then in staging, then the rest; newest first in each, as they come."""
    weight = {"production": 0, "staging": 1}
    return sorted(versions, key=lambda version: weight.get(version.stage, 2))


def _listed_bytes(version: RegistryVersion) -> int:
    return len(_encoder.encode(version)) + 1  # the comma


def _without_details(version: RegistryVersion) -> RegistryVersion:
    return msgspec.structs.replace(
        version,
        artifact=msgspec.structs.replace(version.artifact, signature=None),
        provenance=None,
        metrics={},
        tags={},
        trial=None,
        graph=None,
        validation=None,
        profile_source=None,
        details_omitted=True,
    )
