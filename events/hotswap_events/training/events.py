"""Training runs that are asked for by name: who trains what, with which parameters, and what becomes of the version.

An event names a trainer; it never carries a command, a path or code. What the name means is up to the machine that
runs it. Nothing is served by these events, so a release that does not know them loses nothing without them.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.command import RunId
from hotswap_events.rollouts.strategy import DEFAULT_ROLLOUT_POLICY, RolloutPolicy, Strategy

PARAMETERS_MAX = 64
PARAMETERS_BYTES_MAX = 8_192
"""Of all parameters of a run together, as JSON."""
DATASETS_MAX = 16
RETRIES_MAX = 10
RUN_SECONDS_MAX = 7 * 86_400
FIGURES_MAX = 64

TrainerName = Annotated[str, Meta(min_length=1, max_length=63)]
RunnerName = Annotated[str, Meta(min_length=1, max_length=128)]
ParameterName = Annotated[str, Meta(min_length=1, max_length=128)]
ParameterValue = str | int | float | bool | None
Parameters = Annotated[dict[ParameterName, ParameterValue], Meta(max_length=PARAMETERS_MAX)]
Dataset = Annotated[str, Meta(min_length=1, max_length=128)]
"""Digest of an artifact, or a name that the model's stream gave one."""
Datasets = Annotated[tuple[Dataset, ...], Meta(max_length=DATASETS_MAX)]
Retries = Annotated[int, Meta(ge=0, le=RETRIES_MAX)]
RunSeconds = Annotated[int, Meta(ge=1, le=RUN_SECONDS_MAX)]
TrainingFailureCause = Literal[
    "bad-data",
    "crashed",
    "timed-out",
    "cancelled",
    "artifact-store",
    "registry-refused",
    "silent",
    "not-possible",
    "over-limit",
    "no-artifact",
    "unclaimed",
    "bad-output",
]
"""`silent`: nothing was heard of its runner any more. `not-possible`: its runner cannot do what was asked for, such as
parameters that the trainer refuses. `over-limit`: it wrote or used more than it may. `no-artifact`: it said that all
was well, and left none. `bad-output`: what it left, or wrote on its output, cannot be used."""


class AskedByHand(Struct, frozen=True, kw_only=True, tag_field="kind", tag="by-hand", gc=False):
    """A person or a program asked; the event's actor and reason say who and why."""


class AskedByTrigger(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="trigger", gc=False):
    """A trigger fired."""

    trigger: Annotated[str, Meta(min_length=1, max_length=63)]
    """Which, such as `schedule`, `drift`, `quality` or `data`."""
    slot: Annotated[str, Meta(max_length=128)] | None = None
    """For what it fired: a time, a file's digest, a sequence. A trigger fires once for each."""
    figures: Annotated[dict[str, float], Meta(max_length=FIGURES_MAX)] = {}


class AskedAgain(Struct, frozen=True, kw_only=True, tag_field="kind", tag="again", gc=False):
    """A run ended badly, and its request had more attempts."""

    run_id: RunId
    """The first one."""
    attempt: Annotated[int, Meta(ge=2, le=RETRIES_MAX + 1)]
    """2: the first retry."""


class AskedAsRepeat(Struct, frozen=True, kw_only=True, tag_field="kind", tag="repeat", gc=False):
    """A run is done once more, to see whether the same comes out."""

    run_id: RunId
    """Of which run."""


TrainingCause = AskedByHand | AskedByTrigger | AskedAgain | AskedAsRepeat


class AfterRollout(Struct, frozen=True, kw_only=True, gc=False):
    """A version that passes validation is tried like this against the one in production."""

    strategy: Strategy
    policy: RolloutPolicy = DEFAULT_ROLLOUT_POLICY


AfterTraining = Literal["nothing", "shadow", "canary", "ask"] | AfterRollout
"""What becomes of a version that passes validation.

`nothing`: it is registered. `ask`: it is staged, and a person decides. `shadow`: it sees all requests, its answers go
nowhere. `canary`: a tenth of the users gets it.
"""


class TrainingRequested(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody wants a version trained. A runner takes it from here. As a first event it begins the model."""

    run_id: RunId
    trainer: TrainerName
    parameters: Parameters = {}
    datasets: Datasets = ()
    """Absent: the data that the trainer knows itself."""
    after: AfterTraining = "nothing"
    cause: TrainingCause = AskedByHand()
    retries: Retries = 0
    """How often it is asked for again when its runner falls silent, crashes, or cannot store the artifact."""
    seconds_max: RunSeconds | None = None
    """For how long it may run; absent: as long as the runner lets it."""


class TrainingClaimed(Struct, frozen=True, kw_only=True, gc=False):
    """A runner does this run; no other one may any more."""

    run_id: RunId
    runner: RunnerName


class TrainingCancelled(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody stopped a run. It is over with this event; its runner ends what it started."""

    run_id: RunId


TrainingEvent = TrainingRequested | TrainingClaimed | TrainingCancelled

TRAINING_EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.model.training-requested.v1": TrainingRequested,
    "hotswap.model.training-claimed.v1": TrainingClaimed,
    "hotswap.model.training-cancelled.v1": TrainingCancelled,
}
"""Stored type name → class."""
