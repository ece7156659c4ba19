"""Example commands on training runs that are asked for."""

from collections.abc import Callable, Sequence
from typing import Any

from hotswap_events.commands import AnyCommand, CancelTraining, ClaimTraining, RequestTraining

By = Callable[..., dict[str, Any]]
"""Command id and reason → the fields common to all commands."""


def training_commands(by: By) -> Sequence[AnyCommand]:
    """Return commands on a run that is claimed and then cancelled."""
    return (
        RequestTraining(
            **by(command_id="c-101", reason="a week of new images"),
            run_id="run-y",
            trainer="image-classifier",
            parameters={"epochs": 12, "learning_rate": 0.01},
            datasets=(f"sha256:{'9' * 64}",),
            after="shadow",
            retries=1,
        ),
        ClaimTraining(**by(command_id="c-102"), run_id="run-y", runner="trainers-1/6f2a"),
        CancelTraining(**by(command_id="c-103", reason="the images were mirrored"), run_id="run-y"),
    )
