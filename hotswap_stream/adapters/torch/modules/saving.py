"""From a module to an artifact file."""

import safetensors.torch
from torch import nn

from hotswap_stream.application.artifacts.file import pack_artifact
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.errors import HotswapError


class ModuleNotSavableError(HotswapError):
    """The module's weights cannot be written as safetensors, for instance because two names share one tensor."""


def save_module(module: nn.Module, manifest: ArtifactManifest) -> bytes:
    """Return an artifact file with the module's state. Same state and manifest, same bytes. ModuleNotSavableError."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    try:
        # Only one metadata key: with more, their order in the file would change from run to run.
        weights = safetensors.torch.save(state, metadata={"format": "pt"})
    except (RuntimeError, ValueError) as error:
        raise ModuleNotSavableError(f"module of architecture {manifest.architecture!r}: {error}") from error
    return pack_artifact(manifest, weights)
