"""Small artifacts for tests, made without torch."""

import numpy
import safetensors.numpy

from hotswap_stream.application.artifacts.file import pack_artifact
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec


def linear_manifest(features: int = 4, outputs: int = 2) -> ArtifactManifest:
    """The manifest of the registered architecture `linear`."""
    return ArtifactManifest(
        architecture="linear",
        arguments={"features": features, "outputs": outputs},
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, features)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, outputs)),),
        warm_up={"x": (1, features)},
    )


def linear_weights(features: int = 4, outputs: int = 2, seed: int = 0) -> bytes:
    """A safetensors file with the state of one linear layer."""
    generator = numpy.random.default_rng(seed)
    content: bytes = safetensors.numpy.save(
        {
            "weight": generator.standard_normal((outputs, features), dtype=numpy.float32),
            "bias": generator.standard_normal((outputs,), dtype=numpy.float32),
        }
    )
    return content


def linear_artifact(features: int = 4, outputs: int = 2, seed: int = 0) -> bytes:
    """A whole artifact file."""
    return pack_artifact(linear_manifest(features, outputs), linear_weights(features, outputs, seed))


def flip_bit(content: bytes, position: int) -> bytes:
    """The content with one bit changed in the byte at `position`."""
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
