"""Architectures by name. A manifest names one and gives its arguments: code never comes out of an artifact.

A module gets its inputs as positional arguments in the manifest's order and returns a tensor, or a tuple or a dict of
tensors, for the manifest's outputs.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import nn

from hotswap_stream.application.artifacts.heuristic import CONSTANT, parse_outputs
from hotswap_stream.application.artifacts.manifest import Argument, ArtifactManifest, TensorSpec, WindowSpec
from hotswap_stream.application.plugins.finding import find_plugin, package_of
from hotswap_stream.application.plugins.names import MissingPlugin, MissingPluginError, PluginKey
from hotswap_stream.application.plugins.registered import Registered, registered_keys
from hotswap_stream.application.plugins.registered import Signature as Signature
from hotswap_stream.application.plugins.registered import architecture as architecture
from hotswap_stream.errors import HotswapError

CLASSES = 10
"""Number of digits, and of classes in everything here that classifies them."""

SPREAD_MIN = 1e-4
"""Added to a history's spread, so that one that stands still can be divided by it."""


class UnknownArchitectureError(MissingPluginError):
    """No architecture is registered under this name."""

    def __init__(self, missing: MissingPlugin, why: str = "", known: Sequence[str] = ()) -> None:
        shown = f"known are {', '.join(known)}" if known else ""
        super().__init__(missing, "; ".join(filter(None, (why, shown))))


class ArchitectureArgumentsError(HotswapError):
    """The architecture does not take these arguments."""


def architecture_names() -> tuple[str, ...]:
    """Return the names that were registered in this process, sorted."""
    return tuple(key.name for key in registered_keys() if key.kind == "architecture")


def module_of_architecture(name: str) -> str:
    """Return the Python module whose import registers it. UnknownArchitectureError."""
    return _find(name).module


def build_module(name: str, arguments: Mapping[str, Argument]) -> nn.Module:
    """Return a new module with random weights. UnknownArchitectureError, ArchitectureArgumentsError."""
    module = _call(name, _find(name).build, arguments)
    if not isinstance(module, nn.Module):
        raise ArchitectureArgumentsError(f"architecture {name!r} returned a {type(module).__name__}, no torch module")
    return module


def manifest_of(name: str, arguments: Mapping[str, Argument]) -> ArtifactManifest:
    """Return the manifest of the architecture with these arguments. The same errors as `build_module`."""
    found = _find(name)
    describe = found.describe
    assert describe is not None  # noqa: S101 - architectures have one
    _bind(name, found.build, arguments)
    package = package_of(PluginKey("architecture", name))

    def manifest(**arguments: Argument) -> ArtifactManifest:
        signature = describe(**arguments)
        return ArtifactManifest(
            architecture=name,
            arguments=arguments,
            inputs=signature.inputs,
            outputs=signature.outputs,
            warm_up=signature.warm_up,
            window=signature.window,
            package=package,
        )

    return _call(name, manifest, arguments)


_R = TypeVar("_R")


def _find(name: str) -> Registered:
    try:
        return find_plugin(PluginKey("architecture", name))
    except MissingPluginError as error:
        raise UnknownArchitectureError(error.missing, error.why, architecture_names()) from None


def _bind(name: str, function: Callable[..., object], arguments: Mapping[str, Argument]) -> None:
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise ArchitectureArgumentsError(
            f"architecture {name!r} takes {inspect.signature(function)}, not {dict(arguments)}: {error}"
        ) from error


def _call(name: str, function: Callable[..., _R], arguments: Mapping[str, Argument]) -> _R:
    _bind(name, function, arguments)
    try:
        return function(**arguments)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ArchitectureArgumentsError(f"architecture {name!r} with {dict(arguments)}: {error}") from error


def _classifier(*item: int) -> Signature:
    """Return the signature: one batch of FP32 items in, one row of ten scores (logits) per item out."""
    return Signature(
        inputs=(TensorSpec(name="image", datatype="FP32", shape=(-1, *item)),),
        outputs=(TensorSpec(name="scores", datatype="FP32", shape=(-1, CLASSES)),),
        warm_up={"image": (1, *item)},
    )


@architecture("digits-cnn", lambda: _classifier(1, 28, 28))
def digits_cnn() -> nn.Module:
    """26,698 parameters; learns the bundled digits in seconds on one core."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 7 * 7, 32),
        nn.ReLU(),
        nn.Linear(32, CLASSES),
    )


@architecture("cnn-28", lambda: _classifier(1, 28, 28))
def cnn_28() -> nn.Module:
    """1,199,882 parameters: two convolutions, a pool and two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128),
        nn.ReLU(),
        nn.Linear(128, CLASSES),
    )


@architecture("ffnn-784-32-32-32-10", lambda: _classifier(784))
def ffnn() -> nn.Module:
    """27,562 parameters: three hidden layers of 32."""
    return nn.Sequential(
        nn.Linear(784, 32),
        nn.ReLU(),
        nn.Linear(32, 32),
        nn.ReLU(),
        nn.Linear(32, 32),
        nn.ReLU(),
        nn.Linear(32, CLASSES),
    )


def _image_signature(
    channels: int,
    height: int,
    width: int,
    classes: int,
    filters: int = 8,  # noqa: ARG001 - as the class takes them
    hidden: int = 32,  # noqa: ARG001
) -> Signature:
    return Signature(
        inputs=(TensorSpec(name="image", datatype="FP32", shape=(-1, channels, height, width)),),
        outputs=(TensorSpec(name="scores", datatype="FP32", shape=(-1, classes)),),
        warm_up={"image": (1, channels, height, width)},
    )


@architecture("image-classifier", _image_signature)
def image_classifier(
    channels: int, height: int, width: int, classes: int, filters: int = 8, hidden: int = 32
) -> nn.Module:
    """Two convolutions that halve the image, and two linear layers: images of any shape, any number of classes."""
    if min(channels, height, width, filters, hidden) < 1 or classes < 2:
        raise ValueError("sizes from 1, and two classes or more, are needed")
    rows, columns = -(-height // 4), -(-width // 4)
    return nn.Sequential(
        nn.Conv2d(channels, filters, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(filters, 2 * filters, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * filters * rows * columns, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


def _forecaster_signature(history: int, ahead: int, features: int = 1) -> Signature:
    return Signature(
        inputs=(TensorSpec(name="history", datatype="FP32", shape=(-1, history, features)),),
        outputs=(TensorSpec(name="forecast", datatype="FP32", shape=(-1, ahead, features)),),
        warm_up={"history": (1, history, features)},
        window=WindowSpec(input="history", steps=history),
    )


@architecture("forecaster", _forecaster_signature)
class Forecaster(nn.Module):
    """The next `ahead` steps of a series from its last `history` ones, each feature by itself.

    A linear map beside a narrow one with a bend, of the history with its mean taken off and divided by its spread: so
    the level and the size of a series do not matter.
    """

    def __init__(self, history: int, ahead: int, features: int = 1) -> None:
        super().__init__()
        if min(history, ahead, features) < 1:
            raise ValueError(f"history, ahead and features are {history}, {ahead}, {features}; at least 1 is needed")
        self.straight = nn.Linear(history, ahead)
        self.bent = nn.Sequential(nn.Linear(history, 32), nn.ReLU(), nn.Linear(32, ahead))

    def forward(self, history: torch.Tensor) -> torch.Tensor:
        """[rows, history, features] to [rows, ahead, features]."""
        series = history.transpose(1, 2)
        mean = series.mean(dim=2, keepdim=True)
        spread = ((series - mean) ** 2).mean(dim=2, keepdim=True).sqrt() + SPREAD_MIN
        scaled = (series - mean) / spread
        forecast: torch.Tensor = (self.straight(scaled) + self.bent(scaled)) * spread + mean
        return forecast.transpose(1, 2)


@architecture("forecaster-288-96", lambda features=1: _forecaster_signature(288, 96, features))
def forecaster_288_96(features: int = 1) -> nn.Module:
    """40,160 parameters: a day of five-minute steps in, eight hours out."""
    return Forecaster(288, 96, features)


def _linear_signature(features: int = 4, outputs: int = 2) -> Signature:
    return Signature(
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, features)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, outputs)),),
        warm_up={"x": (1, features)},
    )


@architecture("linear", _linear_signature)
def linear(features: int = 4, outputs: int = 2) -> nn.Module:
    """One linear layer: the smallest thing that can be trained, swapped and computed by hand."""
    return nn.Linear(features, outputs)


_RECOMMENDER = Signature(
    inputs=(TensorSpec(name="ids", datatype="INT64", shape=(-1, 2)),),
    outputs=(TensorSpec(name="score", datatype="FP32", shape=(-1, 1)),),
    warm_up={"ids": (1, 2)},
)


@architecture("recommender", lambda users, items, dimensions=64: _RECOMMENDER)  # noqa: ARG005  # as the class takes them
class Recommender(nn.Module):
    """How much a user may like an item: the product of two embeddings. Large tables, of which a request reads two rows.

    A row of `ids` is a user from 0 to `users` - 1 and an item from 0 to `items` - 1; others are the request's failure.
    """

    def __init__(self, users: int, items: int, dimensions: int = 64) -> None:
        super().__init__()
        self.users = nn.Embedding(users, dimensions)
        self.items = nn.Embedding(items, dimensions)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids [rows, 2] → score [rows, 1], from 0 to 1."""
        return torch.sigmoid((self.users(ids[:, 0]) * self.items(ids[:, 1])).sum(dim=1, keepdim=True))


_CONSTANT_DTYPES = {"FP32": torch.float32, "FP64": torch.float64, "INT32": torch.int32, "INT64": torch.int64}


def _constant_signature(outputs: str = "y:FP32:1") -> Signature:
    return Signature(
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 1)),),
        outputs=parse_outputs(outputs),
        warm_up={"x": (1, 1)},
    )


@architecture(CONSTANT, _constant_signature)
class Constant(nn.Module):
    """The same answer for each row, whatever comes in: a fallback that cannot fail.

    It takes the inputs of the model that it stands in for.
    """

    def __init__(self, outputs: str = "y:FP32:1") -> None:
        super().__init__()
        specs = parse_outputs(outputs)
        self._names = tuple(f"output_{position}" for position in range(len(specs)))
        for name, spec in zip(self._names, specs, strict=True):
            self.register_buffer(name, torch.zeros(spec.shape[1:], dtype=_CONSTANT_DTYPES[spec.datatype]))

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return one copy of the answer per row."""
        rows = inputs[0].shape[0]
        answers = [self.get_buffer(name) for name in self._names]
        return tuple(answer.unsqueeze(0).repeat(rows, *(1 for _ in answer.shape)) for answer in answers)
