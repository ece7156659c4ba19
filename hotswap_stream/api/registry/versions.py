"""Versions: what is registered, and registering more."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.params import JSONBody, QueryParameter
from msgspec import Struct

from hotswap_events.bounds import INT64_MAX
from hotswap_events.registry.events import Provenance
from hotswap_events.registry.state import RegistryVersion, VersionStage
from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES, CommandAnswer
from hotswap_stream.api.commands.context import Headers, command_context
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath, VersionInPath
from hotswap_stream.api.protocol.problems import found
from hotswap_stream.api.queries.paging import link_to, next_page
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.api.registry.bodies import RegisterBody
from hotswap_stream.api.registry.registering import register_stored
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.registry.queries import find_version, list_versions
from hotswap_stream.domain.versions.options import options_told

VERSIONS_IN_PAGE_MAX = 1_000

Stage = Annotated[VersionStage | None, QueryParameter(description="Only versions in this stage.")]


BeforeSequence = Annotated[
    int | None,
    QueryParameter(ge=1, le=INT64_MAX, description="Only versions registered before this sequence of the model."),
]
Limit = Annotated[int, QueryParameter(ge=1, le=VERSIONS_IN_PAGE_MAX, description="Versions in a page at most.")]


class VersionList(Struct, frozen=True, kw_only=True):
    """Versions of one model, newest first."""

    model_name: str
    active_version: str | None
    versions: tuple[RegistryVersion, ...]
    versions_total: int
    """All the model has, in whatever stage."""
    next_before_sequence: int | None
    """`before_sequence` of the next page, if this one is full."""


class VersionController(Controller):
    """Versions of one model."""

    path = "/api/models/{model_name:str}/versions"

    @get("/", operation_id="list_versions", tags=["models"], responses=QUERY_PROBLEM_RESPONSES)
    async def list_versions(
        self,
        request: Request[Any, Any, Any],
        streams: PastOrPresent,
        model_name: ModelNameInPath,
        stage: Stage = None,
        before_sequence: BeforeSequence = None,
        limit: Limit = 100,
    ) -> Response[VersionList]:
        """Versions, newest first, with artifact, provenance, metrics, tags and verdict."""
        versions = found(list_versions(streams, model_name, stage=stage, before_sequence=before_sequence, limit=limit))
        state = streams[model_name].state
        before = versions[-1].registered_sequence if len(versions) == limit else None
        page = VersionList(
            model_name=model_name,
            active_version=state.active_version,
            versions=versions,
            versions_total=len(state.versions),
            next_before_sequence=before,
        )
        following = None if before is None else next_page(request, before_sequence=before)
        return Response(page, headers={"ETag": f'"{state.sequence}"'} | link_to(following))

    @get("/{model_version:str}", operation_id="get_version", tags=["models"], responses=QUERY_PROBLEM_RESPONSES)
    async def get_version(
        self, streams: PastOrPresent, model_name: ModelNameInPath, model_version: VersionInPath
    ) -> RegistryVersion:
        """One version."""
        return found(find_version(streams, model_name, model_version))

    @post(
        "/",
        status_code=200,
        operation_id="register_version",
        tags=["commands"],
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def register(
        self, runtime: Runtime, command_headers: Headers, model_name: ModelNameInPath, data: JSONBody[RegisterBody]
    ) -> Response[CommandAnswer]:
        """Register an artifact that is in the store, trained here or elsewhere."""
        context = command_context(command_headers, data, runtime.services.ids)
        provenance = Provenance(
            origin=data.origin,
            created_by=data.created_by or context.actor,
            code_revision=data.code_revision,
            data_snapshot=data.data_snapshot,
            image=data.image,
            environment=data.environment,
        )
        return await register_stored(
            runtime,
            context,
            data.artifact_digest,
            model_name=model_name,
            options=options_told(VersionOptions(executor=data.executor, precision=data.precision)),
            provenance=provenance,
            model_version=data.model_version,
            run_id=data.run_id,
            metrics=data.metrics,
            tags=data.tags,
        )
