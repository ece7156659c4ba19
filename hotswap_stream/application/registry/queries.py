"""Questions about models and versions, on the present state or a past one; a wrong name lists the right ones."""

from collections.abc import Mapping
from itertools import islice

from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_events.registry.state import RegistryState, RegistryVersion, VersionStage
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.registry.view import registry_state, registry_version
from hotswap_stream.domain.serving.route import route
from hotswap_stream.domain.state.model import VersionState

NAMES_LISTED_MAX = 20

Streams = Mapping[str, Stream]


class ModelSummary(Struct, frozen=True, kw_only=True):
    """One line of the list of models."""

    model_name: str
    active_version: str | None
    former_version: str | None
    """Where a rollback would go."""
    disabled: bool
    """Switched off: every request gets an error answer."""
    answered_by: str | None
    """The version that answers: the active one, or one that stands in for it; null while none may."""
    alerts_raised: int
    versions_total: int
    versions_by_stage: dict[str, int]
    sequence: int
    offset: int
    """Offset of its last event in the registry log."""


class FigureDifference(Struct, frozen=True, kw_only=True):
    """One figure of two versions. `difference` is right minus left; None where either lacks it."""

    name: str
    left: float | None
    right: float | None
    difference: float | None


class Comparison(Struct, frozen=True, kw_only=True):
    """Two versions side by side."""

    model_name: str
    left: RegistryVersion
    right: RegistryVersion
    metrics: tuple[FigureDifference, ...]
    """What training measured."""
    validation_figures: tuple[FigureDifference, ...]
    """What validation measured; comparable only if `same_validation_set`."""
    same_validation_set: bool
    same_artifact: bool
    same_options: bool
    """Whether both are computed in the same way."""


def list_models(
    streams: Streams,
    *,
    after: str | None = None,
    limit: int | None = None,
    known: dict[str, ModelSummary] | None = None,
) -> tuple[ModelSummary, ...]:
    """Return models by name.

    Args:
        streams: Those of all models.
        after: Only names that come after this one.
        limit: At most this many.
        known: Lines that were made before of the same streams; those that still hold are taken, and new ones kept.
    """
    names = sorted(name for name in streams if after is None or name > after)
    if known is None:
        return tuple(model_summary(streams[name]) for name in names[:limit])
    return tuple(_known_summary(name, streams[name], known) for name in names[:limit])


def _known_summary(model_name: str, stream: Stream, known: dict[str, ModelSummary]) -> ModelSummary:
    found = known.get(model_name)
    if found is None or found.offset != stream.offset:
        found = known[model_name] = model_summary(stream)
    return found


def model_summary(stream: Stream) -> ModelSummary:
    """Return one model's line in the list."""
    state = stream.state
    by_stage: dict[str, int] = {}
    for version in state.versions.values():
        by_stage[version.stage] = by_stage.get(version.stage, 0) + 1
    return ModelSummary(
        model_name=state.model_name,
        active_version=state.active_version,
        former_version=state.former_version,
        disabled=state.serving.disabled,
        answered_by=route(state).answered_by,
        alerts_raised=len(state.alerts.raised),
        versions_total=len(state.versions),
        versions_by_stage=by_stage,
        sequence=state.sequence,
        offset=stream.offset,
    )


def find_model(streams: Streams, model_name: str) -> RegistryState | Refusal:
    """Return one model with its newest versions, and all that are in production or staging."""
    stream = streams.get(model_name)
    return unknown_model(streams, model_name) if stream is None else registry_state(stream)


def list_versions(
    streams: Streams,
    model_name: str,
    *,
    stage: VersionStage | None = None,
    before_sequence: int | None = None,
    limit: int | None = None,
) -> tuple[RegistryVersion, ...] | Refusal:
    """Return versions, newest first: those in one stage, registered before a sequence of the model, at most `limit`."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    wanted = (
        version
        for version in reversed(stream.state.versions.values())
        if (stage is None or version.stage == stage)
        and (before_sequence is None or version.registered_sequence < before_sequence)
    )
    return tuple(registry_version(version) for version in islice(wanted, limit))


def find_version(streams: Streams, model_name: str, model_version: str) -> RegistryVersion | Refusal:
    """Return one version."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    version = stream.state.versions.get(model_version)
    return _unknown_version(stream, model_version) if version is None else registry_version(version)


def compare_versions(streams: Streams, model_name: str, left: str, right: str) -> Comparison | Refusal:
    """Compare two versions of a model, figure by figure."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    versions: list[VersionState] = []
    for name in (left, right):
        version = stream.state.versions.get(name)
        if version is None:
            return _unknown_version(stream, name)
        versions.append(version)
    one, other = versions
    figures_of_one = one.validation.figures if one.validation else {}
    figures_of_other = other.validation.figures if other.validation else {}
    return Comparison(
        model_name=model_name,
        left=registry_version(one),
        right=registry_version(other),
        metrics=_differences(one.metrics, other.metrics),
        validation_figures=_differences(figures_of_one, figures_of_other),
        same_validation_set=one.validation is not None
        and other.validation is not None
        and one.validation.validation_set == other.validation.validation_set,
        same_artifact=one.artifact.digest == other.artifact.digest,
        same_options=one.options == other.options,
    )


def _differences(left: Mapping[str, float], right: Mapping[str, float]) -> tuple[FigureDifference, ...]:
    return tuple(
        FigureDifference(
            name=name,
            left=left.get(name),
            right=right.get(name),
            difference=right[name] - left[name] if name in left and name in right else None,
        )
        for name in sorted({*left, *right})
    )


def unknown_model(streams: Streams, model_name: str) -> Refusal:
    """Return the refusal for a model that is not there; it names those that are."""
    names = tuple(islice(sorted(streams), NAMES_LISTED_MAX))
    return Refusal(
        code="unknown-model",
        reason=f"there is no model {model_name[:100]!r}; there is {', '.join(names) or 'none yet'}",
        legal=names,
    )


def _unknown_version(stream: Stream, model_version: str) -> Refusal:
    newest = tuple(islice(reversed(stream.state.versions), NAMES_LISTED_MAX))
    return Refusal(
        code="unknown-version",
        reason=f"{stream.state.model_name!r} has no version {model_version[:100]!r}; "
        f"it has {', '.join(newest) or 'none yet'}",
        legal=newest,
    )
