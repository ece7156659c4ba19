"""What the caller of `publish` says about a model, beside the model."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct


class Wishes(Struct, frozen=True, kw_only=True):
    """See the arguments of `publish`."""

    example: Any = None
    labels: Sequence[str] | None = None
    compare: bool = True
    difference_max: float | None = None
    label_agreement_min: float = 1.0
    free: Mapping[str, Sequence[int]] = {}
    warm_up: Mapping[str, Sequence[int]] = {}
    batching: Literal["rows", "request"] | None = None
    allow_non_finite: bool | None = None
    trust_file: bool = False
    beside: Mapping[str, str | os.PathLike[str]] = {}
