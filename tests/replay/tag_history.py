"""The part of a release's history that has tags and aliases."""

from typing import Protocol

from hotswap_events.commands import AnyCommand
from hotswap_events.registry.tags import DESCRIPTION_TAG
from tests.support.samples.registry import artifact_of, register
from tests.support.samples.tags import set_alias, tag


class Sender(Protocol):
    """As much of the history's writers as a story needs."""

    async def send(self, *commands: AnyCommand) -> None:
        """One after the other; each is accepted."""


async def tags(writers: Sender) -> None:
    """A model begins without versions; its tags, a version's and aliases are set, changed and removed."""
    await writers.send(
        tag(model_name="faces"),
        register("v1", model_name="faces", artifact=artifact_of("faces")),
        tag(None, {"team": "ä", DESCRIPTION_TAG: "Written digits."}, reason="begun by another registry's client"),
        register("v1", tags={"kept": "1", "changed": "1", "removed": "1"}),
        tag("v1", {"changed": "2", "new": ""}, "removed"),
        register("v2"),
        set_alias("blue", "v1"),
        set_alias("green", "v1"),
        set_alias("blue", "v2", reason="it is better"),
        set_alias("green"),
        tag(None, {}, "team"),
    )
