"""State of one model, folded from its stream.

The fold owns its states and changes them in place (`evolve_in_place`): copying every version of a model for each event
would make a replay quadratic. Everyone else reads them, or takes a `copy`.
"""

from typing import Literal

from msgspec import Struct

from hotswap_events.dataset import DatasetBuilt, RequestRetention
from hotswap_events.envelope import Timestamp
from hotswap_events.registry.events import ArtifactFacts, ArtifactTrial, ModelValidated, Provenance
from hotswap_events.registry.profile import ModelProfiled
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_events.validation.policy import ValidationPolicy
from hotswap_events.validation.sets import ValidationSet
from hotswap_stream.domain.state.alerts import NO_ALERTS, AlertsState
from hotswap_stream.domain.state.circuits import UNTOUCHED, ServingControl
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.domain.state.runs import RunState as RunState
from hotswap_stream.domain.state.triggers import NO_TRIGGERS, TriggersState

Stage = Literal["none", "staging", "production", "superseded", "archived"]


class VersionState(Struct, gc=False):
    """One version. `production_sequences` are the stream positions at which it entered production, oldest first."""

    model_version: str
    stage: Stage
    artifact: ArtifactFacts
    provenance: Provenance
    registered_sequence: int
    registered_at: Timestamp
    run_id: str | None
    metrics: dict[str, float]
    tags: dict[str, str]
    validation: ModelValidated | None = None
    production_sequences: tuple[int, ...] = ()
    deployed_at: Timestamp | None = None
    """When it last entered production."""
    deployed_by: str | None = None
    """Who asked for that."""
    approved_by: str | None = None
    """Who asked for the rollout whose analysis led to it; None where nobody but `deployed_by` did."""
    artifact_deleted: bool = False
    """Its artifact was given up by a clean-up."""
    profile: ModelProfiled | None = None
    """What its training data looked like; about 10 KB. None: not known, or given up with the artifact."""
    trial: ArtifactTrial | None = None
    graph: ArtifactFacts | None = None
    """The architecture as a graph without weights."""
    options: VersionOptions = PLAIN
    """How it is computed."""

    @property
    def was_in_production(self) -> bool:
        """True from the first promotion on, for ever."""
        return bool(self.production_sequences)

    def copy(self) -> "VersionState":
        """Return a version state of its own; what it refers to is never changed in place."""
        return VersionState(*(getattr(self, name) for name in self.__struct_fields__))


class DatasetState(Struct, frozen=True, gc=False):
    """One dataset."""

    built: DatasetBuilt
    sequence: int
    """Sequence of the event that recorded it."""
    at: Timestamp
    actor: str


class ModelState(Struct, gc=False):
    """Everything that a decision about one model needs."""

    model_name: str
    sequence: int = 0
    """Sequence of the last event folded; 0 for a model that does not exist yet."""
    active_version: str | None = None
    versions: dict[str, VersionState] = {}
    """In order of registration."""
    production_history: list[str] = []
    """Versions in the order they entered production, oldest first; rolled-back entries stay."""
    runs: dict[str, RunState] = {}
    """In the order they were asked for or began; of those that ended, the last 200."""
    command_ids: dict[str, int] = {}
    """Id of each command applied → sequence of its first event. Kept for ever, so a retry is never applied twice."""
    unknown_event_type: str | None = None
    """Set when the stream holds an event of a newer release that must be understood: this release decides nothing on it
    but what contradicts no state."""
    serving: ServingControl = UNTOUCHED
    """Circuits, their policy, and whether the model is switched off."""
    rollout: RolloutState | None = None
    """The current one: running, paused or baking."""
    rollout_history: tuple[RolloutState, ...] = ()
    """Those that ended, oldest first; the last 20."""
    rollouts_total: int = 0
    """All there ever were; the next one is `r<rollouts_total + 1>`."""
    validation_policy: ValidationPolicy | None = None
    """Set for this model; None: the default."""
    alerts: AlertsState = NO_ALERTS
    """Those that are raised, those that ended lately, and the policy they come from."""
    validation_set: ValidationSet | None = None
    """What its versions are measured on; None: none was chosen."""
    rolled_back_from: str | None = None
    """The version that a rollback left for the active one; None where the active one was promoted."""
    tags: dict[str, str] = {}
    """Free labels of the model; replaced as a whole, never changed in place."""
    aliases: dict[str, str] = {}
    """Name → the version it points at."""
    datasets: dict[str, DatasetState] = {}
    """By digest, oldest first."""
    dataset_names: dict[str, str] = {}
    """Name → the digest of the dataset that it stands for."""
    request_retention: RequestRetention | None = None
    """How long requests and answers are kept; None: the default."""
    runs_forgotten: dict[str, int] = {}
    """How a run ended → how many of the ended runs that are not in `runs` any more; replaced as a whole."""
    triggers: TriggersState = NO_TRIGGERS
    """What starts training runs."""

    @property
    def exists(self) -> bool:
        """Whether the stream has any event."""
        return self.sequence > 0

    @property
    def active(self) -> VersionState | None:
        """The version in production."""
        return None if self.active_version is None else self.versions[self.active_version]

    @property
    def former_version(self) -> str | None:
        """Where a rollback would go: the last superseded version in the production history."""
        for name in reversed(self.production_history):
            if self.versions[name].stage == "superseded":
                return name
        return None

    def copy(self) -> "ModelState":
        """Return a state of its own, for `evolve` and for readers that keep it."""
        return ModelState(
            self.model_name,
            self.sequence,
            self.active_version,
            {name: version.copy() for name, version in self.versions.items()},
            list(self.production_history),
            dict(self.runs),
            dict(self.command_ids),
            self.unknown_event_type,
            self.serving,
            self.rollout,
            self.rollout_history,
            self.rollouts_total,
            self.validation_policy,
            self.alerts,
            self.validation_set,
            self.rolled_back_from,
            dict(self.tags),
            dict(self.aliases),
            dict(self.datasets),
            dict(self.dataset_names),
            self.request_retention,
            self.runs_forgotten,
            self.triggers,
        )
