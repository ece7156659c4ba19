"""What starts training runs of a model by itself, and what becomes of the versions: the policy as data.

The same words in events, commands, HTTP bodies and policy files. Times of day are those of the zone that is named.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from hotswap_events.rollouts.strategy import MetricName
from hotswap_events.training.events import AfterTraining, Datasets, Parameters, Retries, RunSeconds, TrainerName

FREEZE_WINDOWS_MAX = 32
RUNS_PER_DAY_MAX = 288
UNCLAIMED_SECONDS_MIN = 10.0
UNCLAIMED_SECONDS_DEFAULT = 86_400.0
COOLDOWN_SECONDS_MAX = 31 * 86_400.0
ROWS_MAX = 10**9
WINDOW_SECONDS_MAX = 86_400.0
CRON_CHARACTERS_MAX = 200
ZONE_CHARACTERS_MAX = 64

ZoneName = Annotated[str, Meta(min_length=1, max_length=ZONE_CHARACTERS_MAX)]
TimeOfDay = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DriftMetric = Literal["input-drift", "score-drift"]


class ScheduleTrigger(Struct, frozen=True, kw_only=True):
    """A run at the times of a cron expression."""

    cron: Annotated[str, Meta(min_length=1, max_length=CRON_CHARACTERS_MAX)]
    """Five fields: minute, hour, day of the month, month, day of the week."""
    timezone: ZoneName = "UTC"
    """An IANA zone, as Europe/Berlin. Of a time that a change of the clocks leaves out or repeats, one run comes."""
    catch_up: bool = True
    """Whether the newest of the times that passed while nobody could start a run is made up for, once."""


class DriftTrigger(Struct, frozen=True, kw_only=True):
    """A run when live data are too far from those of the active version's training."""

    metric: DriftMetric = "input-drift"
    """Largest distance of the distribution functions (Kolmogorov–Smirnov, 0 to 1) of live inputs or scores and those in
    the active version's profile, less what chance and the sketches explain: the figure that alerts have."""
    limit: Annotated[float, Meta(ge=0.0, lt=1.0)]
    """Too far is what is above it."""
    consecutive: Annotated[int, Meta(ge=1, le=1_000)] = 3
    """In how many windows, one after the other."""
    window_seconds: Annotated[float, Meta(ge=1.0, le=WINDOW_SECONDS_MAX)] = 600.0
    """The length of a window."""
    answers_min: Annotated[int, Meta(ge=1, le=10_000_000)] = 1_000
    """A window with fewer answers says nothing: it neither counts nor ends a row of them."""


class QualityTrigger(Struct, frozen=True, kw_only=True):
    """A run when what comes back says that the active version does worse than it did.

    Labels are looked at in blocks of `labels_min`. The best is what a block since the last promotion reached for sure,
    its figure less two standard errors, so that luck does not set it.
    """

    metric: MetricName = "accuracy"
    """One that is made of feedback."""
    drop: Annotated[float, Meta(gt=0.0, le=1e30)]
    """By how much worse than the best, in the metric's unit."""
    labels_min: Annotated[int, Meta(ge=10, le=10_000_000)] = 500
    """How many labels make a block."""


class DataTrigger(Struct, frozen=True, kw_only=True):
    """A run when data have come. At least one of the two is given."""

    rows: Annotated[int, Meta(ge=1, le=ROWS_MAX)] | None = None
    """So many pieces of feedback since the last run that this trigger started."""
    files: bool = False
    """Each new file in a watched folder."""


class FreezeWindow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A time in which nothing starts: either from one moment to another, or every day or some days of the week."""

    begins: Annotated[datetime, Meta(tz=True)] | None = None
    ends: Annotated[datetime, Meta(tz=True)] | None = None
    from_time: TimeOfDay | None = None
    """As 22:00."""
    to_time: TimeOfDay | None = None
    """As 06:00: where it is not after `from_time`, it is that of the next day."""
    days: Annotated[tuple[Weekday, ...], Meta(max_length=7)] = ()
    """On which it begins; none named: every day."""
    timezone: ZoneName = "UTC"


class TrainingPolicy(Struct, frozen=True, kw_only=True):
    """What starts a run, which run, and what becomes of its version. All fields are stored."""

    trainer: TrainerName
    """A name that the runners know: a plug-in, or a command that the operator allowed."""
    parameters: Parameters = {}
    datasets: Datasets = ()
    """Digests, or names of datasets of the model, for every run."""
    schedule: ScheduleTrigger | None = None
    drift: DriftTrigger | None = None
    quality: QualityTrigger | None = None
    data: DataTrigger | None = None
    by_hand: bool = True
    """Whether people may start a run by `fire`."""
    cooldown_seconds: Annotated[float, Meta(ge=0.0, le=COOLDOWN_SECONDS_MAX)] = 3_600.0
    """How long after one trigger fired no other does."""
    runs_per_day_max: Annotated[int, Meta(ge=1, le=RUNS_PER_DAY_MAX)] = 24
    """Runs in any 24 hours."""
    freeze: Annotated[tuple[FreezeWindow, ...], Meta(max_length=FREEZE_WINDOWS_MAX)] = ()
    after: AfterTraining = "ask"
    """What becomes of a version that passes. Where none is active, it becomes active at once, whatever stands here."""
    retries: Retries = 0
    """How often a run is asked for again when its runner falls silent, crashes, or cannot store the artifact."""
    seconds_max: RunSeconds | None = None
    """For how long a run may go on; None: as long as the runner lets it."""
    unclaimed_seconds_max: Annotated[float, Meta(ge=UNCLAIMED_SECONDS_MIN, le=COOLDOWN_SECONDS_MAX)] | UnsetType = UNSET
    """A run of the model that no runner takes for so long is failed, so that it keeps no trigger for ever; absent: for
    86,400 seconds."""

    @property
    def waits_seconds_max(self) -> float:
        """For how long a run may wait for a runner."""
        found = self.unclaimed_seconds_max
        return UNCLAIMED_SECONDS_DEFAULT if isinstance(found, UnsetType) else found
