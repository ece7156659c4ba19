"""Questions to the registry, now or as of an offset or a time."""

from typing import TYPE_CHECKING, Any, TypeVar, overload

from hotswap_stream.cli.planes.port import Question
from hotswap_stream.cli.terminal.options import parse_as_of
from hotswap_stream.cli.terminal.printing import refuse
from hotswap_stream.cli.terminal.running import run_on_cluster, run_on_plane
from hotswap_stream.errors import HotswapError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hotswap_events.commands import Refusal
    from hotswap_stream.application.registry.queries import Streams

_Answer = TypeVar("_Answer")


@overload
def ask(question: "Question[_Answer]", *, as_of: str | None, as_json: bool) -> _Answer: ...
@overload
def ask(question: "Callable[[Streams], _Answer | Refusal]", *, as_of: str | None, as_json: bool) -> _Answer: ...
def ask(question: Any, *, as_of: str | None, as_json: bool) -> Any:
    """Put a question to the registry; a refusal is printed, and the command exits with 3.

    Args:
        question: One that an API answers, too; or a function that gets the streams, and returns a result or a refusal.
        as_of: An offset or a time; None: the present state.
        as_json: How a refusal is printed.

    Returns:
        What the question returned.
    """
    from hotswap_events.commands import Refusal

    when = None if as_of is None else parse_as_of(as_of)
    put = question if isinstance(question, Question) else Question(question, _no_api)
    by = run_on_plane if isinstance(question, Question) else run_on_cluster
    answer = by(lambda plane: plane.ask(put, when))
    if isinstance(answer, Refusal):
        raise refuse(answer, as_json=as_json)
    return answer


async def _no_api(_api: object) -> Any:
    """Stand where no API is asked: `run_on_cluster` refuses to before."""
    raise HotswapError("this can be asked of the cluster alone")
