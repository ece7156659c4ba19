"""The part of a release's history that has architectures with graphs, and versions of theirs that lack one."""

from typing import Protocol

from hotswap_events.commands import AnyCommand
from hotswap_events.registry.events import ArtifactFacts
from tests.support.samples.registry import promote, register, validate

_GRAPH = ArtifactFacts(digest=f"sha256:{'9' * 64}", size_bytes=2_540)


class Sender(Protocol):
    """As much of the history's writers as a story needs."""

    async def send(self, *commands: AnyCommand) -> None:
        """One after the other; each is accepted."""


async def graphs(writers: Sender) -> None:
    """Two versions share the graph of their architecture; a third was registered where none could be exported."""
    await writers.send(
        register("v1", graph=_GRAPH),
        validate("v1", promote_first=True),
        register("v2", graph=_GRAPH),
        validate("v2", 0.98, ("v1", 0.97)),
        promote("v2"),
        register("v3"),
    )
