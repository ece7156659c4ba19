"""The part of a release's history that has versions of one artifact that are computed differently."""

from typing import Protocol

from hotswap_events.commands import AnyCommand
from hotswap_events.registry.version_options import VersionOptions
from tests.support.samples.registry import artifact_of, promote, register, validate


class Sender(Protocol):
    """As much of the history's writers as a story needs."""

    async def send(self, *commands: AnyCommand) -> None:
        """One after the other; each is accepted."""


async def version_options(writers: Sender) -> None:
    """One artifact as it is, by one executor alone, and in lower precision, which takes over."""
    artifact = artifact_of("v1")
    await writers.send(
        register("v1", artifact=artifact),
        validate("v1", promote_first=True),
        register("v2", artifact=artifact, options=VersionOptions(executor="onnxruntime")),
        register("v3", artifact=artifact, options=VersionOptions(executor="openvino", precision="bf16")),
        register("v4", artifact=artifact, options=VersionOptions(precision="bf16")),
        validate("v4", 0.969, ("v1", 0.97)),
        promote("v4", reason="agrees with v1"),
    )
