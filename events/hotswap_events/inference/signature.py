"""What goes into a version and comes out of it: what its users' requests must have, and may rely on."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.inference.messages import Datatype

TENSORS_MAX = 64
DIMENSIONS_MAX = 8
NAME_CHARACTERS_MAX = 128

_Size = Annotated[int, Meta(ge=-1)]


class TensorSignature(Struct, frozen=True, kw_only=True, gc=False):
    """One input or output."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    datatype: Datatype
    shape: Annotated[tuple[_Size, ...], Meta(max_length=DIMENSIONS_MAX)]
    """-1 where the size is free. The first dimension is the batch, unless requests are not batched."""


_Tensors = Annotated[tuple[TensorSignature, ...], Meta(min_length=1, max_length=TENSORS_MAX)]


class ModelSignature(Struct, frozen=True, kw_only=True, gc=False):
    """All of them, in order."""

    inputs: _Tensors
    outputs: _Tensors
    batching: Literal["rows", "request"] = "rows"
    """`request`: each request is computed by itself, over exactly its tensors."""
