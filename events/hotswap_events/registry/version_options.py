"""How a version is computed, beside its artifact: the same artifact with other options is another version."""

from typing import Annotated

from msgspec import Meta, Struct

F32, BF16 = "f32", "bf16"


class VersionOptions(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What computes a version, and how precisely. Names are texts, so that those of later releases can be read."""

    executor: Annotated[str, Meta(max_length=64)] | None = None
    """The only one that may compute it; absent: each worker takes the fastest whose outputs are right."""
    precision: Annotated[str, Meta(max_length=16)] = F32
    """`f32`: as the artifact says; `bf16`: with numbers of 16 bits, whose results differ from those."""


PLAIN = VersionOptions()
"""Those of a version that names none."""
