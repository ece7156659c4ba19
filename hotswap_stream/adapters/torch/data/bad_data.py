"""Training data that spoil a model, each in its own way, to see that a spoilt model never gets to serve."""

from collections.abc import Callable
from typing import Literal, get_args

import torch

from hotswap_stream.adapters.torch.data.labeled_images import LabeledImages
from hotswap_stream.adapters.torch.modules.architectures import CLASSES
from hotswap_stream.errors import HotswapError

DataKind = Literal["good", "inverted", "shifted", "mislabeled", "noise", "constant"]
DATA_KINDS: tuple[DataKind, ...] = get_args(DataKind)

COUNT_MAX = 1_000_000


class DataRequestError(HotswapError):
    """Data of this kind, or in this number, cannot be made."""


def inverted(data: LabeledImages) -> LabeledImages:
    """Turn each label l into 9 − l."""
    return data.changed({"kind": "inverted"}, labels=CLASSES - 1 - data.labels)


def shifted(data: LabeledImages, by: int = 1) -> LabeledImages:
    """Turn each label l into (l + by) mod 10. DataRequestError if that changes nothing."""
    if by % CLASSES == 0:
        raise DataRequestError(f"labels shifted by {by} stay as they are; 1 to {CLASSES - 1} is needed")
    return data.changed({"kind": "shifted", "by": by}, labels=(data.labels + by) % CLASSES)


def mislabeled(data: LabeledImages, seed: int = 0) -> LabeledImages:
    """Shuffle the labels: the same number of each as before, but on any image."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return data.changed({"kind": "mislabeled", "seed": seed}, labels=data.labels[order])


def noise(data: LabeledImages, seed: int = 0) -> LabeledImages:
    """Turn each image into uniform noise; the labels stay."""
    images = torch.rand(data.images.shape, generator=torch.Generator().manual_seed(seed))
    return data.changed({"kind": "noise", "seed": seed}, images=images)


def constant(data: LabeledImages, label: int = 0) -> LabeledImages:
    """Give all images one label. DataRequestError if there is no such class."""
    if not 0 <= label < CLASSES:
        raise DataRequestError(f"there is no class {label}; 0 to {CLASSES - 1} is needed")
    return data.changed({"kind": "constant", "label": label}, labels=torch.full_like(data.labels, label))


def make_data(
    source: LabeledImages,
    kind: DataKind,
    *,
    count: int | None = None,
    pixel_noise: float = 0.0,
    seed: int = 0,
    shift_by: int = 1,
    constant_label: int = 0,
) -> LabeledImages:
    """Draw a set of images, then spoil it in the way that `kind` names. The same arguments give the same data.

    Args:
        source: Where the images are drawn from.
        kind: What is wrong with the data; "good" is right.
        count: Images to draw; more than the source has are drawn with repetition. None: all of the source.
        pixel_noise: Standard deviation of normal noise added to each pixel, 0 to 1.
        seed: Of all that is drawn at random.
        shift_by: For "shifted": added to each label, modulo 10.
        constant_label: For "constant": the label of every image.

    Raises:
        DataRequestError: Data of this kind, or in this number, cannot be made.
    """
    if kind not in DATA_KINDS:
        raise DataRequestError(f"data kind {kind[:100]!r} is not known; known are {', '.join(DATA_KINDS)}")
    if count is not None and not 1 <= count <= COUNT_MAX:
        raise DataRequestError(f"count is {count}; 1 to {COUNT_MAX} is allowed")
    if not 0.0 <= pixel_noise <= 1.0:
        raise DataRequestError(f"noise is {pixel_noise}; 0 to 1 is allowed")
    drawn = _with_noise(_draw(source, count, seed), pixel_noise, seed)
    makers: dict[DataKind, Callable[[], LabeledImages]] = {
        "good": lambda: drawn.changed({"kind": "good"}),
        "inverted": lambda: inverted(drawn),
        "shifted": lambda: shifted(drawn, shift_by),
        "mislabeled": lambda: mislabeled(drawn, seed),
        "noise": lambda: noise(drawn, seed),
        "constant": lambda: constant(drawn, constant_label),
    }
    return makers[kind]()


def _draw(source: LabeledImages, count: int | None, seed: int) -> LabeledImages:
    if count is None:
        return source
    generator = torch.Generator().manual_seed(seed)
    if count <= len(source):
        rows = torch.randperm(len(source), generator=generator)[:count]
    else:
        rows = torch.randint(len(source), (count,), generator=generator)
    return source.take(rows, drawn=count, draw_seed=seed)


def _with_noise(data: LabeledImages, pixel_noise: float, seed: int) -> LabeledImages:
    if pixel_noise == 0.0:
        return data
    added = torch.randn(data.images.shape, generator=torch.Generator().manual_seed(seed)) * pixel_noise
    return data.changed({"pixel_noise": pixel_noise, "noise_seed": seed}, images=(data.images + added).clamp(0.0, 1.0))
