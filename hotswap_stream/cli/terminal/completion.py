"""Names of models and versions for the completion of the shell."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from hotswap_stream.errors import HotswapError

if TYPE_CHECKING:
    from hotswap_stream.application.registry.queries import Streams

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
    def names(streams: "Streams") -> list[str]:
        return sorted(streams)

    return _asked(names)


def _versions(model_name: str) -> list[str]:
    def names(streams: "Streams") -> list[str]:
        found = streams.get(model_name)
        return [] if found is None else list(reversed(found.state.versions))

    return _asked(names)


def _asked(question: "Callable[[Streams], list[str]]") -> list[str]:
    """Return what the registry says; nothing where it cannot be asked: a shell that completes shows no errors."""
    import asyncio

    from hotswap_stream.cli.terminal.running import prepared_settings

    async def ask() -> list[str]:
        from hotswap_stream import bootstrap

        async with bootstrap.open_registry(prepared_settings(quiet=True), check=False) as registry:
            return question(registry.fold.streams)

    try:
        return asyncio.run(asyncio.wait_for(ask(), COMPLETION_SECONDS_MAX))
    except (HotswapError, TimeoutError, OSError, ModuleNotFoundError):
        return []
