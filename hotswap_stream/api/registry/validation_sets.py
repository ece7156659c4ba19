"""The set that versions of a model are measured on."""

from typing import Annotated

from litestar import Controller, Response, get, put
from litestar.params import JSONBody
from msgspec import Meta

from hotswap_events.commands import ChooseValidationSet, Refusal
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES, CommandAnswer, handled
from hotswap_stream.api.commands.context import CommandBody, Headers, command_context
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import found, refused
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.training.validation_sets import ValidationSetReport, find_validation_set, stored_set


class ValidationSetBody(CommandBody, frozen=True):
    """Which set of the artifact store versions are measured on."""

    artifact_digest: Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
    source: Annotated[str, Meta(max_length=512)] | None = None
    """Where it comes from, in free text."""


class ValidationSetController(Controller):
    """By what versions are measured."""

    path = "/api/models/{model_name:str}/validation-set"

    @get("/", operation_id="get_validation_set", tags=["models"], responses=QUERY_PROBLEM_RESPONSES)
    async def get_set(self, streams: PastOrPresent, model_name: ModelNameInPath) -> ValidationSetReport:
        """The set that versions of the model are measured on, if one was chosen."""
        return found(find_validation_set(streams, model_name))

    @put(
        "/",
        operation_id="choose_validation_set",
        tags=["commands"],
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def choose_set(
        self, runtime: Runtime, command_headers: Headers, model_name: ModelNameInPath, data: JSONBody[ValidationSetBody]
    ) -> Response[CommandAnswer]:
        """Measure versions on this set from here on; verdicts drawn before keep theirs."""
        context = command_context(command_headers, data, runtime.services.ids)
        chosen = await stored_set(runtime.services.artifacts, data.artifact_digest, source=data.source)
        if isinstance(chosen, Refusal):
            raise refused(chosen, command_id=context.command_id)
        command = ChooseValidationSet(model_name=model_name, validation_set=chosen, **context.fields())
        return await handled(runtime, context, command)
