"""A registered heuristic: an artifact that answers the same for each row, in the form of the model it stands in for.

It is a version like any other, so nothing about serving it is special. Made without torch.
"""

import math
import struct
from collections.abc import Mapping, Sequence

import msgspec

from hotswap_stream.application.artifacts.file import pack_artifact
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.errors import HotswapError

CONSTANT = "constant"
"""Name of the architecture."""

_FORMATS = {"FP32": ("F32", "f"), "FP64": ("F64", "d"), "INT32": ("I32", "i"), "INT64": ("I64", "q")}
"""Datatype → safetensors' name of it, and `struct`'s letter."""


class WrongHeuristicError(HotswapError):
    """The answer does not fit the model it is for; the message says what would."""


def constant_artifact(like: ArtifactManifest, answer: Mapping[str, Sequence[float]]) -> bytes:
    """Make an artifact that takes what another model takes, and gives the same for each row.

    Args:
        like: The manifest of the other model.
        answer: Output name → the values of one row, row-major.

    Raises:
        WrongHeuristicError: The values do not fit the manifest's outputs.
    """
    names = [spec.name for spec in like.outputs]
    if sorted(answer) != sorted(names):
        raise WrongHeuristicError(f"values are given for {sorted(answer)}; the model answers {sorted(names)}")
    manifest = msgspec.structs.replace(
        like,
        kind="architecture",
        architecture=CONSTANT,
        arguments={"outputs": ";".join(_described(spec) for spec in like.outputs)},
        runtime="",
        package=None,
    )
    header: dict[str, object] = {}
    data = b""
    for position, spec in enumerate(like.outputs):
        dtype, values = _FORMATS[spec.datatype][0], _packed(spec, answer[spec.name])
        header[f"output_{position}"] = {
            "dtype": dtype,
            "shape": list(spec.shape[1:]),
            "data_offsets": [len(data), len(data) + len(values)],
        }
        data += values
    encoded = msgspec.json.encode(header)
    return pack_artifact(manifest, len(encoded).to_bytes(8, "little") + encoded + data)


def parse_outputs(text: str) -> tuple[TensorSpec, ...]:
    """Read outputs from the architecture's argument: `scores:FP32:10;boxes:FP32:2x4`, without the batch.

    Raises:
        ValueError: The text is not such.
    """
    specs: list[TensorSpec] = []
    for part in text.split(";"):
        name, _, rest = part.partition(":")
        datatype, _, sizes = rest.partition(":")
        if datatype not in _FORMATS:
            raise ValueError(f"output {part!r} is not valid: NAME:DATATYPE:SIZExSIZE, with {', '.join(_FORMATS)}")
        shape = tuple(int(size) for size in sizes.split("x") if size)
        if any(size < 1 for size in shape):
            raise ValueError(f"output {part!r} is not valid: sizes are from 1")
        specs.append(msgspec.convert({"name": name, "datatype": datatype, "shape": (-1, *shape)}, TensorSpec))
    return tuple(specs)


def _described(spec: TensorSpec) -> str:
    if spec.datatype not in _FORMATS:
        raise WrongHeuristicError(
            f"output {spec.name!r} is {spec.datatype}; a constant answer can be {', '.join(_FORMATS)}"
        )
    if spec.shape[0] != -1 or -1 in spec.shape[1:]:
        raise WrongHeuristicError(
            f"output {spec.name!r} has shape {list(spec.shape)}; a constant answer needs all sizes but the first fixed"
        )
    return f"{spec.name}:{spec.datatype}:{'x'.join(map(str, spec.shape[1:]))}"


def _packed(spec: TensorSpec, values: Sequence[float]) -> bytes:
    wanted = math.prod(spec.shape[1:])
    if len(values) != wanted:
        raise WrongHeuristicError(
            f"{len(values)} values for output {spec.name!r} of shape {list(spec.shape)}; {wanted} are needed"
        )
    letter = _FORMATS[spec.datatype][1]
    whole = letter in "iq"
    if not all(math.isfinite(value) and (not whole or value == int(value)) for value in values):
        kind = "whole" if whole else "finite"
        raise WrongHeuristicError(f"the values of output {spec.name!r} must be {kind} numbers")
    try:
        return struct.pack(f"<{wanted}{letter}", *(int(value) if whole else value for value in values))
    except (struct.error, OverflowError) as error:
        raise WrongHeuristicError(f"a value of output {spec.name!r} does not fit {spec.datatype}: {error}") from error
