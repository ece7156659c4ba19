"""A torch module under a name: `hotswap-stream train digits --architecture example-digits`."""

from torch import nn

from hotswap_stream.plugins import Signature, TensorSpec, architecture


def describe(hidden: int = 32) -> Signature:
    """Return what goes in and out of the module that `build` returns for the same arguments."""
    del hidden  # the shapes do not depend on it
    return Signature(
        inputs=(TensorSpec(name="image", datatype="FP32", shape=(-1, 1, 28, 28)),),
        outputs=(TensorSpec(name="scores", datatype="FP32", shape=(-1, 10)),),
        warm_up={"image": (1, 1, 28, 28)},
    )


@architecture("example-digits", describe)
def build(hidden: int = 32) -> nn.Module:
    """Return a network of one hidden layer, with random weights."""
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, hidden), nn.GELU(), nn.Linear(hidden, 10))
