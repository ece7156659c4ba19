"""Commands on a model: each appends its events to the log, or says why not."""

from litestar import Controller, Response, post
from litestar.params import JSONBody

from hotswap_events.commands import (
    ArchiveVersion,
    PromoteVersion,
    RollBack,
    StageVersion,
    SwitchVersion,
    ValidateVersion,
)
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, CommandAnswer, command_answer, settled
from hotswap_stream.api.commands.context import CommandBody, Headers, command_context
from hotswap_stream.api.commands.dispatch import Dispatch
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath, VersionInPath
from hotswap_stream.api.registry.bodies import PromoteBody, ReloadBody, RollBackBody, SwitchBody, ValidateBody
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.registry.reload import reload_model


class VersionCommands(Controller):
    """Commands that name a version."""

    path = "/api/models/{model_name:str}/versions"
    tags = ("commands",)
    guards = (guard_state_change,)
    security = KEY_OR_NONE

    @post("/{model_version:str}/validate", status_code=200, operation_id="validate", responses=PROBLEM_RESPONSES)
    async def validate(
        self, dispatch: Dispatch, model_version: VersionInPath, data: JSONBody[ValidateBody]
    ) -> Response[CommandAnswer]:
        """Hand in the figures of an evaluation; a version that fails is archived in the same decision."""
        return await dispatch(ValidateVersion, data, model_version=model_version)

    @post(
        "/{model_version:str}/stage",
        status_code=200,
        operation_id="stage",
        responses=PROBLEM_RESPONSES,
    )
    async def stage(
        self, dispatch: Dispatch, model_version: VersionInPath, data: JSONBody[CommandBody]
    ) -> Response[CommandAnswer]:
        """Put a version into staging: workers may load it ahead."""
        return await dispatch(StageVersion, data, model_version=model_version)

    @post(
        "/{model_version:str}/promote",
        status_code=200,
        operation_id="promote",
        responses=PROBLEM_RESPONSES,
    )
    async def promote(
        self, dispatch: Dispatch, model_version: VersionInPath, data: JSONBody[PromoteBody]
    ) -> Response[CommandAnswer]:
        """Put a version that passed validation into production."""
        return await dispatch(PromoteVersion, data, model_version=model_version)

    @post(
        "/{model_version:str}/archive",
        status_code=200,
        operation_id="archive",
        responses=PROBLEM_RESPONSES,
    )
    async def archive(
        self, dispatch: Dispatch, model_version: VersionInPath, data: JSONBody[CommandBody]
    ) -> Response[CommandAnswer]:
        """Take a version that is not active out of play."""
        return await dispatch(ArchiveVersion, data, model_version=model_version)


class ModelCommands(Controller):
    """Commands on what is in production."""

    path = "/api/models/{model_name:str}"
    tags = ("commands",)
    guards = (guard_state_change,)
    security = KEY_OR_NONE

    @post("/switch", status_code=200, operation_id="switch", responses=PROBLEM_RESPONSES)
    async def switch(self, dispatch: Dispatch, data: JSONBody[SwitchBody]) -> Response[CommandAnswer]:
        """Force a version into production, past validation. Answers the previous version and the metadata."""
        return await dispatch(SwitchVersion, data)

    @post(
        "/rollback",
        status_code=200,
        operation_id="roll_back",
        responses=PROBLEM_RESPONSES,
    )
    async def roll_back(self, dispatch: Dispatch, data: JSONBody[RollBackBody]) -> Response[CommandAnswer]:
        """Return to the version that was in production before."""
        return await dispatch(RollBack, data)

    @post(
        "/reload",
        status_code=200,
        operation_id="reload",
        responses=PROBLEM_RESPONSES,
    )
    async def reload(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[ReloadBody],
    ) -> Response[CommandAnswer]:
        """Promote the newest version that passed validation, or a named one; 'unchanged' when it is active already."""
        context = command_context(command_headers, data, runtime.services.ids)
        model_version = data.model_version
        result = await settled(
            reload_model(
                runtime.registry,
                model_name=model_name,
                model_version=model_version,
                actor_by=context.actor_by,
                **context.fields(),
            ),
            context,
        )
        if result.refusal is not None:
            runtime.count_refused_switch(model_name, model_version or "newest", result.refusal.code)
        return command_answer(result, context, runtime.registry)
