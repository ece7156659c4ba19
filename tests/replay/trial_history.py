"""The part of a release's history that has graphs from elsewhere, with what their trials measured."""

from typing import Protocol

from msgspec.structs import replace

from hotswap_events.commands import AnyCommand
from hotswap_events.inference.signature import ModelSignature, TensorSignature
from hotswap_events.registry.events import ArtifactTrial
from tests.support.samples.registry import artifact_of, register, validate

_FIRST = ArtifactTrial(executor="onnx", load_ms=12.5, resident_bytes=4_194_304, first_ms=3.25, warm_ms=0.125)
_SMALL = ArtifactTrial(executor="onnx", load_ms=0.0, resident_bytes=0, first_ms=0.5, warm_ms=0.0625)
_SIGNATURE = ModelSignature(
    inputs=(TensorSignature(name="x", datatype="FP32", shape=(-1, 4)),),
    outputs=(
        TensorSignature(name="probabilities", datatype="FP32", shape=(-1, 2)),
        TensorSignature(name="label", datatype="BYTES", shape=(-1,)),
    ),
)


class Sender(Protocol):
    """As much of the history's writers as a story needs."""

    async def send(self, *commands: AnyCommand) -> None:
        """One after the other; each is accepted."""


async def trials(writers: Sender) -> None:
    """A version whose artifact was tried, one by another worker's figures, and one whose kind needs no trial."""
    await writers.send(
        register("v1", trial=_FIRST, artifact=replace(artifact_of("v1"), signature=_SIGNATURE)),
        validate("v1", promote_first=True),
        register("v2", trial=_SMALL, tags={"framework": "scikit-learn"}),
        register("v3"),
    )
