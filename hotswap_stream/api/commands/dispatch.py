"""What handlers of commands have in common: headers, body and path become a command, and its result the answer."""

from typing import Any

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from hotswap_events.command import Command
from hotswap_stream.api.commands.answers import CommandAnswer, handled
from hotswap_stream.api.commands.context import CommandBody, Headers, command_context, nothing_unread
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.runtime import ApiRuntime, Runtime


class ModelOrders:
    """Commands on the model in the path, as this request asks for them."""

    def __init__(self, request: Request[Any, Any, Any], runtime: ApiRuntime, headers: Headers, model_name: str) -> None:
        self._request = request
        self._runtime = runtime
        self._headers = headers
        self._model_name = model_name

    async def give(self, command_type: type[Command], body: CommandBody, **fields: Any) -> Response[CommandAnswer]:
        """Carry out a command made of the body's own fields, which are named as the command's, and of `fields`.

        ProblemError for a refusal, for what contradicts itself, and for keys, however deep, that are no fields.
        """
        context = command_context(self._headers, body, self._runtime.services.ids)
        await nothing_unread(self._request, body)
        command = command_type(model_name=self._model_name, **{**_own(body), **fields}, **context.fields())
        return await handled(self._runtime, context, command)  # type: ignore[arg-type]


Orders = NamedDependency[SkipValidation[ModelOrders]]


async def provide_orders(
    request: Request[Any, Any, Any], runtime: Runtime, command_headers: Headers, model_name: ModelNameInPath
) -> ModelOrders:
    """Dependency of the handlers of commands."""
    return ModelOrders(request, runtime, command_headers, model_name)


def _own(body: CommandBody) -> dict[str, Any]:
    """What the body says beside what all bodies may."""
    common = CommandBody.__struct_fields__
    return {name: getattr(body, name) for name in body.__struct_fields__ if name not in common}
