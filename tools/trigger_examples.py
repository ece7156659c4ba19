"""Example commands on what starts training runs."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from hotswap_events.commands import AnyCommand
from hotswap_events.training.policy import DriftTrigger, FreezeWindow, QualityTrigger, ScheduleTrigger, TrainingPolicy
from hotswap_events.training.triggers import FireTrigger, RecordQualityPeak, SetTrainingPolicy, SuppressTrigger

By = Callable[..., dict[str, Any]]
"""Command id and reason → the fields common to all commands."""


def trigger_commands(by: By, at: datetime) -> Sequence[AnyCommand]:
    """Return a policy, and what comes of it."""
    return (
        SetTrainingPolicy(
            **by(command_id="c-94", reason="weekly, and when the data drift"),
            policy=TrainingPolicy(
                trainer="image-classifier",
                parameters={"epochs": 12},
                schedule=ScheduleTrigger(cron="0 3 * * 1", timezone="Europe/Berlin"),
                drift=DriftTrigger(limit=0.2),
                quality=QualityTrigger(metric="accuracy", drop=0.05),
                freeze=(FreezeWindow(from_time="22:00", to_time="02:00", days=("fri", "sat")),),
                after="shadow",
            ),
        ),
        FireTrigger(**by(command_id="c-95", reason="new images from the field"), trigger="hand", slot="c-95", at=at),
        SuppressTrigger(
            **by(command_id="c-96"), trigger="drift", slot="1", at=at, cause="run-on", figures={"distance": 0.31}
        ),
        RecordQualityPeak(
            **by(command_id="c-97"),
            metric="accuracy",
            value=0.93,
            labels=500,
            model_version="v3",
            production_sequence=35,
        ),
    )
