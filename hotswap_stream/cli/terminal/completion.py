"""Names of models and versions for the completion of the shell."""

from typing import TYPE_CHECKING, TypeVar

import typer

from hotswap_stream.errors import HotswapError

if TYPE_CHECKING:
    from hotswap_stream.cli.planes.port import Question

_Entry = TypeVar("_Entry")

COMPLETION_SECONDS_MAX = 3.0
"""Whoever pressed Tab waits no longer for a broker."""
NAMES_MAX = 200


def complete_models(incomplete: str) -> list[str]:
    """Return the models whose names begin so."""
    return [name for name in _models() if name.startswith(incomplete)][:NAMES_MAX]


def complete_versions(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the versions, newest first, of the model that is in the command line already."""
    model = ctx.params.get("model")
    return [name for name in _versions(model) if name.startswith(incomplete)][:NAMES_MAX] if model else []


def _models() -> list[str]:
    from hotswap_stream.cli.planes import questions

    return [each.model_name for each in _asked(questions.models())]


def _versions(model_name: str) -> list[str]:
    from hotswap_stream.cli.planes import questions

    return [each.model_version for each in _asked(questions.versions(model_name))]


def _asked(question: "Question[tuple[_Entry, ...]]") -> "tuple[_Entry, ...]":
    """Return what the registry says; nothing where it cannot be asked: a shell that completes shows no errors."""
    import asyncio

    from hotswap_stream.cli.terminal.running import prepared_settings

    async def ask() -> "tuple[_Entry, ...]":
        from hotswap_stream.cli.planes.opening import open_plane

        async with open_plane(prepared_settings(quiet=True)) as plane:
            answer = await plane.ask(question)
            return answer if isinstance(answer, tuple) else ()

    try:
        return asyncio.run(asyncio.wait_for(ask(), COMPLETION_SECONDS_MAX))
    except (HotswapError, TimeoutError, OSError, ModuleNotFoundError):
        return ()
