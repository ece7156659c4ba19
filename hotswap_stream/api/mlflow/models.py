"""`registered-models`: models and their tags in MLflow's words."""

from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.params import JSONBody, QueryParameter

from hotswap_events.commands import TagModel
from hotswap_events.registry.tags import DESCRIPTION_TAG
from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.commands.answers import handled
from hotswap_stream.api.commands.context import Headers
from hotswap_stream.api.mlflow.answers import ManyModels, ManyVersions, Nothing, OneModel
from hotswap_stream.api.mlflow.asking import (
    ERRORS,
    NOT_CARRIED,
    QUERY_ERRORS,
    Filter,
    MaxResults,
    NameInQuery,
    OrderBy,
    PageToken,
    context_of,
    described,
    not_carried,
    sent,
    stream_of,
)
from hotswap_stream.api.mlflow.bodies import (
    CreateModel,
    LatestVersions,
    ModelTag,
    ModelTagKey,
    NamedModel,
    UpdateModel,
)
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.mlflow.entities import (
    STAGES,
    latest_versions,
    model_version,
    registered_model,
)
from hotswap_stream.application.mlflow.search import search_models

_ALREADY = "already-exists"


class ModelsOfMlflow(Controller):
    """What reads models."""

    path = "/api/2.0/mlflow/registered-models"
    tags = ("mlflow",)

    @get("/get", operation_id="mlflow_get_registered_model", responses=QUERY_ERRORS)
    async def get_model(self, runtime: Runtime, name: NameInQuery) -> OneModel:
        """A model, with the newest version of each stage."""
        return _shown(runtime, name)

    @get("/search", operation_id="mlflow_search_registered_models", responses=QUERY_ERRORS)
    async def search(
        self,
        runtime: Runtime,
        text: Filter = None,
        max_results: MaxResults = None,
        order_by: OrderBy = None,
        page_token: PageToken = None,
    ) -> ManyModels:
        """Models by name and tags."""
        runtime.registry.check_followed()
        page = search_models(
            runtime.registry.fold.streams, text, order_by=order_by or (), limit=max_results, token=page_token
        )
        alias = runtime.services.mlflow_production_alias
        return ManyModels(tuple(registered_model(stream, alias) for stream in page.items), page.token)

    @get("/get-latest-versions", operation_id="mlflow_latest_versions", responses=QUERY_ERRORS)
    async def latest(
        self,
        runtime: Runtime,
        name: NameInQuery,
        stages: Annotated[list[str] | None, QueryParameter(max_items=16, description="Stages; none: all.")] = None,
    ) -> ManyVersions:
        """The newest version of each stage."""
        return _latest(runtime, name, tuple(stages or ()))

    @post(
        "/get-latest-versions",
        status_code=200,
        operation_id="mlflow_latest_versions_by_post",
        opt=needs("read"),
        responses=QUERY_ERRORS,
    )
    async def latest_by_post(self, runtime: Runtime, data: JSONBody[LatestVersions]) -> ManyVersions:
        """The newest version of each stage."""
        return _latest(runtime, data.name, data.stages)


class ModelCommandsOfMlflow(Controller):
    """What changes models."""

    path = "/api/2.0/mlflow/registered-models"
    tags = ("mlflow",)
    guards = (guard_state_change,)
    security = KEY_OR_NONE

    @post("/create", status_code=200, operation_id="mlflow_create_registered_model", responses=ERRORS)
    async def create(self, runtime: Runtime, command_headers: Headers, data: JSONBody[CreateModel]) -> OneModel:
        """Begin a model without versions."""
        context = context_of(runtime, command_headers, expected_sequence=0)
        tags = {tag.key: tag.value for tag in data.tags}
        if data.description:
            tags[DESCRIPTION_TAG] = data.description
        try:
            await handled(runtime, context, TagModel(model_name=data.name, tags=tags, **context.fields()))
        except ProblemError as problem:
            if problem.code != "sequence-mismatch":
                raise
            raise ProblemError(
                409, _ALREADY, f"there is a model {data.name!r} already: create versions of it, or choose another name"
            ) from problem
        return _shown(runtime, data.name)

    @patch("/update", operation_id="mlflow_update_registered_model", responses=ERRORS)
    async def update(self, runtime: Runtime, command_headers: Headers, data: JSONBody[UpdateModel]) -> OneModel:
        """Describe a model."""
        stream_of(runtime, data.name)
        await sent(runtime, command_headers, TagModel, data.name, **described(data.description))
        return _shown(runtime, data.name)

    @post("/set-tag", status_code=200, operation_id="mlflow_set_model_tag", responses=ERRORS)
    async def set_tag(self, runtime: Runtime, command_headers: Headers, data: JSONBody[ModelTag]) -> Nothing:
        """Set a tag of a model."""
        stream_of(runtime, data.name)
        await sent(runtime, command_headers, TagModel, data.name, tags={data.key: data.value})
        return Nothing()

    @delete("/delete-tag", status_code=200, operation_id="mlflow_delete_model_tag", responses=ERRORS)
    async def delete_tag(self, runtime: Runtime, command_headers: Headers, data: JSONBody[ModelTagKey]) -> Nothing:
        """Remove a tag of a model."""
        stream_of(runtime, data.name)
        await sent(runtime, command_headers, TagModel, data.name, removed=(data.key,))
        return Nothing()

    @post("/rename", status_code=200, operation_id="mlflow_rename_registered_model", responses=NOT_CARRIED)
    async def rename(self, data: JSONBody[NamedModel]) -> Nothing:
        """Refuse: topics and the log have the name."""
        raise not_carried(
            f"model {data.name!r} cannot be renamed, since its topics and its history have the name",
            "register its versions under the new name, with source 'models:/<name>/<version>'",
        )

    @delete("/delete", status_code=200, operation_id="mlflow_delete_registered_model", responses=NOT_CARRIED)
    async def delete_model(self, data: JSONBody[NamedModel]) -> Nothing:
        """Refuse: what happened stays in the log."""
        raise not_carried(
            f"model {data.name!r} cannot be deleted, since the log keeps what happened",
            "archive its versions, or switch it off with `hotswap-stream disable`",
        )


def _shown(runtime: ApiRuntime, name: str) -> OneModel:
    return OneModel(registered_model(stream_of(runtime, name), runtime.services.mlflow_production_alias))


def _latest(runtime: ApiRuntime, name: str, stages: tuple[str, ...]) -> ManyVersions:
    state = stream_of(runtime, name).state
    production = runtime.services.mlflow_production_alias
    versions = tuple(model_version(state, version, production) for version in latest_versions(state))
    if not stages:
        # For clients "latest" is the largest number; they cannot take another name.
        return ManyVersions(tuple(version for version in versions if version.version.isdigit()))
    known = {stage.lower(): stage for stage in STAGES.values()}
    for stage in stages:
        if stage.lower() not in known:
            raise ProblemError(
                422,
                "invalid-value",
                f"stage {stage[:100]!r} is none of {', '.join(known.values())}; a version is named by its number, as "
                f"in models:/{name}/1, and what is in production as models:/{name}@{production}",
            )
    wanted = {stage.lower() for stage in stages}
    return ManyVersions(tuple(version for version in versions if version.current_stage.lower() in wanted))
