"""Sending a command to the registry and telling what became of it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hotswap_stream.cli.printing import print_result
from hotswap_stream.cli.running import run_on_registry

if TYPE_CHECKING:
    from hotswap_events.commands import AnyCommand, CommandResult
    from hotswap_stream.application.registry import Registry


def command_fields(
    model_name: str, *, actor: str, reason: str | None, command_id: str | None, expected_sequence: int | None = None
) -> dict[str, Any]:
    """Keyword arguments common to all commands."""
    return {
        "model_name": model_name,
        "actor": actor,
        "reason": reason,
        "command_id": command_id or str(uuid4()),
        "expected_sequence": expected_sequence,
    }


def send(command: "AnyCommand", *, as_json: bool) -> None:
    """Let the registry handle the command and print the result; exits with 3 when it is refused."""
    settle(lambda registry: registry.handle(command), as_json=as_json)


def settle(handling: "Callable[[Registry], Awaitable[CommandResult]]", *, as_json: bool) -> None:
    """Run something that ends in a command's result, and print it."""
    print_result(run_on_registry(handling), as_json=as_json)
