"""The exact model as an artifact. A module of its own, so that what only checks or sends does not load torch."""

import torch
from torch import nn

from hotswap_stream.adapters.torch.modules.architectures import manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from tests.torture.exact_model import BIAS, FEATURES, OUTPUTS, weights


def artifact(value: int) -> bytes:
    """The artifact of the version with this value, 1 to 10,000."""
    if not 1 <= value <= 10_000:
        raise ValueError(f"value must be 1 to 10000, not {value}")
    module = nn.Linear(FEATURES, OUTPUTS)
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weights(value), dtype=torch.float32))
        module.bias.copy_(torch.tensor([BIAS * value, -BIAS * value], dtype=torch.float32))
    return save_module(module, manifest_of("linear", {}))
