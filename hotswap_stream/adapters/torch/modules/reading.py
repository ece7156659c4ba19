"""The weights within an artifact's bytes, used where they were read to."""

import math

import torch

from hotswap_stream.application.artifacts.file import ArtifactFormatError, tensor_places

TORCH_OF_SAFETENSORS: dict[str, torch.dtype] = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


def weights_in(content: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return name → tensor within this memory. ArtifactFormatError if the header does not fit the bytes."""
    tensors = {}
    for name, place in tensor_places(content.numpy().data).items():
        dtype = TORCH_OF_SAFETENSORS.get(place.dtype)
        if dtype is None:
            known = ", ".join(TORCH_OF_SAFETENSORS)
            raise ArtifactFormatError(f"tensor {name[:100]!r} is of type {place.dtype[:20]!r}; known are {known}")
        if math.prod(place.shape) * dtype.itemsize != place.end - place.start:
            raise ArtifactFormatError(
                f"tensor {name[:100]!r} of {place.dtype} {list(place.shape)} takes "
                f"{math.prod(place.shape) * dtype.itemsize} bytes, not {place.end - place.start}"
            )
        part = content[place.start : place.end]
        if place.start % dtype.itemsize:
            part = part.clone()
        tensors[name] = part.view(dtype).reshape(place.shape)
    return tensors
