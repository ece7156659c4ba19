"""Dispatching commands: headers, body and path of a request become a command, and its result the answer."""

from typing import Any

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from hotswap_events.command import Command
from hotswap_stream.api.commands.answers import CommandAnswer, handled
from hotswap_stream.api.commands.context import CommandBody, Headers, command_context, nothing_unread
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.runtime import ApiRuntime, Runtime


class ModelDispatch:
    """Dispatches a command on the model in the path, as one request asks for it."""

    def __init__(self, request: Request[Any, Any, Any], runtime: ApiRuntime, headers: Headers, model_name: str) -> None:
        self._request = request
        self._runtime = runtime
        self._headers = headers
        self._model_name = model_name

    async def __call__(self, command_type: type[Command], body: CommandBody, **fields: Any) -> Response[CommandAnswer]:
        """Dispatch one command to the registry, and return the HTTP answer.

        Args:
            command_type: The command to make. The fields of `body` are named as its own.
            body: The request's body.
            fields: Further fields of the command, which the body does not have or has in another form.

        Raises:
            ProblemError: The command is refused, contradicts itself, or has keys, however deep, that are no fields.
        """
        context = command_context(self._headers, body, self._runtime.services.ids)
        await nothing_unread(self._request, body)
        command = command_type(model_name=self._model_name, **{**_own(body), **fields}, **context.fields())
        return await handled(self._runtime, context, command)  # type: ignore[arg-type]


Dispatch = NamedDependency[SkipValidation[ModelDispatch]]


async def provide_dispatch(
    request: Request[Any, Any, Any], runtime: Runtime, command_headers: Headers, model_name: ModelNameInPath
) -> ModelDispatch:
    """Provide the dependency of the handlers of commands."""
    return ModelDispatch(request, runtime, command_headers, model_name)


def _own(body: CommandBody) -> dict[str, Any]:
    """Return what the body says beside what all bodies may."""
    common = CommandBody.__struct_fields__
    return {name: getattr(body, name) for name in body.__struct_fields__ if name not in common}
