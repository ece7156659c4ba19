"""The questions that can be put to the cluster as well as to an API."""

from typing import TYPE_CHECKING, Any

from hotswap_stream.cli.planes.port import ApiReader, Question

if TYPE_CHECKING:
    from hotswap_events.commands import Refusal
    from hotswap_events.registry.state import RegistryState, RegistryVersion, VersionStage
    from hotswap_stream.application.alerts.view import AlertList, AlertPolicyReport, ModelAlerts
    from hotswap_stream.application.registry.queries import Comparison, ModelSummary
    from hotswap_stream.application.registry.validation_policy import ValidationPolicyReport
    from hotswap_stream.application.rollouts.view import RolloutList, RolloutReport
    from hotswap_stream.application.serving.view import ServingView
    from hotswap_stream.application.training.validation_sets import ValidationSetReport
    from hotswap_stream.application.training.view import TrainingRun, TrainingRuns
    from hotswap_stream.domain.state.runs import RunStatus

PAGE_MAX = 1_000


def models() -> "Question[tuple[ModelSummary, ...]]":
    """Return: which models are there, by name?"""
    from msgspec import Struct

    from hotswap_stream.application.registry.queries import ModelSummary, list_models

    class Page(Struct):
        models: tuple[ModelSummary, ...]

    async def of_api(api: ApiReader) -> "tuple[ModelSummary, ...] | Refusal":
        found: list[ModelSummary] = []
        while True:
            after = found[-1].model_name if found else None
            page = await api.get("/api/models", Page, {"after_name": after, "limit": PAGE_MAX})
            if not isinstance(page, Page):
                return page
            found += page.models
            if len(page.models) < PAGE_MAX:
                return tuple(found)

    return Question(list_models, of_api)


def model(model_name: str) -> "Question[RegistryState]":
    """Return: what is in production, where would a rollback go, which are the newest versions?"""
    from hotswap_events.registry.state import RegistryState
    from hotswap_stream.application.registry.queries import find_model

    return Question(
        lambda streams: find_model(streams, model_name), lambda api: api.get(_model_path(model_name), RegistryState)
    )


def versions(model_name: str, stage: "VersionStage | None" = None) -> "Question[tuple[RegistryVersion, ...]]":
    """Return: which versions has a model, newest first?"""
    from msgspec import Struct

    from hotswap_events.registry.state import RegistryVersion
    from hotswap_stream.application.registry.queries import list_versions

    class Page(Struct):
        versions: tuple[RegistryVersion, ...]
        next_before_sequence: int | None = None

    async def of_api(api: ApiReader) -> "tuple[RegistryVersion, ...] | Refusal":
        found: list[RegistryVersion] = []
        before: int | None = None
        while True:
            query: dict[str, object] = {"stage": stage, "before_sequence": before, "limit": PAGE_MAX}
            page = await api.get(f"{_model_path(model_name)}/versions", Page, query)
            if not isinstance(page, Page):
                return page
            found += page.versions
            before = page.next_before_sequence
            if before is None:
                return tuple(found)

    return Question(lambda streams: list_versions(streams, model_name, stage=stage), of_api)


def comparison(model_name: str, left: str, right: str) -> "Question[Comparison]":
    """Return: how do two versions differ?"""
    from hotswap_stream.application.registry.queries import Comparison, compare_versions

    return Question(
        lambda streams: compare_versions(streams, model_name, left, right),
        lambda api: api.get(f"{_model_path(model_name)}/compare", Comparison, {"left": left, "right": right}),
    )


def alerts(severity: Any = None, *, ended: bool = False) -> "Question[AlertList]":
    """Return: what is above its threshold, in any model?"""
    from hotswap_stream.application.alerts.view import AlertList, list_alerts

    query: dict[str, object] = {"severity": severity, "ended": ended, "limit": PAGE_MAX}
    return Question(
        lambda streams: list_alerts(streams, severity=severity, ended=ended),
        lambda api: api.get("/api/alerts", AlertList, query),
    )


def model_alerts(model_name: str, severity: Any = None, *, ended: bool = False) -> "Question[ModelAlerts]":
    """Return: what is above its threshold in one model?"""
    from hotswap_stream.application.alerts.view import ModelAlerts, find_alerts

    query: dict[str, object] = {"severity": severity, "ended": ended}
    return Question(
        lambda streams: find_alerts(streams, model_name, severity=severity, ended=ended),
        lambda api: api.get(f"{_model_path(model_name)}/alerts", ModelAlerts, query),
    )


def alert_policy(model_name: str) -> "Question[AlertPolicyReport]":
    """Return: by which rules is a model watched?"""
    from hotswap_stream.application.alerts.view import AlertPolicyReport, find_alert_policy

    return Question(
        lambda streams: find_alert_policy(streams, model_name),
        lambda api: api.get(f"{_model_path(model_name)}/alert-policy", AlertPolicyReport),
    )


def validation_policy(model_name: str) -> "Question[ValidationPolicyReport]":
    """Return: which gates must versions of a model pass?"""
    from hotswap_stream.application.registry.validation_policy import ValidationPolicyReport, find_validation_policy

    return Question(
        lambda streams: find_validation_policy(streams, model_name),
        lambda api: api.get(f"{_model_path(model_name)}/validation-policy", ValidationPolicyReport),
    )


def validation_set(model_name: str) -> "Question[ValidationSetReport]":
    """Return: what are versions of a model measured on?"""
    from hotswap_stream.application.training.validation_sets import ValidationSetReport, find_validation_set

    return Question(
        lambda streams: find_validation_set(streams, model_name),
        lambda api: api.get(f"{_model_path(model_name)}/validation-set", ValidationSetReport),
    )


def rollout(model_name: str) -> "Question[RolloutReport]":
    """Return: which rollout goes on, and what may be asked of it?"""
    from hotswap_stream.application.rollouts.view import RolloutReport, find_rollout

    return Question(
        lambda streams: find_rollout(streams, model_name),
        lambda api: api.get(f"{_model_path(model_name)}/rollout", RolloutReport),
    )


def rollouts(model_name: str) -> "Question[RolloutList]":
    """Return: which rollouts goes on, and which ended?"""
    from hotswap_stream.application.rollouts.view import RolloutList, list_rollouts

    return Question(
        lambda streams: list_rollouts(streams, model_name),
        lambda api: api.get(f"{_model_path(model_name)}/rollouts", RolloutList),
    )


def serving(model_name: str) -> "Question[ServingView]":
    """Return: which version answers, and why?"""
    from hotswap_stream.application.serving.view import ServingView, find_serving

    return Question(
        lambda streams: find_serving(streams, model_name),
        lambda api: api.get(f"{_model_path(model_name)}/serving", ServingView),
    )


def runs(model_name: str | None = None, status: "RunStatus | None" = None) -> "Question[TrainingRuns]":
    """Return: which training runs are there, of a model or of all?"""
    from hotswap_stream.application.training.view import TrainingRuns, list_runs

    path = "/api/training-runs" if model_name is None else f"{_model_path(model_name)}/training-runs"

    return Question(
        lambda streams: list_runs(streams, model_name, status),
        lambda api: api.get(path, TrainingRuns, {"status": status}),
    )


def run(model_name: str, run_id: str) -> "Question[TrainingRun]":
    """Return: what became of a training run?"""
    from urllib.parse import quote

    from hotswap_stream.application.training.view import TrainingRun, find_run

    path = f"{_model_path(model_name)}/training-runs/{quote(run_id, safe='')}"
    return Question(lambda streams: find_run(streams, model_name, run_id), lambda api: api.get(path, TrainingRun))


def _model_path(model_name: str) -> str:
    from hotswap_stream.client.http_calls import model_path

    return model_path(model_name)
