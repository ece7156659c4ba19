"""Images with their labels: what is trained on and measured on, and how such a set is named by its content."""

import hashlib
import json
from collections.abc import Mapping

import torch
from msgspec import Struct

from hotswap_stream.adapters.torch.modules.architectures import CLASSES

IMAGE_SHAPE = (1, 28, 28)
"""Channels, rows, columns."""


class LabeledImages(Struct, frozen=True, kw_only=True, eq=False):
    """`images` float32 [n, 1, 28, 28] from 0 (paper) to 1 (ink); `labels` int64 [n] from 0 to 9."""

    images: torch.Tensor
    labels: torch.Tensor
    description: dict[str, str | int | float]
    """Where the set comes from, and all that is needed to make it again."""

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.images.dtype != torch.float32 or tuple(self.images.shape) != (count, *IMAGE_SHAPE):
            raise ValueError(
                f"images are {self.images.dtype} {list(self.images.shape)}; "
                f"torch.float32 {[count, *IMAGE_SHAPE]} is needed for {count} labels"
            )
        if self.labels.dtype != torch.int64 or self.labels.dim() != 1:
            raise ValueError(f"labels are {self.labels.dtype} {list(self.labels.shape)}; torch.int64 [n] is needed")
        if count == 0:
            raise ValueError("the set is empty; at least one image is needed")
        if not bool(torch.isfinite(self.images).all()):
            raise ValueError("images hold NaN or infinity; finite numbers are needed")
        lowest, highest = int(self.labels.min()), int(self.labels.max())
        if lowest < 0 or highest >= CLASSES:
            raise ValueError(f"labels reach from {lowest} to {highest}; 0 to {CLASSES - 1} is needed")

    def __len__(self) -> int:
        return len(self.labels)

    def digest(self) -> str:
        """Return `sha256:<hex>` over description, images and labels. The same data have the same digest everywhere."""
        found = hashlib.sha256()
        found.update(json.dumps({**self.description, "count": len(self)}, sort_keys=True).encode())
        for tensor in (self.images, self.labels):
            found.update(tensor.contiguous().numpy().data)
        return f"sha256:{found.hexdigest()}"

    def take(self, rows: torch.Tensor, **description: str | int | float) -> "LabeledImages":
        """Return the set of these rows (int64 indices), with additions to the description."""
        return LabeledImages(
            images=self.images[rows], labels=self.labels[rows], description={**self.description, **description}
        )

    def changed(
        self,
        description: Mapping[str, str | int | float],
        *,
        images: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> "LabeledImages":
        """Return the set with other images or labels, and with that in the description."""
        return LabeledImages(
            images=self.images if images is None else images,
            labels=self.labels if labels is None else labels,
            description={**self.description, **description},
        )
