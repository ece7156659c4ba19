"""The part of a release's history whose events say how their actors are known."""

from typing import Protocol

from hotswap_events.commands import AnyCommand
from tests.support.samples.registry import register, switch


class Sender(Protocol):
    """As much of the history's writers as a story needs."""

    async def send(self, *commands: AnyCommand, actor_by: str | None = None) -> None:
        """One after the other; each is accepted."""


async def actors(writers: Sender) -> None:
    """One by a key, one by what somebody says, one from the topic, one by a signature, and one that says nothing."""
    await writers.send(register("v1", actor="ci"), actor_by="key")
    await writers.send(register("v2", actor="anonymous"), actor_by="claim")
    await writers.send(switch("v1", actor="topic:ada"), actor_by="topic")
    await writers.send(switch("v2", actor="mlflow"), actor_by="signature")
    await writers.send(switch("v1"))
