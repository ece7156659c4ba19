"""The validation policy of a model, and the clean-up of its old artifacts."""

from typing import Annotated

from litestar import Controller, Response, get, post, put
from litestar.params import JSONBody
from msgspec import Meta

from hotswap_events.commands import SetValidationPolicy
from hotswap_events.validation_policy import ValidationPolicy
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES, CommandAnswer
from hotswap_stream.api.commands.context import CommandBody, Headers, command_context
from hotswap_stream.api.commands.dispatch import Dispatch
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import found, problem_of, refused
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.artifacts.cleanup import CleanUpReport, clean_up
from hotswap_stream.application.registry.validation_policy import ValidationPolicyReport, find_validation_policy
from hotswap_stream.errors import HotswapError


class ValidationPolicyBody(CommandBody, frozen=True):
    """The gates that versions of the model must pass."""

    policy: ValidationPolicy


class CleanUpBody(CommandBody, frozen=True):
    """Which artifacts to keep, and whether to delete the others or only to say which."""

    keep: Annotated[int, Meta(ge=0, le=1_000_000)]
    """So many of the newest versions."""
    apply: bool = False
    """False: say what would be done."""


class ValidationPolicyController(Controller):
    """By what verdicts are drawn."""

    path = "/api/models/{model_name:str}/validation-policy"

    @get("/", operation_id="get_validation_policy", tags=["models"], responses=QUERY_PROBLEM_RESPONSES)
    async def get_policy(self, streams: PastOrPresent, model_name: ModelNameInPath) -> ValidationPolicyReport:
        """The gates that versions of the model must pass, or the default ones."""
        return found(find_validation_policy(streams, model_name))

    @put(
        "/",
        operation_id="set_validation_policy",
        tags=["commands"],
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def set_policy(self, dispatch: Dispatch, data: JSONBody[ValidationPolicyBody]) -> Response[CommandAnswer]:
        """Draw verdicts by this policy from here on; verdicts drawn before stay."""
        return await dispatch(SetValidationPolicy, data)


@post(
    "/api/models/{model_name:str}/cleanup",
    status_code=200,
    operation_id="clean_up",
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
            **context.fields(),
        )
    except HotswapError as error:
        raise problem_of(error, command_id=context.command_id) from error
    if not isinstance(report, CleanUpReport):
        raise refused(report, command_id=context.command_id)
    return report
