"""Orders: what they have in common, how they are sent, and how what became of them is told."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

import typer

from hotswap_stream.cli.terminal.options import Actor, AsJson, CommandId, ExpectedSequence, ModelArgument, Reason
from hotswap_stream.cli.terminal.printing import print_result
from hotswap_stream.cli.terminal.running import run_on_registry

if TYPE_CHECKING:
    from hotswap_events.commands import AnyCommand, CommandResult
    from hotswap_stream.application.registry.registry import Registry

Fields: TypeAlias = dict[str, Any]
"""Of a command: those that its order did not have to name."""
Order: TypeAlias = "AnyCommand | Callable[[Registry], Awaitable[CommandResult]]"
"""A command to send, or what has to look at the registry first and sends it then."""


def command_fields(
    model: ModelArgument,
    actor: Actor,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
) -> Fields:
    """Keyword arguments common to all commands, from the options common to all orders."""
    from hotswap_stream.domain.reserved import wrong_actor, wrong_command_id

    if wrong := wrong_command_id(command_id or "") or wrong_actor(actor):
        raise typer.BadParameter(wrong)
    return {
        "model_name": model,
        "actor": actor,
        "reason": reason,
        "command_id": command_id or str(uuid4()),
        "expected_sequence": expected_sequence,
    }


def taking(fields_of: Callable[..., Fields]) -> Callable[[Callable[..., Order]], Callable[..., None]]:
    """Makes command line commands that take the options of `fields_of` beside their own.

    The function that is made into one gets the fields first, then what it asks for itself; it returns the order, which
    is sent, and the result is printed: exit code 3 when it is refused.
    """
    shared = inspect.signature(fields_of).parameters
    as_json = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson)

    def decorate(order_of: Callable[..., Order]) -> Callable[..., None]:
        def command(*, as_json: bool, **options: Any) -> None:
            fields = fields_of(**{name: options.pop(name) for name in shared})
            order = order_of(fields, **options)
            settle(order if callable(order) else _handling(order), as_json=as_json)

        own = list(inspect.signature(order_of).parameters.values())[1:]
        model, *others = shared.values()
        every = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (model, *own, *others, as_json)
        ]
        # typer reads these two.
        command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
        command.__name__, command.__doc__ = order_of.__name__, order_of.__doc__
        return command

    return decorate


ordering = taking(command_fields)
"""Makes a command line command from a function of the fields that returns an order."""


def settle(handling: "Callable[[Registry], Awaitable[CommandResult]]", *, as_json: bool) -> None:
    """Run something that ends in a command's result, and print it."""
    print_result(run_on_registry(handling), as_json=as_json)


def _handling(command: "AnyCommand") -> "Callable[[Registry], Awaitable[CommandResult]]":
    return lambda registry: registry.handle(command)
