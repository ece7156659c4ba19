"""Aliases in MLflow's words. One of them means production: setting it is the command to promote."""

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.params import JSONBody, QueryParameter

from hotswap_events.commands import PromoteVersion, SetAlias
from hotswap_stream.api.commands.context import Headers
from hotswap_stream.api.mlflow.answers import Nothing, OneVersion
from hotswap_stream.api.mlflow.asking import (
    ERRORS,
    QUERY_ERRORS,
    NameInQuery,
    missing_alias,
    sent,
    stream_of,
    version_of,
)
from hotswap_stream.api.mlflow.bodies import NAME_CHARACTERS_MAX, AliasKey, NewAlias
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.mlflow.entities import aliases_of, model_version

AliasInQuery = Annotated[str, QueryParameter(max_length=NAME_CHARACTERS_MAX, description="The alias.")]


class AliasesOfMlflow(Controller):
    """Names that point at versions."""

    path = "/api/2.0/mlflow/registered-models/alias"
    tags = ("mlflow",)

    @get("/", operation_id="mlflow_get_by_alias", responses=QUERY_ERRORS)
    async def by_alias(self, runtime: Runtime, name: NameInQuery, alias: AliasInQuery) -> OneVersion:
        """The version that an alias points at; the one that means production, at what is in production."""
        state = stream_of(runtime, name).state
        production = runtime.services.mlflow_production_alias
        aliases = aliases_of(state, production)
        if alias not in aliases:
            raise missing_alias(name, alias, tuple(aliases))
        return OneVersion(model_version(state, state.versions[aliases[alias]], production))

    @post(
        "/",
        status_code=200,
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        operation_id="mlflow_set_alias",
        responses=ERRORS,
    )
    async def set_alias(self, runtime: Runtime, command_headers: Headers, data: JSONBody[NewAlias]) -> Nothing:
        """Let an alias point at a version. The one that means production promotes it, through all its gates."""
        name = version_of(stream_of(runtime, data.name), data.version).model_version
        if data.alias == runtime.services.mlflow_production_alias:
            await sent(runtime, command_headers, PromoteVersion, data.name, model_version=name)
        else:
            await sent(runtime, command_headers, SetAlias, data.name, alias=data.alias, model_version=name)
        return Nothing()

    @delete(
        "/",
        status_code=200,
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        operation_id="mlflow_delete_alias",
        responses=ERRORS,
    )
    async def delete_alias(self, runtime: Runtime, command_headers: Headers, data: JSONBody[AliasKey]) -> Nothing:
        """Let an alias point at nothing any more; not the one that means production."""
        state = stream_of(runtime, data.name).state
        if data.alias == runtime.services.mlflow_production_alias and state.active_version is not None:
            raise ProblemError(
                409,
                "illegal-step",
                f"{data.alias!r} is what is in production, {state.active_version!r}, and cannot be taken away: set it "
                "to another version, roll back, or switch the model off",
            )
        await sent(runtime, command_headers, SetAlias, data.name, alias=data.alias)
        return Nothing()
