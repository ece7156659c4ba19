"""Architectures for tests of executors. Importable by name, so that another process can export them."""

import torch
from torch import nn

from hotswap_stream.adapters.torch.modules.architectures import Signature, architecture
from hotswap_stream.application.artifacts.manifest import TensorSpec


def _signature(rows: int = -1) -> Signature:
    return Signature(
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(rows, 4)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(rows, 4)),),
        warm_up={"x": (3, 4)},
    )


class _Mixes(nn.Module):
    """Each row's answer depends on the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale - x.mean(0, keepdim=True)


class _Pair(nn.Module):
    """Two inputs, and two outputs by name in another order than the manifest's."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor, index: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.linear(x) + index
        return {"label": scores.argmax(1), "scores": scores}


def _pair_signature() -> Signature:
    return Signature(
        inputs=(
            TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),
            TensorSpec(name="index", datatype="INT64", shape=(-1, 1)),
        ),
        outputs=(
            TensorSpec(name="scores", datatype="FP32", shape=(-1, 2)),
            TensorSpec(name="label", datatype="INT64", shape=(-1,)),
        ),
        warm_up={"x": (1, 4), "index": (1, 1)},
    )


class _Stubborn(nn.Module):
    """Cannot be exported: what it does depends on the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) if float(x.sum()) > 0 else self.linear(-x)  # type: ignore[no-any-return]


architecture("test-rows-mix", _signature)(_Mixes)
architecture("test-fixed-rows", lambda: _signature(3))(lambda: nn.Linear(4, 4))
architecture("test-two-inputs", _pair_signature)(_Pair)
architecture("test-stubborn", _signature)(_Stubborn)
