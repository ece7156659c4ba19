"""scikit-learn's bundled handwritten digits: 1,797 real 8×8 images, brought to 1×28×28, split once and for all."""

import gzip
import hashlib
import importlib.metadata
from pathlib import Path

import numpy
import torch
from msgspec import Struct

from hotswap_stream.adapters.torch.data.labeled_images import LabeledImages
from hotswap_stream.adapters.torch.modules.architectures import CLASSES
from hotswap_stream.errors import ConfigurationError

DIGITS_FILE = "sklearn/datasets/data/digits.csv.gz"
"""Read from scikit-learn's files: to import sklearn.datasets takes 2 s and 100 MB, in every training run."""

DIGITS_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"

SIZE_BEFORE, SIZE_AFTER = 8, 28
INK_MAX = 16
"""The bundled images count ink from 0 to 16."""

VALIDATION_SHARE = 0.15
HELD_OUT_SHARE = 0.15
SPLIT_SEED = 20_240_229


class DigitsSplit(Struct, frozen=True, kw_only=True, eq=False):
    """Three sets with no image in common, each with the classes in the same proportions."""

    train: LabeledImages
    validation: LabeledImages
    """Decides on promotion: always the same, named by its digest."""
    held_out: LabeledImages
    """Never seen by a decision; for tests and reports."""


def load_digits_split(seed: int = SPLIT_SEED) -> DigitsSplit:
    """Return 1,259 images to train on, 269 to validate on and 269 held out.

    Args:
        seed: The same seed gives the same split everywhere.

    Raises:
        ConfigurationError: scikit-learn, which brings the images, is not installed.
    """
    digits = _load_digits()
    generator = torch.Generator().manual_seed(seed)
    rows: dict[str, list[torch.Tensor]] = {"train": [], "validation": [], "held-out": []}
    for label in range(CLASSES):
        of_class = torch.nonzero(digits.labels == label).flatten()
        of_class = of_class[torch.randperm(len(of_class), generator=generator)]
        validation = round(len(of_class) * VALIDATION_SHARE)
        held_out = round(len(of_class) * HELD_OUT_SHARE)
        rows["validation"].append(of_class[:validation])
        rows["held-out"].append(of_class[validation : validation + held_out])
        rows["train"].append(of_class[validation + held_out :])
    train, validation_set, held_out_set = (
        digits.take(torch.cat(parts).sort().values, split=name, split_seed=seed) for name, parts in rows.items()
    )
    return DigitsSplit(train=train, validation=validation_set, held_out=held_out_set)


def _load_digits() -> LabeledImages:
    table = _read_table()
    ink = table[:, :-1].reshape(-1, SIZE_BEFORE, SIZE_BEFORE)
    weights = _bilinear_weights()
    # Integers until the one division at the end, so the pixels, and with them every digest, are the same on any CPU.
    scaled = weights @ ink @ weights.T
    images = (scaled / (INK_MAX * (2 * SIZE_AFTER) ** 2)).astype(numpy.float32)
    return LabeledImages(
        images=torch.from_numpy(images).unsqueeze(1),
        labels=torch.from_numpy(table[:, -1].copy()),
        description={"source": "scikit-learn digits", "scaling": "bilinear 8 to 28"},
    )


def _read_table() -> numpy.typing.NDArray[numpy.int64]:
    """Return int64 [1797, 65]: 64 pixels from 0 to 16 and the label, per image."""
    try:
        path = Path(str(importlib.metadata.distribution("scikit-learn").locate_file(DIGITS_FILE)))
        content = path.read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        raise ConfigurationError(
            f"scikit-learn's digits cannot be read ({error}); 'pip install hotswap-stream[train]' brings them"
        ) from error
    if hashlib.sha256(content).hexdigest() != DIGITS_SHA256:
        raise ConfigurationError(f"{path} is not the digits file every scikit-learn release had until now")
    return numpy.loadtxt(gzip.decompress(content).decode().splitlines(), delimiter=",", dtype=numpy.int64)


def _bilinear_weights() -> numpy.typing.NDArray[numpy.int64]:
    """Return int64 [28, 8]: what each source pixel gives to each target pixel, in 56ths.

    Pixel centres keep their place.
    """
    unit = 2 * SIZE_AFTER
    weights = numpy.zeros((SIZE_AFTER, SIZE_BEFORE), dtype=numpy.int64)
    for target in range(SIZE_AFTER):
        place = (2 * target + 1) * SIZE_BEFORE - SIZE_AFTER
        place = min(max(place, 0), (SIZE_BEFORE - 1) * unit)
        source, part = divmod(place, unit)
        weights[target, source] += unit - part
        if part:
            weights[target, source + 1] += part
    return weights
