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
from hotswap_stream.api.authorization import guard_state_change
from hotswap_stream.api.command_answers import PROBLEM_RESPONSES, CommandAnswer, command_answer, handled, settled
from hotswap_stream.api.command_bodies import ReloadBody, RollBackBody, SwitchBody, ValidateBody
from hotswap_stream.api.command_context import CommandBody, Headers, command_context
from hotswap_stream.api.operations import KEY_OR_NONE, OptionalBodyOperation
from hotswap_stream.api.parameters import ModelNameInPath, VersionInPath
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.reload import reload_model


class VersionCommands(Controller):
    """Commands that name a version."""

    path = "/api/models/{model_name:str}/versions"
    tags = ("commands",)
    guards = (guard_state_change,)
    security = KEY_OR_NONE

    @post("/{model_version:str}/validate", status_code=200, operation_id="validate", responses=PROBLEM_RESPONSES)
    async def validate(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        model_version: VersionInPath,
        data: JSONBody[ValidateBody],
    ) -> Response[CommandAnswer]:
        """Hand in the figures of an evaluation; a version that fails is archived in the same decision."""
        context = command_context(command_headers, data, runtime.services.ids)
        command = ValidateVersion(
            model_name=model_name,
            model_version=model_version,
            validation_set=data.validation_set,
            figures=data.figures,
            baseline_version=data.baseline_version,
            baseline_figures=data.baseline_figures,
            promote_first=data.promote_first,
            **context.fields(),
        )
        return await handled(runtime, context, command)

    @post(
        "/{model_version:str}/stage",
        status_code=200,
        operation_id="stage",
        operation_class=OptionalBodyOperation,
        responses=PROBLEM_RESPONSES,
    )
    async def stage(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        model_version: VersionInPath,
        data: JSONBody[CommandBody | None] = None,
    ) -> Response[CommandAnswer]:
        """Put a version into staging: workers may load it ahead."""
        context = command_context(command_headers, data, runtime.services.ids)
        command = StageVersion(model_name=model_name, model_version=model_version, **context.fields())
        return await handled(runtime, context, command)

    @post(
        "/{model_version:str}/promote",
        status_code=200,
        operation_id="promote",
        operation_class=OptionalBodyOperation,
        responses=PROBLEM_RESPONSES,
    )
    async def promote(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        model_version: VersionInPath,
        data: JSONBody[CommandBody | None] = None,
    ) -> Response[CommandAnswer]:
        """Put a version that passed validation into production."""
        context = command_context(command_headers, data, runtime.services.ids)
        command = PromoteVersion(model_name=model_name, model_version=model_version, **context.fields())
        return await handled(runtime, context, command)

    @post(
        "/{model_version:str}/archive",
        status_code=200,
        operation_id="archive",
        operation_class=OptionalBodyOperation,
        responses=PROBLEM_RESPONSES,
    )
    async def archive(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        model_version: VersionInPath,
        data: JSONBody[CommandBody | None] = None,
    ) -> Response[CommandAnswer]:
        """Take a version that is not active out of play."""
        context = command_context(command_headers, data, runtime.services.ids)
        command = ArchiveVersion(model_name=model_name, model_version=model_version, **context.fields())
        return await handled(runtime, context, command)


class ModelCommands(Controller):
    """Commands on what is in production."""

    path = "/api/models/{model_name:str}"
    tags = ("commands",)
    guards = (guard_state_change,)
    security = KEY_OR_NONE

    @post("/switch", status_code=200, operation_id="switch", responses=PROBLEM_RESPONSES)
    async def switch(
        self, runtime: Runtime, command_headers: Headers, model_name: ModelNameInPath, data: JSONBody[SwitchBody]
    ) -> Response[CommandAnswer]:
        """Force a version into production, past validation. Answers the previous version and the metadata."""
        context = command_context(command_headers, data, runtime.services.ids)
        command = SwitchVersion(model_name=model_name, model_version=data.model_version, **context.fields())
        return await handled(runtime, context, command)

    @post(
        "/rollback",
        status_code=200,
        operation_id="roll_back",
        operation_class=OptionalBodyOperation,
        responses=PROBLEM_RESPONSES,
    )
    async def roll_back(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[RollBackBody | None] = None,
    ) -> Response[CommandAnswer]:
        """Return to the version that was in production before."""
        context = command_context(command_headers, data, runtime.services.ids)
        body = data or RollBackBody()
        command = RollBack(model_name=model_name, cause=body.cause, from_version=body.from_version, **context.fields())
        return await handled(runtime, context, command)

    @post(
        "/reload",
        status_code=200,
        operation_id="reload",
        operation_class=OptionalBodyOperation,
        responses=PROBLEM_RESPONSES,
    )
    async def reload(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[ReloadBody | None] = None,
    ) -> Response[CommandAnswer]:
        """Promote the newest version that passed validation, or a named one; 'unchanged' when it is active already."""
        context = command_context(command_headers, data, runtime.services.ids)
        model_version = None if data is None else data.model_version
        result = await settled(
            reload_model(runtime.registry, model_name=model_name, model_version=model_version, **context.fields()),
            context,
        )
        if result.refusal is not None:
            runtime.count_refused_switch(model_name, model_version or "newest", result.refusal.code)
        return command_answer(result, context, runtime.registry)
