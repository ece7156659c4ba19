"""The readable state of one model on `hotswap.registry-state` (compacted; key = model name): for outside dashboards.

Everything in it is a fold of `hotswap.registry` and says up to which offset. Of two states of one model the one with
the higher `offset` holds: a publisher that was paused may write an older one late.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.alerts.events import AlertPolicy, AlertRule
from hotswap_events.registry.events import ArtifactFacts, ArtifactTrial, ModelValidated, Provenance, Verdict
from hotswap_events.registry.version_options import VersionOptions
from hotswap_events.rollouts.record import RolloutRecord
from hotswap_events.serving.control import CircuitOpenedCause, ServingPolicy
from hotswap_events.validation.policy import ValidationPolicy
from hotswap_events.validation.sets import ValidationSet

CircuitPosition = Literal["closed", "open", "half-open"]
VersionStage = Literal["none", "staging", "production", "superseded", "archived"]

ALERTS_LISTED_MAX = 32

CIRCUITS_LISTED_MAX = 100

VERSIONS_LISTED_MAX = 100
"""Newest versions listed; what is in production or staging is listed besides."""

PRODUCTION_SEQUENCES_LISTED_MAX = 20

STATE_BYTES_MAX = 900_000
"""A longer state lists fewer versions, so that it fits into one Kafka record of 1 MiB."""


class CircuitRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A circuit that moved since its version last entered production; all others are closed."""

    model_version: str
    position: CircuitPosition
    since_sequence: int
    """Stream position of the event that brought it here."""
    opened_at: Annotated[datetime, Meta(tz=True)] | None = None
    """When it last opened."""
    opened_cause: CircuitOpenedCause | None = None
    openings: int = 0
    """How often it opened since the version last entered production."""


class AlertRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A raised alert. Its further figures are in the event that raised it."""

    rule: AlertRule
    """As it was when the alert was raised."""
    raised_sequence: int
    """Stream position of the event that raised it."""
    raised_at: Annotated[datetime, Meta(tz=True)]
    value: float
    """What the figure was then."""
    count: int = 0
    """Requests, values or, for `lag`, partitions that the figure was made of."""
    model_version: str | None = None
    """The active version at that time."""


class RegistryVersion(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One version of a model."""

    model_version: str
    stage: VersionStage
    artifact: ArtifactFacts
    registered_sequence: int
    """Stream position of the event that registered it."""
    registered_at: Annotated[datetime, Meta(tz=True)]
    deployed_at: Annotated[datetime, Meta(tz=True)] | None = None
    deployed_by: str | None = None
    """Who asked for that."""
    approved_by: str | None = None
    """Who asked for the rollout whose analysis led to it."""
    """When it last entered production; absent if it never did."""
    run_id: str | None = None
    """The training run it came from."""
    provenance: Provenance | None = None
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    trial: ArtifactTrial | None = None
    """What a trial of the artifact measured before it was registered; absent if there was none."""
    graph: ArtifactFacts | None = None
    """What serves the architecture where its code is not installed; absent if it was not exported."""
    options: VersionOptions | None = None
    """How it is computed; absent: as its artifact says."""
    verdict: Verdict | None = None
    """Of the last validation; absent if there was none."""
    validation: ModelValidated | None = None
    """The figures behind the verdict."""
    promotions_total: int = 0
    """How often it entered production, by promotion, switch or rollback."""
    production_sequences: tuple[int, ...] = ()
    """Stream positions at which it last entered production, oldest first; at most 20."""
    artifact_deleted: bool = False
    """Its artifact was given up by a clean-up; it can never serve again."""
    profiled: bool = False
    """It has a profile of its training data, so that a shift of the live data can be seen."""
    profile_rows: int = 0
    """Rows the profile was made from."""
    profile_source: str | None = None
    """Which data they were."""
    details_omitted: bool = False
    """Provenance, metrics, tags, signature, trial and figures were left out: the state would not fit into a record."""


class RegistryState(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One model after the registry event at `offset`."""

    model_name: str
    sequence: Annotated[int, Meta(ge=1)]
    """Of the stream's last event."""
    offset: Annotated[int, Meta(ge=0)]
    """Of that event in `hotswap.registry`."""
    head_digest: str
    """SHA-256 of that event's value bytes, hex: what the stream's next event names as `previous`."""
    updated_at: Annotated[datetime, Meta(tz=True)]
    """When that event was appended, by the log's clock."""
    versions: tuple[RegistryVersion, ...]
    """Newest first: the newest 100, and all in production or staging."""
    versions_total: int
    """All versions there are, listed or not."""
    active_version: str | None = None
    active_offset: int | None = None
    """Of the event that put the active version into production."""
    answered_by: str | None = None
    """The version that answers requests: the active one, or one that stands in for it; absent while none may."""
    route_offset: int | None = None
    """Of the event that chose it, or left none: the registry offset every answer names."""
    disabled: bool = False
    """Switched off: every request is answered with an error."""
    disabled_reason: str | None = None
    circuits: tuple[CircuitRecord, ...] = ()
    """By version name; at most 100."""
    serving_policy: ServingPolicy | None = None
    """Set for this model; absent: the default."""
    former_version: str | None = None
    """Where a rollback would go."""
    rollout: RolloutRecord | None = None
    """The one that goes on, with its last analysis."""
    validation_policy: ValidationPolicy | None = None
    """Set for this model; absent: the default."""
    validation_set: ValidationSet | None = None
    """What its versions are measured on; absent: none was chosen."""
    tags: dict[str, str] = {}
    """Free labels of the model."""
    aliases: dict[str, str] = {}
    """Name → the version it points at."""
    alerts: tuple[AlertRecord, ...] = ()
    """Raised now, oldest first; at most 32."""
    alert_policy: AlertPolicy | None = None
    """Set for this model; absent: the default."""
    unknown_event_type: str | None = None
    """Set when a newer release wrote an event that this one cannot interpret; the state may then lack its effect."""
    parts_omitted: tuple[str, ...] = ()
    """Fields that were left out, because the state would not fit into one record."""
