"""What can happen to a model: the `data` of each event in `hotswap.registry`, and its stored type name.

A class here is never changed in a way that alters how stored bytes read. A change gets a new class, a new type name
(`….v2`) and an upcaster.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.alerts.care import ALERT_CARE_EVENT_TYPES, AlertCareEvent
from hotswap_events.alerts.events import ALERT_EVENT_TYPES, AlertEvent
from hotswap_events.dataset import DATASET_EVENT_TYPES, DatasetEvent
from hotswap_events.inference.signature import ModelSignature
from hotswap_events.registry.emergency import EMERGENCY_EVENT_TYPES, EmergencyEvent
from hotswap_events.registry.profile import PROFILE_EVENT_TYPES, ModelProfiled
from hotswap_events.registry.tags import TAG_EVENT_TYPES, TagEvent
from hotswap_events.registry.version_options import VersionOptions
from hotswap_events.rollouts.events import ROLLOUT_EVENT_TYPES, RolloutEvent
from hotswap_events.serving.control import SERVING_CONTROL_EVENT_TYPES, ServingControlEvent
from hotswap_events.training.events import TRAINING_EVENT_TYPES, TrainingEvent, TrainingFailureCause
from hotswap_events.training.triggers import TRAINING_TRIGGER_EVENT_TYPES, TrainingTriggerEvent
from hotswap_events.validation.policy import ValidationPolicySet
from hotswap_events.validation.sets import ValidationSetChosen

Digest = Annotated[str, Meta(extra_json_schema={"pattern": "^sha256:[0-9a-f]{64}$"})]
Verdict = Literal["passed", "failed", "inconclusive"]
RollBackCause = Literal["operator", "emergency", "load-failed", "rollout"]


class ArtifactFacts(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where the weights are: a content address, and how many bytes are behind it."""

    digest: Digest
    size_bytes: Annotated[int, Meta(ge=1)]
    signature: ModelSignature | None = None
    """What goes in and out; absent in events of releases that did not look."""


class ArtifactTrial(Struct, frozen=True, kw_only=True, gc=False):
    """What a trial measured: the artifact was opened and run in a process of its own before it was registered."""

    executor: Annotated[str, Meta(max_length=128)]
    """What computed it."""
    load_ms: Annotated[float, Meta(ge=0)]
    """From its bytes until it could be run."""
    resident_bytes: Annotated[int, Meta(ge=0)]
    """By how much the process grew for it."""
    first_ms: Annotated[float, Meta(ge=0)]
    """The first inference, of one row, or of one request where requests are computed one by one."""
    warm_ms: Annotated[float, Meta(ge=0)]
    """The median of some more."""


class Provenance(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where a version comes from. All strings are free text of at most 512 characters."""

    origin: Literal["trained", "imported"]
    created_by: str
    code_revision: str | None = None
    data_snapshot: str | None = None
    """Digest of the data it was trained on."""
    image: str | None = None
    """Container image digest of the trainer."""
    environment: dict[str, str] = {}
    """Versions that matter for doing it again: python, torch …"""


class TrainingStarted(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A training run began in a process of its own."""

    run_id: str
    architecture: str
    data_snapshot: str | None = None
    parameters: dict[str, str] = {}


class TrainingFailed(Struct, frozen=True, kw_only=True, gc=False):
    """A training run ended without a version."""

    run_id: str
    cause: TrainingFailureCause
    detail: str


class ModelTrained(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A version exists: trained here, or trained elsewhere and imported. Its stage is `none`."""

    model_version: str
    artifact: ArtifactFacts
    provenance: Provenance
    run_id: str | None = None
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    trial: ArtifactTrial | None = None
    """Absent for artifacts whose kind needs no trial, and in events of releases that made none."""
    graph: ArtifactFacts | None = None
    """The architecture as a graph without weights, for workers where its code is not installed; absent if it was not
    exported."""
    options: VersionOptions | None = None
    """How it is computed; absent: as its artifact says."""


class ModelValidated(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A version was measured on a fixed validation set, with all the figures behind the verdict."""

    model_version: str
    verdict: Verdict
    validation_set: str
    """Digest of the validation set."""
    figures: dict[str, float]
    thresholds: dict[str, float]
    baseline_version: str | None = None
    baseline_figures: dict[str, float] = {}
    detail: str | None = None
    """For people: what held it back, where gates alone drew the verdict, or why a person must decide."""


class ModelStaged(Struct, frozen=True, kw_only=True, gc=False):
    """A version is in staging: about to be tried or promoted. Workers may load it ahead."""

    model_version: str


class ModelPromoted(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A version is in production from here on. What was active before becomes `superseded`."""

    model_version: str
    artifact_digest: Digest
    previous_version: str | None = None
    forced: bool = False
    """Promoted by `switch`, past the validation gate."""
    approved_by: str | None = None
    """Of a promotion that a rollout's analysis led to: who asked for the rollout under the policy that let it; absent
    where that is the event's own actor."""
    approved_reason: str | None = None
    """What they gave as the reason."""


class ModelArchived(Struct, frozen=True, kw_only=True, gc=False):
    """A version is out of play. It is kept, listed, and can be staged again unless its validation failed."""

    model_version: str


class ModelRolledBack(Struct, frozen=True, kw_only=True, gc=False):
    """The former version is in production again; the one rolled back from is archived."""

    model_version: str
    """In production from here on."""
    artifact_digest: Digest
    from_version: str
    cause: RollBackCause


class ArtifactDeleted(Struct, frozen=True, kw_only=True, gc=False):
    """An archived version's artifact was given up. The version stays listed and can never serve again."""

    model_version: str
    artifact_digest: Digest


RegistryEvent = (
    TrainingStarted
    | TrainingFailed
    | ModelTrained
    | ModelValidated
    | ModelStaged
    | ModelPromoted
    | ModelArchived
    | ModelRolledBack
    | ArtifactDeleted
    | ValidationPolicySet
    | ValidationSetChosen
    | ModelProfiled
    | TagEvent
    | TrainingEvent
    | TrainingTriggerEvent
    | RolloutEvent
    | ServingControlEvent
    | AlertEvent
    | AlertCareEvent
    | EmergencyEvent
    | DatasetEvent
)

EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.model.training-started.v1": TrainingStarted,
    "hotswap.model.training-failed.v1": TrainingFailed,
    "hotswap.model.trained.v1": ModelTrained,
    "hotswap.model.validated.v1": ModelValidated,
    "hotswap.model.staged.v1": ModelStaged,
    "hotswap.model.promoted.v1": ModelPromoted,
    "hotswap.model.archived.v1": ModelArchived,
    "hotswap.model.rolled-back.v1": ModelRolledBack,
    "hotswap.model.artifact-deleted.v1": ArtifactDeleted,
    "hotswap.model.validation-policy-set.v1": ValidationPolicySet,
    "hotswap.model.validation-set-chosen.v1": ValidationSetChosen,
    **PROFILE_EVENT_TYPES,
    **TAG_EVENT_TYPES,
    **TRAINING_EVENT_TYPES,
    **TRAINING_TRIGGER_EVENT_TYPES,
    **ROLLOUT_EVENT_TYPES,
    **SERVING_CONTROL_EVENT_TYPES,
    **ALERT_EVENT_TYPES,
    **ALERT_CARE_EVENT_TYPES,
    **EMERGENCY_EVENT_TYPES,
    **DATASET_EVENT_TYPES,
}
"""Stored type name → class. A name, once released, keeps its meaning for ever."""

IGNORABLE_EVENTS: frozenset[type[Struct]] = frozenset(
    (
        *TAG_EVENT_TYPES.values(),
        *ALERT_CARE_EVENT_TYPES.values(),
        *DATASET_EVENT_TYPES.values(),
        *TRAINING_EVENT_TYPES.values(),
        *TRAINING_TRIGGER_EVENT_TYPES.values(),
    )
)
"""Written as ignorable: nothing is decided by them, so older releases may go on without them. None of them may ever
contradict a state, since it counts for those."""
