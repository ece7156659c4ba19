"""Sample validation sets of the sample model, and policies for models that are no classifiers."""

from typing import Any

from hotswap_events.commands import ChooseValidationSet
from hotswap_events.registry.events import ArtifactFacts, ModelValidated, RegistryEvent
from hotswap_events.validation.policy import FigureGate, ValidationPolicy
from hotswap_events.validation.sets import ValidationSet, ValidationSetChosen
from tests.support.samples.registry import MODEL, CountingIds, artifact_of

_command_ids = CountingIds("validation-command")

NUMBERS = ValidationPolicy(
    gates=(
        FigureGate(figure="rmse", better="lower", threshold=2.0, relative_margin=0.1),
        FigureGate(figure="r2", margin=0.05, otherwise="inconclusive"),
    )
)
"""A set for a regression."""


def set_of(kind: str = "regression", artifact: ArtifactFacts | None = None, **fields: Any) -> ValidationSet:
    facts = artifact or artifact_of(f"set-{kind}")
    defaults = {"artifact_digest": facts.digest, "size_bytes": facts.size_bytes, "rows": 442}
    return ValidationSet(kind=kind, **{**defaults, **fields})


def choose(validation_set: ValidationSet | None = None, **attributes: Any) -> ChooseValidationSet:
    fields = {"actor": "alice", "model_name": MODEL, "command_id": _command_ids.new_id(), **attributes}
    return ChooseValidationSet(validation_set=validation_set or set_of(), **fields)


def chosen(validation_set: ValidationSet | None = None) -> ValidationSetChosen:
    return ValidationSetChosen(validation_set=validation_set or set_of())


DESCRIBED: list[tuple[RegistryEvent, str]] = [
    (
        chosen(set_of(rows=1_442, source="houses.npz")),
        "chose the validation set of digits: regression, 1,442 rows of houses.npz (sha256:49124e802c2b)",
    ),
    (chosen(), "chose the validation set of digits: regression, 442 rows (sha256:49124e802c2b)"),
    (
        ModelValidated(
            model_version="v2",
            verdict="failed",
            validation_set=set_of().artifact_digest,
            figures={"mae": 1.0, "rmse": 2.5},
            thresholds={"rmse.threshold": 2.0},
            baseline_version="v1",
            baseline_figures={"mae": 1.0, "rmse": 1.5},
            detail="rmse is 2.5; at most 2 is allowed",
        ),
        "validated v2 of digits: failed, rmse 2.5 against 1.5 of v1 (rmse is 2.5; at most 2 is allowed)",
    ),
]
"""Each kind of event at least once, and what it is in a few words."""
