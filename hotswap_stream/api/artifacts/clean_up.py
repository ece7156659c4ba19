"""The clean-up of a model's old artifacts."""

from typing import Annotated

from litestar import post
from litestar.params import JSONBody
from msgspec import Meta

from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES
from hotswap_stream.api.commands.context import CommandBody, Headers, command_context
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import problem_of, refused
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.artifacts.cleanup import CleanUpReport, clean_up
from hotswap_stream.errors import HotswapError


class CleanUpBody(CommandBody, frozen=True):
    """Which artifacts to keep, and whether to delete the others or only to say which."""

    keep: Annotated[int, Meta(ge=0, le=1_000_000)]
    """The number of newest versions to keep."""
    apply: bool = False
    """False: say what would be done."""


@post(
    "/api/models/{model_name:str}/cleanup",
    status_code=200,
    operation_id="clean_up",
    opt=needs("admin"),
    tags=["commands"],
    guards=[guard_state_change],
    security=KEY_OR_NONE,
    responses=PROBLEM_RESPONSES,
)
async def clean_up_model(
    runtime: Runtime, command_headers: Headers, model_name: ModelNameInPath, data: JSONBody[CleanUpBody]
) -> CleanUpReport:
    """Delete artifacts that nothing needs, or say which those are. What was in production is never deleted."""
    context = command_context(command_headers, data, runtime.services.ids)
    try:
        report = await clean_up(
            runtime.registry,
            runtime.services.artifacts,
            model_name,
            keep=data.keep,
            apply=data.apply,
            actor_by=context.actor_by,
            **context.fields(),
        )
    except HotswapError as error:
        raise problem_of(error, command_id=context.command_id) from error
    if not isinstance(report, CleanUpReport):
        raise refused(report, command_id=context.command_id)
    return report
