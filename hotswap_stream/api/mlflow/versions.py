"""`model-versions`: versions in MLflow's words."""

from typing import Any

from litestar import Controller, Request, delete, get, patch, post
from litestar.params import JSONBody

from hotswap_events.command import Command
from hotswap_events.commands import ArchiveVersion, PromoteVersion, StageVersion, TagModel
from hotswap_stream.api.artifacts.body import while_there
from hotswap_stream.api.commands.context import Headers
from hotswap_stream.api.mlflow.answers import DownloadUri, Nothing, OneVersion, PageOfVersions
from hotswap_stream.api.mlflow.asking import (
    ERRORS,
    NOT_CARRIED,
    QUERY_ERRORS,
    Filter,
    MaxResults,
    NameInQuery,
    OrderBy,
    PageToken,
    VersionInQuery,
    described,
    not_carried,
    sent,
    stream_of,
    version_of,
)
from hotswap_stream.api.mlflow.bodies import (
    CreateVersion,
    NamedVersion,
    TransitionStage,
    UpdateVersion,
    VersionTag,
    VersionTagKey,
)
from hotswap_stream.api.mlflow.creating import created
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.mlflow.entities import STAGES, model_version
from hotswap_stream.application.mlflow.search import search_versions
from hotswap_stream.application.mlflow.versions import number_of

_STEPS: dict[str, type[Command]] = {
    "production": PromoteVersion,
    "staging": StageVersion,
    "archived": ArchiveVersion,
}
"""MLflow's stage in lower case → the command that brings a version there."""


class VersionsOfMlflow(Controller):
    """What reads versions."""

    path = "/api/2.0/mlflow/model-versions"
    tags = ("mlflow",)

    @get("/get", operation_id="mlflow_get_model_version", responses=QUERY_ERRORS)
    async def get_version(self, runtime: Runtime, name: NameInQuery, version: VersionInQuery) -> OneVersion:
        """A version."""
        return _shown(runtime, name, version)

    @get("/search", operation_id="mlflow_search_model_versions", responses=QUERY_ERRORS)
    async def search(
        self,
        runtime: Runtime,
        text: Filter = None,
        max_results: MaxResults = None,
        order_by: OrderBy = None,
        page_token: PageToken = None,
    ) -> PageOfVersions:
        """Versions by model, run and tags."""
        runtime.registry.check_followed()
        page = search_versions(
            runtime.registry.fold.streams, text, order_by=order_by or (), limit=max_results, token=page_token
        )
        alias = runtime.services.mlflow_production_alias
        return PageOfVersions(tuple(model_version(state, version, alias) for state, version in page.items), page.token)

    @get("/get-download-uri", operation_id="mlflow_download_uri", responses=QUERY_ERRORS)
    async def download_uri(
        self, request: Request[Any, Any, Any], runtime: Runtime, name: NameInQuery, version: VersionInQuery
    ) -> DownloadUri:
        """Where a client reads the files of a version, as a directory of MLflow's: on this server."""
        stream = stream_of(runtime, name)
        number = number_of(stream.state, version_of(stream, version).model_version)
        base = (runtime.services.mlflow_url or str(request.base_url)).rstrip("/")
        return DownloadUri(f"{base}/api/2.0/mlflow-artifacts/artifacts/{name}/{number}")


class VersionCommandsOfMlflow(Controller):
    """What makes versions and changes them."""

    path = "/api/2.0/mlflow/model-versions"
    tags = ("mlflow",)
    guards = (guard_state_change,)
    security = KEY_OR_NONE

    @post("/create", status_code=200, operation_id="mlflow_create_model_version", responses=ERRORS)
    async def create(
        self,
        request: Request[Any, Any, Any],
        runtime: Runtime,
        command_headers: Headers,
        data: JSONBody[CreateVersion],
    ) -> OneVersion:
        """Fetch a model, try it, put it into the store and register it.

        A client that did not wait for the answer and asks the same again gets what the first request brought.
        """
        stream_of(runtime, data.name)
        name = await while_there(request.receive, created(runtime, command_headers, data))
        return _shown(runtime, data.name, name)

    @patch("/update", operation_id="mlflow_update_model_version", responses=ERRORS)
    async def update(self, runtime: Runtime, command_headers: Headers, data: JSONBody[UpdateVersion]) -> OneVersion:
        """Describe a version."""
        name = version_of(stream_of(runtime, data.name), data.version).model_version
        fields = described(data.description)
        await sent(runtime, command_headers, TagModel, data.name, model_version=name, **fields)
        return _shown(runtime, data.name, name)

    @post("/set-tag", status_code=200, operation_id="mlflow_set_version_tag", responses=ERRORS)
    async def set_tag(self, runtime: Runtime, command_headers: Headers, data: JSONBody[VersionTag]) -> Nothing:
        """Set a tag of a version."""
        name = version_of(stream_of(runtime, data.name), data.version).model_version
        tags = {data.key: data.value}
        await sent(runtime, command_headers, TagModel, data.name, model_version=name, tags=tags)
        return Nothing()

    @delete("/delete-tag", status_code=200, operation_id="mlflow_delete_version_tag", responses=ERRORS)
    async def delete_tag(self, runtime: Runtime, command_headers: Headers, data: JSONBody[VersionTagKey]) -> Nothing:
        """Remove a tag of a version."""
        name = version_of(stream_of(runtime, data.name), data.version).model_version
        removed = (data.key,)
        await sent(runtime, command_headers, TagModel, data.name, model_version=name, removed=removed)
        return Nothing()

    @post("/transition-stage", status_code=200, operation_id="mlflow_transition_stage", responses=ERRORS)
    async def transition(
        self, runtime: Runtime, command_headers: Headers, data: JSONBody[TransitionStage]
    ) -> OneVersion:
        """Promote a version, stage it or archive it, through all its gates."""
        version = version_of(stream_of(runtime, data.name), data.version)
        stage = data.stage.strip().lower()
        if data.archive_existing_versions and stage != "production":
            raise ProblemError(
                422,
                "invalid-value",
                "archive_existing_versions goes with Production alone; archive versions one by one",
            )
        if stage not in _STEPS and stage != STAGES[version.stage].lower():
            raise ProblemError(
                422,
                "invalid-value",
                f"a version cannot go to stage {data.stage[:100]!r}: Staging, Production and Archived are there",
            )
        if stage in _STEPS:
            await sent(runtime, command_headers, _STEPS[stage], data.name, model_version=version.model_version)
        return _shown(runtime, data.name, version.model_version)

    @delete("/delete", status_code=200, operation_id="mlflow_delete_model_version", responses=NOT_CARRIED)
    async def delete_version(self, data: JSONBody[NamedVersion]) -> Nothing:
        """Refuse: what happened stays in the log."""
        raise not_carried(
            f"version {data.version!r} of {data.name!r} cannot be deleted, since the log keeps what happened",
            "transition it to stage Archived; `hotswap-stream clean-up` then gives up its artifact",
        )


def _shown(runtime: ApiRuntime, name: str, version: str) -> OneVersion:
    stream = stream_of(runtime, name)
    return OneVersion(
        model_version(stream.state, version_of(stream, version), runtime.services.mlflow_production_alias)
    )
