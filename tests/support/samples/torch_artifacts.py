"""Artifacts made by torch, whose answers a test knows beforehand."""

import torch
from torch import nn

from hotswap_stream.adapters.torch.modules.architectures import manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module

GOOD, OVERFLOWING = [0.0, 0.0, 0.0, 0.0], [100.0, 100.0, 100.0, 100.0]
"""A row that the fragile artifact bears, and one that it does not."""


def artifact_scoring(*scores: float) -> bytes:
    """An artifact whose every answer is these two scores."""
    module = nn.Linear(4, 2)
    nn.init.zeros_(module.weight)
    module.bias.data = torch.tensor(scores)
    return save_module(module, manifest_of("linear", {}))


def fragile_artifact() -> bytes:
    """Answers [2, 2] for zeros; infinity, which is a failure, for large numbers."""
    module = nn.Linear(4, 2)
    nn.init.constant_(module.weight, 5e37)
    nn.init.constant_(module.bias, 2.0)
    return save_module(module, manifest_of("linear", {}))
