"""Events of versions in a few words for people, and of the policy by which versions are judged."""

from collections.abc import Callable
from typing import Any

from hotswap_events.registry.events import (
    ArtifactDeleted,
    ModelArchived,
    ModelPromoted,
    ModelRolledBack,
    ModelStaged,
    ModelTrained,
    ModelValidated,
)
from hotswap_events.registry.profile import ModelProfiled
from hotswap_events.registry.tags import DESCRIPTION_TAG, AliasSet, ModelTagged
from hotswap_events.validation.policy import ValidationPolicySet
from hotswap_events.validation.sets import ValidationSetChosen
from hotswap_stream.application.descriptions.text import shortened
from hotswap_stream.domain.versions.options import options_text

_TELLING_FIGURES = ("accuracy", "rmse", "mase", "ndcg_at_10", "hr_at_10", "mae")
"""The first of these that a verdict has is the figure that is told."""
CHANGES_TOLD_MAX = 3
"""Tags that an event changed."""


def _trained(data: ModelTrained, model: str) -> str:
    facts = [data.provenance.origin, f"{data.artifact.size_bytes:,} bytes", data.artifact.digest[:19]]
    if "accuracy" in data.metrics:
        facts.append(f"accuracy {data.metrics['accuracy']:.4g}")
    if data.options is not None:
        facts.append(options_text(data.options))
    return f"registered {data.model_version} of {model} ({', '.join(facts)})"


def _validated(data: ModelValidated, model: str) -> str:
    name = next((name for name in _TELLING_FIGURES if name in data.figures), None)
    figure = "" if name is None else f", {name} {data.figures[name]:.4g}"
    if data.baseline_version is not None and name is not None:
        baseline = data.baseline_figures.get(name, float("nan"))
        figure += f" against {baseline:.4g} of {data.baseline_version}"
    because = "" if data.detail is None else f" ({shortened(data.detail)})"
    return f"validated {data.model_version} of {model}: {data.verdict}{figure}{because}"


def _staged(data: ModelStaged, model: str) -> str:
    return f"staged {data.model_version} of {model}"


def _promoted(data: ModelPromoted, model: str) -> str:
    force = " by force" if data.forced else ""
    place = f"in place of {data.previous_version}" if data.previous_version else "as its first active version"
    why = f": {shortened(data.approved_reason)}" if data.approved_reason else ""
    approved = f" (approved by {data.approved_by}{why})" if data.approved_by else ""
    return f"promoted {data.model_version} of {model}{force}, {place}{approved}"


def _archived(data: ModelArchived, model: str) -> str:
    return f"archived {data.model_version} of {model}"


def _rolled_back(data: ModelRolledBack, model: str) -> str:
    return f"rolled {model} back from {data.from_version} to {data.model_version} ({data.cause})"


def _profiled(data: ModelProfiled, model: str) -> str:
    return f"profiled {data.model_version} of {model} ({data.rows:,} rows of {shortened(data.source)})"


def _policy(data: ValidationPolicySet, model: str) -> str:
    bounds = ", ".join(f"{name} {value:g}" for name, value in data.policy.thresholds().items())
    return f"set the validation policy of {model}: {bounds}"


def _set_chosen(data: ValidationSetChosen, model: str) -> str:
    chosen = data.validation_set
    source = "" if chosen.source is None else f" of {shortened(chosen.source)}"
    return (
        f"chose the validation set of {model}: {chosen.kind}, {chosen.rows:,} rows{source} "
        f"({chosen.artifact_digest[:19]})"
    )


def _deleted(data: ArtifactDeleted, model: str) -> str:
    return f"deleted the artifact of {data.model_version} of {model} ({data.artifact_digest[:19]})"


def _tagged(data: ModelTagged, model: str) -> str:
    whose = model if data.model_version is None else f"{data.model_version} of {model}"
    changes = [
        *(
            f"described it as {shortened(value)!r}" if key == DESCRIPTION_TAG else f"set {key} to {shortened(value)!r}"
            for key, value in data.tags.items()
        ),
        *(f"removed {key}" for key in data.removed),
    ]
    more = f" and {len(changes) - CHANGES_TOLD_MAX} more" if len(changes) > CHANGES_TOLD_MAX else ""
    told = f"{', '.join(changes[:CHANGES_TOLD_MAX])}{more}" or "nothing yet"
    return f"tagged {whose} ({told})"


def _alias_set(data: AliasSet, model: str) -> str:
    if data.model_version is None:
        return f"set alias {data.alias} of {model} to no version"
    return f"set alias {data.alias} of {model} to {data.model_version}"


VERSION_DESCRIPTIONS: dict[type, Callable[[Any, str], str]] = {
    ModelTrained: _trained,
    ModelValidated: _validated,
    ModelStaged: _staged,
    ModelPromoted: _promoted,
    ModelArchived: _archived,
    ModelRolledBack: _rolled_back,
    ModelProfiled: _profiled,
    ValidationPolicySet: _policy,
    ValidationSetChosen: _set_chosen,
    ModelTagged: _tagged,
    AliasSet: _alias_set,
    ArtifactDeleted: _deleted,
}
