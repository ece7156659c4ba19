"""The parameters of the trainers that come along, known without importing what they train with."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from hotswap_events.training.events import ParameterValue

Epochs = Annotated[int, Meta(ge=1, le=1_000)]
BatchSize = Annotated[int, Meta(ge=1, le=65_536)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
LearningRate = Annotated[float, Meta(gt=0.0, le=10.0)]
Share = Annotated[float, Meta(gt=0.0, lt=1.0)]
DEFAULT_CHARACTERS_MAX = 100
"""Length of a default value, as it is shown."""


class ImageClassifier(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A convolutional network on images of any shape and any number of classes.

    Its data: arrays `images` [rows, channels, height, width] of numbers, and `labels` [rows]; without a dataset the
    training part of the bundled digits.
    """

    epochs: Epochs = 12
    batch_size: BatchSize = 32
    learning_rate: LearningRate = 0.01
    seed: Seed = 0
    width: Annotated[int, Meta(ge=1, le=256)] = 8
    """Channels of the first convolution; the second has twice as many."""
    hidden: Annotated[int, Meta(ge=1, le=4_096)] = 32
    held_out: Share = 0.1
    """Part of the rows that is measured on and not trained on."""


class Forecaster(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next steps of series from their last ones.

    Its data: `series` [steps] or [series, steps], or windows `history` [rows, history, features] with `target`
    [rows, ahead, features]; without a dataset a seeded series with a daily shape.
    """

    history: Annotated[int, Meta(ge=1, le=4_096)] = 288
    ahead: Annotated[int, Meta(ge=1, le=4_096)] = 96
    epochs: Epochs = 20
    batch_size: BatchSize = 64
    learning_rate: LearningRate = 0.003
    seed: Seed = 0
    held_out: Share = 0.1


class Als(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Alternating least squares on what users chose: a recommender by two tables.

    Its data: `user` and `item` [rows] of whole numbers from 0, and `weight` [rows] where choices differ; or a dataset
    of chosen items, with the item as `labels`. Without a dataset seeded choices with planted taste.
    """

    factors: Annotated[int, Meta(ge=1, le=512)] = 32
    iterations: Annotated[int, Meta(ge=1, le=200)] = 10
    regularization: Annotated[float, Meta(gt=0.0, le=1_000.0)] = 0.05
    confidence: Annotated[float, Meta(ge=0.0, le=10_000.0)] = 20.0
    """How much more a choice counts than none: 1 + confidence × weight."""
    seed: Seed = 0


EstimatorName = Literal[
    "logistic-regression",
    "random-forest-classifier",
    "gradient-boosting-classifier",
    "linear-regression",
    "ridge",
    "random-forest-regressor",
    "gradient-boosting-regressor",
]


class Estimator(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An estimator of scikit-learn by name, published as an ONNX graph.

    Its data: one array `x` [rows, columns], or several of [rows], which become its columns by name, and `labels` or
    `target` [rows].
    """

    estimator: EstimatorName
    trees: Annotated[int, Meta(ge=1, le=2_000)] = 100
    """Trees of forests and of boosting."""
    depth_max: Annotated[int, Meta(ge=1, le=64)] | None = None
    strength: Annotated[float, Meta(gt=0.0, le=1e6)] = 1.0
    """`C` of a logistic regression, `alpha` of a ridge."""
    learning_rate: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.1
    """Learning rate of boosting."""
    scaled: bool = True
    """Whether numbers are scaled first; linear models need it."""
    held_out: Share = 0.2
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0


BUILT_IN_PARAMETERS: Mapping[str, type[Struct]] = {
    "image-classifier": ImageClassifier,
    "forecaster": Forecaster,
    "als": Als,
    "sklearn": Estimator,
}
"""Trainer → what it takes."""


def shown_parameters(wanted: type[Struct]) -> tuple[str, ...]:
    """Return the parameters that a trainer takes as `name=default`; without a default as the name alone."""
    found = msgspec.structs.fields(wanted)
    return tuple(f"{each.encode_name}={_shown(each)}" if not each.required else each.encode_name for each in found)


def _shown(field: msgspec.structs.FieldInfo) -> str:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return msgspec.json.encode(value, enc_hook=repr).decode()[:DEFAULT_CHARACTERS_MAX]


def wrong_parameters(
    trainer: str, parameters: Mapping[str, ParameterValue], wanted: type[Struct] | None = None
) -> str | None:
    """Return why a trainer refuses these parameters, or None; also None for one that is not known here.

    Args:
        trainer: Its name.
        parameters: As they were asked for.
        wanted: What it takes; None: looked up among those that come along.
    """
    wanted = wanted or BUILT_IN_PARAMETERS.get(trainer)
    if wanted is None:
        return None
    try:
        msgspec.convert(dict(parameters), wanted)
    except msgspec.ValidationError as error:
        fields = ", ".join(wanted.__struct_fields__)
        return f"trainer {trainer!r} does not take these parameters: {error}; it takes {fields or 'none'}"
    return None
