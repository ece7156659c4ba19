"""What a load test sends: a few bodies made before it begins, so that making them costs the test nothing."""

import math
import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hotswap_events.inference.messages import (
    DATATYPE_BYTES,
    JSON_CONTENT_TYPE,
    MSGPACK_CONTENT_TYPE,
    Datatype,
    InferRequest,
    InferTensor,
)
from hotswap_stream.application.inference.binary_tensors import HEADER_LENGTH, encode_request
from hotswap_stream.application.inference.byte_strings import pack_strings
from hotswap_stream.application.inference.tensor_values import STRUCT_CODES, flat_values
from hotswap_stream.client.errors import LoadError
from hotswap_stream.client.tensors import infer_tensors

Format = Literal["json", "msgpack", "binary"]

PAYLOADS_MAX = 64
PAYLOADS_BYTES_MAX = 16 * 1_048_576
DATA_BYTES_MAX = 1_073_741_824
INTEGERS_BELOW = 100
WORDS = ("red", "green", "blue", "small", "large", "")
TEXT_BYTES = 9
"""About what one of them takes."""

_OCTETS = "application/octet-stream"


class InputSpec(Struct, frozen=True, kw_only=True):
    """One input of the model, its shape without the batch dimension and without free sizes."""

    name: str
    datatype: Datatype
    row_shape: tuple[int, ...]
    has_rows: bool = True
    """False: the model takes each request's tensors as they are, and this is the whole shape."""


class Payload(Struct, frozen=True, kw_only=True):
    """One body and what must be said about it."""

    body: bytes
    content_type: str
    json_bytes: int | None = None
    """The bytes of the JSON, in a body with raw tensors after it."""

    def http_headers(self) -> dict[str, str]:
        """As HTTP headers."""
        length = {} if self.json_bytes is None else {HEADER_LENGTH: str(self.json_bytes)}
        return {"content-type": self.content_type, **length}


def random_payloads(inputs: Sequence[InputSpec], *, rows: int, body_format: Format, seed: int) -> tuple[Payload, ...]:
    """Bodies of normally distributed floats, small integers, booleans and words; the same seed gives the same bytes."""
    chance = random.Random(seed)  # noqa: S311  # not a secret
    row_bytes = sum(math.prod(spec.row_shape) * DATATYPE_BYTES.get(spec.datatype, TEXT_BYTES) for spec in inputs)
    count = max(1, min(PAYLOADS_MAX, PAYLOADS_BYTES_MAX // max(1, rows * row_bytes)))
    return tuple(
        encode([_random_tensor(spec, rows, chance) for spec in inputs], body_format=body_format) for _ in range(count)
    )


def _random_tensor(spec: InputSpec, rows: int, chance: random.Random) -> InferTensor:
    shape = [rows, *spec.row_shape] if spec.has_rows else list(spec.row_shape)
    count = math.prod(shape)
    values: list[Any]
    if spec.datatype == "BYTES":
        data = pack_strings(chance.choice(WORDS) for _ in range(count))
        return InferTensor(name=spec.name, shape=shape, datatype="BYTES", data=data)
    if spec.datatype.startswith("FP"):
        values = [chance.gauss(0.0, 1.0) for _ in range(count)]
    elif spec.datatype == "BOOL":
        values = [chance.random() < 0.5 for _ in range(count)]
    else:
        values = [chance.randrange(INTEGERS_BELOW) for _ in range(count)]
    raw = struct.pack(f"<{count}{STRUCT_CODES[spec.datatype]}", *values)
    return InferTensor(name=spec.name, shape=shape, datatype=spec.datatype, data=raw)


def file_payloads(path: Path, input_names: Sequence[str], *, rows: int, body_format: Format) -> tuple[Payload, ...]:
    """Bodies of the rows of an .npy (one input) or .npz (an array for each input). LoadError if not."""
    import numpy as np

    try:
        if path.stat().st_size > DATA_BYTES_MAX:
            raise LoadError(f"{path} has more than {DATA_BYTES_MAX} bytes; that is the most that is read")
        loaded = np.load(path, allow_pickle=False)
        arrays: dict[str, Any] = (
            {input_names[0]: loaded}
            if isinstance(loaded, np.ndarray)
            else {name: loaded[name] for name in loaded.files}
        )
    except (OSError, ValueError) as error:
        raise LoadError(f"{path} cannot be read as .npy or .npz: {error}") from error
    if sorted(arrays) != sorted(input_names):
        raise LoadError(f"{path} holds {sorted(arrays)}; the model takes {sorted(input_names)}")
    lengths = {array.shape[0] if array.ndim else 0 for array in arrays.values()}
    if len(lengths) != 1 or min(lengths) < 1:
        raise LoadError(f"the arrays in {path} have {sorted(lengths)} rows; all need the same number, at least 1")
    return tuple(encode(infer_tensors(part), body_format=body_format) for part in _parts(arrays, lengths.pop(), rows))


def _parts(arrays: Mapping[str, Any], length: int, rows: int) -> Iterator[dict[str, Any]]:
    """Rows in turn, starting over at the end, until all were used or there are enough bytes."""
    import numpy as np

    used_bytes = start = 0
    while start < length and used_bytes < PAYLOADS_BYTES_MAX:
        chosen = np.arange(start, start + rows) % length
        part = {name: array[chosen] for name, array in arrays.items()}
        used_bytes += sum(array.nbytes for array in part.values())
        yield part
        start += rows


def encode(tensors: list[InferTensor], *, body_format: Format) -> Payload:
    """Return a request as a body: JSON with lists, msgpack with raw tensors, or JSON with raw tensors after it."""
    if body_format == "binary":
        body, json_bytes = encode_request(InferRequest(inputs=tensors))
        return Payload(body=body, content_type=_OCTETS, json_bytes=json_bytes)
    if body_format == "msgpack":
        return Payload(body=msgspec.msgpack.encode(InferRequest(inputs=tensors)), content_type=MSGPACK_CONTENT_TYPE)
    listed = [msgspec.structs.replace(tensor, data=flat_values(tensor)) for tensor in tensors]
    return Payload(body=msgspec.json.encode(InferRequest(inputs=listed)), content_type=JSON_CONTENT_TYPE)
