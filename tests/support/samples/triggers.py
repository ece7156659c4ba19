"""Sample training policies of the sample model, and what they start."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hotswap_events.registry.events import RegistryEvent
from hotswap_events.training.policy import (
    DataTrigger,
    DriftTrigger,
    FreezeWindow,
    QualityTrigger,
    ScheduleTrigger,
    TrainingPolicy,
)
from hotswap_events.training.triggers import (
    FireTrigger,
    QualityPeaked,
    RecordQualityPeak,
    SetTrainingPolicy,
    SuppressTrigger,
    TrainingPolicySet,
    TrainingSuppressed,
    TrainingTriggered,
)
from tests.support.samples.registry import MODEL, CountingIds

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FILE = f"sha256:{'f' * 64}"

WEEKLY = ScheduleTrigger(cron="0 3 * * 1", timezone="Europe/Berlin")
FROZEN = FreezeWindow(
    begins=datetime(2026, 12, 20, tzinfo=UTC), ends=datetime(2027, 1, 2, tzinfo=UTC), timezone="Europe/Berlin"
)
NIGHTS = FreezeWindow(from_time="22:00", to_time="06:00", days=("fri", "sat"), timezone="Europe/Berlin")
POLICY = TrainingPolicy(trainer="image-classifier", parameters={"epochs": 3}, cooldown_seconds=0.0, after="shadow")
EVERYTHING = TrainingPolicy(
    trainer="image-classifier",
    parameters={"epochs": 3, "augment": True},
    datasets=(FILE,),
    schedule=WEEKLY,
    drift=DriftTrigger(metric="score-drift", limit=0.2, consecutive=2),
    quality=QualityTrigger(metric="accuracy", drop=0.05, labels_min=200),
    data=DataTrigger(rows=10_000, files=True),
    cooldown_seconds=600.0,
    runs_per_day_max=4,
    freeze=(FROZEN, NIGHTS),
    after="canary",
    retries=1,
    seconds_max=3_600,
)

_command_ids = CountingIds("trigger-command")


def _fields(attributes: dict[str, Any]) -> dict[str, Any]:
    given = {"actor": "alice", "model_name": MODEL, **attributes}
    return given if "command_id" in given else {**given, "command_id": _command_ids.new_id()}


def set_training_policy(policy: TrainingPolicy | None = POLICY, **attributes: Any) -> SetTrainingPolicy:
    return SetTrainingPolicy(policy=policy, **_fields(attributes))


def fire(trigger: Any = "hand", slot: str = "1", at: datetime = NOW, **attributes: Any) -> FireTrigger:
    return FireTrigger(trigger=trigger, slot=slot, at=at, **_fields(attributes))


def suppress(
    trigger: Any = "drift", slot: str = "1", cause: Any = "cooldown", at: datetime = NOW, **attributes: Any
) -> SuppressTrigger:
    return SuppressTrigger(trigger=trigger, slot=slot, cause=cause, at=at, **_fields(attributes))


def peak(value: float = 0.9, version: str = "v1", production_sequence: int = 3, **attributes: Any) -> RecordQualityPeak:
    given = {"metric": "accuracy", "labels": 500, **attributes}
    return RecordQualityPeak(
        value=value, model_version=version, production_sequence=production_sequence, **_fields(given)
    )


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


DESCRIBED: list[tuple[RegistryEvent, str]] = [
    (
        TrainingPolicySet(policy=EVERYTHING),
        "set the training policy of digits: schedule '0 3 * * 1' Europe/Berlin, score-drift above 0.2 in 2 "
        "windows, accuracy worse by 0.05, 10,000 rows, new files, by hand → image-classifier, then canary; cooldown "
        "600 s, at most 4 a day, 2 freeze windows",
    ),
    (TrainingPolicySet(), "set no training policy for digits: no run starts by itself"),
    (
        TrainingTriggered(trigger="drift", slot="1", run_id="drift-1", figures={"distance": 0.31}, detail="0.31 > 0.2"),
        "triggered training run drift-1 of digits by drift: 0.31 > 0.2",
    ),
    (
        TrainingTriggered(trigger="hand", slot="c-1", run_id="hand-1"),
        "triggered training run hand-1 of digits by hand",
    ),
    (
        TrainingSuppressed(trigger="files", slot=FILE, cause="run-on", detail="training run drift-1 is running"),
        "suppressed a training run of digits by files (run-on): training run drift-1 is running",
    ),
    (
        QualityPeaked(metric="accuracy", value=0.93, labels=500, model_version="v1", production_sequence=3),
        "saw that the quality of v1 of digits peaked: accuracy 0.93 for sure, in 500 labels",
    ),
]
"""Event → how it is told."""
