"""Sending commands to the registry: the options they have in common, and printing what became of each."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar
from uuid import uuid4

import typer

from hotswap_stream.cli.terminal.options import Actor, AsJson, CommandId, ExpectedSequence, ModelArgument, Reason
from hotswap_stream.cli.terminal.printing import print_result
from hotswap_stream.cli.terminal.running import run_on_plane

if TYPE_CHECKING:
    from hotswap_events.commands import AnyCommand, CommandResult, Refusal
    from hotswap_stream.cli.planes.port import ControlPlane

Fields: TypeAlias = dict[str, Any]
"""Fields of a command that come from the options common to all commands, by name."""
CommandToSend: TypeAlias = "AnyCommand | Callable[[ControlPlane], Awaitable[CommandResult]]"
"""A command to send, or a function that asks first and then sends one."""


class _AtSequence(Protocol):
    @property
    def sequence(self) -> int:
        """The model's, when this was read."""
        ...


_Read = TypeVar("_Read", bound=_AtSequence)
_REQUESTED = "hotswap.model.training-requested.v1"


def guarded(found: "_Read | Refusal", fields: Fields) -> _Read | None:
    """Return what a change starts from, and have the change refused if the model moves on before it.

    Args:
        found: What was read; a refusal where there is no such model.
        fields: Those of the command; a sequence that is expected already stays.
    """
    from hotswap_events.commands import Refusal

    if isinstance(found, Refusal):
        return None
    if fields["expected_sequence"] is None:
        fields["expected_sequence"] = found.sequence
    return found


def command_fields(
    model: ModelArgument,
    actor: Actor,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
) -> Fields:
    """Return the fields common to all commands, from the options common to all of them.

    Raises:
        typer.BadParameter: An actor or a command id that only parts of the product itself may use.
    """
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


def sends_command_with(
    fields_of: Callable[..., Fields],
) -> Callable[[Callable[..., CommandToSend]], Callable[..., None]]:
    """Return a decorator that makes command line commands which take the options of `fields_of` beside their own.

    The decorated function gets the fields first, then the options of its own. What it returns is sent, and the result
    is printed; the exit code is 3 when the command is refused.

    Args:
        fields_of: Makes fields from options; its parameters become options of the command line command.
    """
    shared = inspect.signature(fields_of).parameters
    as_json = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson)

    def decorate(command_of: Callable[..., CommandToSend]) -> Callable[..., None]:
        def command(*, as_json: bool, **options: Any) -> None:
            fields = fields_of(**{name: options.pop(name) for name in shared})
            to_send = command_of(fields, **options)
            result = run_on_plane(to_send) if callable(to_send) else _sent(to_send)
            print_result(result, as_json=as_json)
            if result.event_types == (_REQUESTED,):
                typer.secho(f"{getattr(to_send, 'run_id', 'a run')} is asked for", err=True)

        own = list(inspect.signature(command_of).parameters.values())[1:]
        model, *others = shared.values()
        every = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (model, *own, *others, as_json)
        ]
        # typer reads these two.
        command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
        command.__name__, command.__doc__ = command_of.__name__, command_of.__doc__
        return command

    return decorate


sends_command = sends_command_with(command_fields)
"""Makes a command line command from a function of the fields that returns the command to send."""


def _sent(command: "AnyCommand") -> "CommandResult":
    return run_on_plane(lambda plane: plane.send(command))
