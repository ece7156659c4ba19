"""Queries about models and versions, now or as of an offset or a time of the log."""

from typing import Annotated

from litestar import Controller, Response, get
from litestar.params import QueryParameter
from msgspec import Struct

from hotswap_events.registry_state import RegistryState
from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import found
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.registry.queries import (
    Comparison,
    ModelSummary,
    compare_versions,
    find_model,
    list_models,
)
from hotswap_stream.application.registry.steps import LegalSteps, find_steps

MODELS_IN_PAGE_MAX = 1_000
MODELS_IN_PAGE = 100

LeftVersion = Annotated[str, QueryParameter(name="left", description="Name of one version.")]
RightVersion = Annotated[str, QueryParameter(name="right", description="Name of the other version.")]


class ModelList(Struct, frozen=True, kw_only=True):
    """Models by name."""

    models: tuple[ModelSummary, ...]
    total: int
    """All there are; ask for the ones behind a page with `after_name`."""


def models_now(runtime: ApiRuntime, after_name: str | None = None, limit: int = MODELS_IN_PAGE) -> ModelList:
    """Return a page of the models as they are now."""
    streams = runtime.registry.fold.streams
    models = list_models(streams, after=after_name, limit=limit, known=runtime.model_lines)
    return ModelList(models=models, total=len(streams))


class ModelQueries(Controller):
    """What is registered, and what is in production."""

    path = "/api/models"
    tags = ("models",)

    @get("/", operation_id="list_models", responses=QUERY_PROBLEM_RESPONSES)
    async def list_models(
        self,
        runtime: Runtime,
        streams: PastOrPresent,
        after_name: Annotated[str | None, QueryParameter(description="Only names behind this one.")] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MODELS_IN_PAGE_MAX)] = MODELS_IN_PAGE,
    ) -> ModelList:
        """All models with what is in production."""
        if streams is runtime.registry.fold.streams:
            return models_now(runtime, after_name, limit)
        return ModelList(models=list_models(streams, after=after_name, limit=limit), total=len(streams))

    @get("/{model_name:str}", operation_id="get_model", responses=QUERY_PROBLEM_RESPONSES)
    async def get_model(self, streams: PastOrPresent, model_name: ModelNameInPath) -> Response[RegistryState]:
        """One model: its version in production, where a rollback would go, its newest versions."""
        model = found(find_model(streams, model_name))
        return Response(model, headers={"ETag": f'"{model.sequence}"'})

    @get("/{model_name:str}/steps", operation_id="get_legal_steps", responses=QUERY_PROBLEM_RESPONSES)
    async def get_legal_steps(self, streams: PastOrPresent, model_name: ModelNameInPath) -> Response[LegalSteps]:
        """What may be asked of a model, its rollout and its versions, so that it would be accepted."""
        steps = found(find_steps(streams, model_name))
        return Response(steps, headers={"ETag": f'"{steps.sequence}"'})

    @get("/{model_name:str}/compare", operation_id="compare_versions", responses=QUERY_PROBLEM_RESPONSES)
    async def compare_versions(
        self, streams: PastOrPresent, model_name: ModelNameInPath, left: LeftVersion, right: RightVersion
    ) -> Comparison:
        """Two versions side by side; differences are right minus left."""
        return found(compare_versions(streams, model_name, left, right))
