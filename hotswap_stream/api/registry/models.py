"""Queries about models and versions, now or as of an offset or a time of the log."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, get
from litestar.params import QueryParameter
from msgspec import Struct

from hotswap_events.registry.state import RegistryState
from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import found
from hotswap_stream.api.queries.paging import link_to, next_page
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


def models_etag(runtime: ApiRuntime) -> str:
    """Return what says that the list is as it was: nothing came into the log since."""
    return f'"{runtime.registry.fold.next_offset}"'


class ModelQueries(Controller):
    """What is registered, and what is in production."""

    path = "/api/models"
    tags = ("models",)

    @get("/", operation_id="list_models", responses=QUERY_PROBLEM_RESPONSES)
    async def list_models(
        self,
        request: Request[Any, Any, Any],
        runtime: Runtime,
        streams: PastOrPresent,
        after_name: Annotated[str | None, QueryParameter(description="Only names behind this one.")] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MODELS_IN_PAGE_MAX)] = MODELS_IN_PAGE,
    ) -> Response[ModelList]:
        """All models with what is in production, by name, page by page."""
        if streams is runtime.registry.fold.streams:
            page, etag = models_now(runtime, after_name, limit), {"ETag": models_etag(runtime)}
        else:
            page = ModelList(models=list_models(streams, after=after_name, limit=limit), total=len(streams))
            etag = {}
        following = None
        if len(page.models) == limit and any(name > page.models[-1].model_name for name in streams):
            following = next_page(request, after_name=page.models[-1].model_name)
        return Response(page, headers=etag | link_to(following))

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
