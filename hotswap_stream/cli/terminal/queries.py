"""Questions to the registry, now or as of an offset or a time."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from hotswap_stream.cli.terminal.options import parse_as_of
from hotswap_stream.cli.terminal.printing import refuse
from hotswap_stream.cli.terminal.running import run_on_registry

if TYPE_CHECKING:
    from hotswap_events.commands import Refusal
    from hotswap_stream.application.registry.queries import Streams
    from hotswap_stream.application.registry.registry import Registry

_Answer = TypeVar("_Answer")


def ask(question: "Callable[[Streams], _Answer | Refusal]", *, as_of: str | None, as_json: bool) -> _Answer:
    """Put a question to the registry; a refusal is printed, and the command exits with 3.

    Args:
        question: Gets the streams, and returns a result or a refusal.
        as_of: An offset or a time; None: the present state.
        as_json: How a refusal is printed.

    Returns:
        What the question returned.
    """
    from hotswap_events.commands import Refusal

    when = None if as_of is None else parse_as_of(as_of)

    async def on(registry: "Registry") -> "Streams":
        from hotswap_stream.application.registry.as_of import RegistryAsOf

        if when is None:
            return registry.fold.streams
        replay = RegistryAsOf(registry.log)
        if isinstance(when, datetime):
            return await replay.at_time(when, now=datetime.now(UTC))
        return await replay.at_offset(when)

    answer = question(run_on_registry(on))
    if isinstance(answer, Refusal):
        raise refuse(answer, as_json=as_json)
    return answer
