"""The part of a release's history that has profiles of training data: first, replaced, and gone with the artifact."""

from typing import Protocol

from hotswap_events.commands import AnyCommand
from tests.support.samples.profiles import profile
from tests.support.samples.registry import register, validate
from tests.support.samples.rollouts import delete_artifact

_THREE = "BQEPAIAACAADAAAAAAAAAIAAAQB9AAAAAACAPgAAQD8AAEA/AAAAPwAAgD4="
"""0.25, 0.5 and 0.75: as text, because another release of the library may write the same values otherwise."""
_ONE = "AgIPBIAACAAAAAA/"
"""0.5."""


class Sender(Protocol):
    """As much of the history's writers as a story needs."""

    async def send(self, *commands: AnyCommand) -> None:
        """One after the other; each is accepted."""


async def profiles(writers: Sender) -> None:
    """Every way a profile comes and goes."""
    await writers.send(
        register("v1"),
        profile("v1", source="first week", rows=3, sketches={"input": _THREE}),
        validate("v1", promote_first=True),
        profile("v1", source="both weeks", rows=4, sketches={"input": _THREE, "input.0": _ONE, "score": _THREE}),
        register("v2"),
        profile("v2", source="first week", rows=1, sketches={"score": _ONE}, reason="trained elsewhere"),
        delete_artifact("v2", actor="janitor"),
    )
