"""Sample training runs of the sample model."""

from typing import Any

from hotswap_events.commands import CancelTraining, ClaimTraining, RequestTraining
from hotswap_events.registry.events import RegistryEvent
from hotswap_events.rollouts.strategy import CanaryStrategy
from hotswap_events.training.events import (
    AfterRollout,
    AskedAgain,
    AskedAsRepeat,
    AskedByTrigger,
    TrainingCancelled,
    TrainingClaimed,
    TrainingRequested,
)
from tests.support.samples.registry import MODEL, CountingIds

DATASET = f"sha256:{'9' * 64}"
_command_ids = CountingIds("training-command")


def _fields(attributes: dict[str, Any]) -> dict[str, Any]:
    given = {"actor": "alice", "model_name": MODEL, **attributes}
    return given if "command_id" in given else {**given, "command_id": _command_ids.new_id()}


def request(run_id: str = "run-1", trainer: str = "image-classifier", **attributes: Any) -> RequestTraining:
    return RequestTraining(run_id=run_id, trainer=trainer, **_fields(attributes))


def claim(run_id: str = "run-1", runner: str = "runner-1", **attributes: Any) -> ClaimTraining:
    return ClaimTraining(run_id=run_id, runner=runner, **_fields({"actor": f"trainer:{runner}", **attributes}))


def cancel(run_id: str = "run-1", **attributes: Any) -> CancelTraining:
    return CancelTraining(run_id=run_id, **_fields(attributes))


BY_DRIFT = AskedByTrigger(trigger="drift", slot="sequence-17", figures={"ks": 0.31, "limit": 0.2})
CANARY = AfterRollout(strategy=CanaryStrategy(weight=500))

DESCRIBED: list[tuple[RegistryEvent, str]] = [
    (
        TrainingRequested(run_id="run-1", trainer="als"),
        "requested training run run-1 of digits (trainer als)",
    ),
    (
        TrainingRequested(
            run_id="run-1", trainer="als", parameters={"rank": 8}, datasets=(DATASET,), cause=BY_DRIFT, after="shadow"
        ),
        "requested training run run-1 of digits (trainer als, 1 dataset, trigger drift: ks 0.31 limit 0.2, then "
        "shadow)",
    ),
    (
        TrainingRequested(run_id="run-1~2", trainer="als", cause=AskedAgain(run_id="run-1", attempt=2), after=CANARY),
        "requested training run run-1~2 of digits (trainer als, attempt 2 of run-1, then a rollout by canary)",
    ),
    (
        TrainingRequested(run_id="run-2", trainer="als", cause=AskedAsRepeat(run_id="run-1"), datasets=("a", "b")),
        "requested training run run-2 of digits (trainer als, 2 datasets, as run-1 was)",
    ),
    (TrainingClaimed(run_id="run-1", runner="runner-1"), "claimed training run run-1 of digits for runner-1"),
    (TrainingCancelled(run_id="run-1"), "cancelled training run run-1 of digits"),
]
"""Event → how it is told."""
