"""The validation policy of a model."""

from litestar import Controller, Response, get, put
from litestar.params import JSONBody

from hotswap_events.commands import SetValidationPolicy
from hotswap_events.validation.policy import ValidationPolicy
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES, CommandAnswer
from hotswap_stream.api.commands.context import CommandBody
from hotswap_stream.api.commands.dispatch import Dispatch
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import found
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.application.registry.validation_policy import ValidationPolicyReport, find_validation_policy


class ValidationPolicyBody(CommandBody, frozen=True):
    """The gates that versions of the model must pass."""

    policy: ValidationPolicy


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
