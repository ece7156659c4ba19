"""The part of a release's history whose events say what their commands asked for, and that the topic is closed."""

from tests.replay.actor_history import Sender
from tests.support.samples.registry import register, stage, switch


async def commands(writers: Sender) -> None:
    """One by a key, and two from a topic that access rules close."""
    await writers.send(register("v1", command_id="nightly-1"), actor_by="key")
    await writers.send(stage("v1", command_id="nightly-2"), actor_by="acl")
    await writers.send(switch("v1", command_id="nightly-3"), actor_by="acl")
