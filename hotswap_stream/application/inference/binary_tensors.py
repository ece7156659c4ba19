"""The Open Inference Protocol over HTTP: JSON, and its binary tensor extension.

With the extension a body is JSON followed by the raw bytes of tensors, little-endian and row-major, in the order of the
JSON; the header `Inference-Header-Content-Length` says how many bytes the JSON has, `binary_data_size` of each tensor
how many of the rest are its own.
Extension: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import math
from collections.abc import Collection, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from hotswap_events.inference.messages import (
    AnswerFacts,
    Datatype,
    Dimension,
    InferRequest,
    InferResponse,
    InferTensor,
    RequestedOutput,
    RequestId,
)
from hotswap_stream.application.inference.byte_strings import unpack_strings
from hotswap_stream.application.inference.extensions import refused_parameter
from hotswap_stream.application.inference.tensor_values import TextTensor, flat_values, tensor_bytes

HEADER_LENGTH = "Inference-Header-Content-Length"

_LENGTH_DIGITS_MAX = 18


class WrongBodyError(ValueError):
    """The body is not an inference request or answer; the message says why."""


class WireTensor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tensor in the JSON. Its data are either here or, with `binary_data_size` in the parameters, after the JSON."""

    name: str
    shape: Annotated[list[Dimension], Meta(max_length=8)]
    datatype: Datatype
    data: list[Any] | UnsetType = UNSET
    parameters: dict[str, Any] = {}


class WireOutput(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An output the caller wants; `binary_data` in the parameters says how."""

    name: str
    parameters: dict[str, Any] = {}


class WireRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The JSON of a request."""

    inputs: Annotated[list[WireTensor], Meta(min_length=1, max_length=64)]
    id: RequestId | None = None
    parameters: dict[str, Any] = {}
    outputs: list[WireOutput] = []


class WireResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The JSON of an answer."""

    model_name: str
    model_version: str
    outputs: list[WireTensor]
    parameters: AnswerFacts
    id: RequestId | None = None


class HttpRequest(Struct, frozen=True, kw_only=True):
    """A request, and in which form its answer is wanted."""

    request: InferRequest
    """Its tensors are TextTensors unless there is `any_binary`."""
    any_binary: bool
    """Whether any input came, or any output is wanted, as bytes."""
    binary_by_default: bool
    binary_by_output: dict[str, bool]

    def binary_outputs(self, names: Collection[str]) -> set[str]:
        """Return those of these outputs that are wanted as bytes."""
        return {name for name in names if self.binary_by_output.get(name, self.binary_by_default)}


class _ReceivedTensor(WireTensor, frozen=True, kw_only=True):
    """A tensor whose numbers are not read yet."""

    data: msgspec.Raw | UnsetType = UNSET  # type: ignore[assignment]


class _ReceivedRequest(WireRequest, frozen=True, kw_only=True):
    inputs: Annotated[list[_ReceivedTensor], Meta(min_length=1, max_length=64)]  # type: ignore[assignment]


_requests = msgspec.json.Decoder(_ReceivedRequest)
_responses = msgspec.json.Decoder(WireResponse)
_msgpack = msgspec.msgpack.Encoder()
_lists = msgspec.json.Decoder(list[Any])


def decode_request(body: bytes, header_length: str | None) -> HttpRequest:
    """Decode a request's body.

    Args:
        body: JSON, and the raw bytes of tensors after it.
        header_length: The value of the header that says where the JSON ends, if there is one.

    Raises:
        WrongBodyError: It is no inference request; the message says why.
    """
    text, binary = _split(body, header_length)
    try:
        wire = _requests.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongBodyError(f"not an inference request: {error}") from error
    for given in (wire.parameters, *(output.parameters for output in wire.outputs)):
        if given and (wrong := refused_parameter(given)):
            raise WrongBodyError(wrong)
    by_default = wire.parameters.get("binary_data_output") is True
    by_output = {output.name: output.parameters.get("binary_data", by_default) is True for output in wire.outputs}
    any_binary = bool(len(binary)) or (any(by_output.values()) if by_output else by_default)
    inputs = _join(wire.inputs, binary, as_text=not any_binary)
    parameters = {name: value for name, value in wire.parameters.items() if name != "binary_data_output"}
    outputs = [RequestedOutput(name=output.name) for output in wire.outputs]
    return HttpRequest(
        request=InferRequest(inputs=inputs, id=wire.id, parameters=parameters, outputs=outputs),
        any_binary=any_binary,
        binary_by_default=by_default,
        binary_by_output=by_output,
    )


def encode_response(response: InferResponse, binary_outputs: Collection[str]) -> tuple[bytes, int | None]:
    """Encode an answer's body; return it with the bytes of its JSON if bytes of tensors follow it."""
    tensors, chunks = _part(response.outputs, binary_outputs)
    wire = WireResponse(
        model_name=response.model_name,
        model_version=response.model_version,
        outputs=tensors,
        parameters=response.parameters,
        id=response.id,
    )
    return _assemble(wire, chunks)


def encode_request(request: InferRequest) -> tuple[bytes, int | None]:
    """Encode a request's body with raw tensors after the JSON; all outputs are wanted as bytes."""
    tensors, chunks = _part(request.inputs, {tensor.name for tensor in request.inputs})
    wire = WireRequest(
        inputs=tensors,
        id=request.id,
        parameters={**request.parameters, "binary_data_output": True},
        outputs=[WireOutput(name=output.name) for output in request.outputs],
    )
    return _assemble(wire, chunks)


def decode_response(body: bytes, header_length: str | None) -> InferResponse:
    """Decode an answer's body.

    Args:
        body: JSON, and the raw bytes of tensors after it.
        header_length: The value of the header that says where the JSON ends, if there is one.

    Raises:
        WrongBodyError: It is no answer; the message says why.
    """
    text, binary = _split(body, header_length)
    try:
        wire = _responses.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongBodyError(f"not an answer: {error}") from error
    return InferResponse(
        model_name=wire.model_name,
        model_version=wire.model_version,
        outputs=_join(wire.outputs, binary),
        parameters=wire.parameters,
        id=wire.id,
    )


def _split(body: bytes, header_length: str | None) -> tuple[memoryview, memoryview]:
    view = memoryview(body)
    if header_length is None:
        return view, view[len(view) :]
    text = header_length.strip()
    if not (text.isascii() and text.isdigit()) or len(text) > _LENGTH_DIGITS_MAX:
        raise WrongBodyError(f"{HEADER_LENGTH} is {header_length[:100]!r}; the number of bytes of the JSON is needed")
    length = int(text)
    if length > len(view):
        raise WrongBodyError(f"{HEADER_LENGTH} is {length}, but the body has only {len(view)} bytes")
    return view[:length], view[length:]


def _join(tensors: Sequence[WireTensor], binary: memoryview, *, as_text: bool = False) -> list[InferTensor]:
    """Return tensors with their data, from the JSON or from the bytes after it, which must be used up exactly."""
    joined = []
    position = 0
    for tensor in tensors:
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            joined.append(_listed(tensor, as_text=as_text))
        else:
            wanted = tensor_bytes(tensor.datatype, tensor.shape)
            if tensor.data is not UNSET:
                raise WrongBodyError(f"tensor {tensor.name!r} has both 'data' and a 'binary_data_size'")
            if type(size) is not int or size < 0 or (wanted is not None and size != wanted):
                raise WrongBodyError(
                    f"tensor {tensor.name!r} has binary_data_size {size!r}; shape {tensor.shape} of {tensor.datatype} "
                    f"takes {'as many as its texts have' if wanted is None else wanted}"
                )
            if position + size > len(binary):
                raise WrongBodyError(
                    f"tensor {tensor.name!r} ends {position + size - len(binary)} bytes after the end of the body"
                )
            data = bytes(binary[position : position + size])
            if wanted is None:
                _check_strings(tensor, data)
            position += size
            joined.append(InferTensor(name=tensor.name, shape=tensor.shape, datatype=tensor.datatype, data=data))
    if position != len(binary):
        raise WrongBodyError(f"{len(binary) - position} of the {len(binary)} bytes after the JSON belong to no tensor")
    return joined


def _check_strings(tensor: WireTensor, data: bytes) -> None:
    try:
        unpack_strings(data, math.prod(tensor.shape))
    except ValueError as error:
        raise WrongBodyError(f"tensor {tensor.name!r} of shape {tensor.shape}: {error}") from error


def _listed(tensor: WireTensor, *, as_text: bool) -> InferTensor:
    """Return a tensor whose numbers are in the JSON; `as_text`: without reading them where it can be."""
    data: Any = tensor.data
    if data is UNSET:
        raise WrongBodyError(f"tensor {tensor.name!r} has neither 'data' nor a 'binary_data_size'")
    if isinstance(data, msgspec.Raw):
        if as_text and _is_plain(bytes(data)):
            return TextTensor(name=tensor.name, shape=tensor.shape, datatype=tensor.datatype, data=data)
        try:
            data = _lists.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WrongBodyError(f"not an inference request: data of tensor {tensor.name!r}: {error}") from error
        if not as_text:
            _check_integers(tensor.name, data)
    return InferTensor(name=tensor.name, shape=tensor.shape, datatype=tensor.datatype, data=data)


def _check_integers(name: str, data: list[Any]) -> None:
    """Raise WrongBodyError for an integer of more than 64 bits: msgpack, in which raw tensors travel, has none."""
    try:
        _msgpack.encode(data)
    except OverflowError:
        raise WrongBodyError(f"data of tensor {name!r}: an integer takes more than 64 bits") from None


def _is_plain(text: bytes) -> bool:
    """Return whether a JSON value is a list in which nothing has to be looked at before it is passed on.

    A number with an exponent may be out of range, and a string may be no UTF-8: these are refused here, before a record
    of them is written.
    """
    return text[:1] == b"[" and not any(sign in text for sign in (b"e", b"E", b'"'))


def _part(tensors: list[InferTensor], binary: Collection[str]) -> tuple[list[WireTensor], list[bytes]]:
    """Return the JSON's tensors, and the bytes that follow it."""
    parted, chunks = [], []
    for tensor in tensors:
        facts: dict[str, Any] = {"name": tensor.name, "shape": tensor.shape, "datatype": tensor.datatype}
        if tensor.name in binary and isinstance(tensor.data, bytes):
            chunks.append(tensor.data)
            parted.append(WireTensor(**facts, parameters={"binary_data_size": len(tensor.data)}))
        elif isinstance(tensor.data, bytes):
            parted.append(WireTensor(**facts, data=flat_values(tensor)))
        else:
            parted.append(WireTensor(**facts, data=tensor.data))
    return parted, chunks


def _assemble(wire: WireRequest | WireResponse, chunks: list[bytes]) -> tuple[bytes, int | None]:
    text = msgspec.json.encode(wire)
    return (b"".join([text, *chunks]), len(text)) if chunks else (text, None)
