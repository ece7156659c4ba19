"""Between a worker and the process of a runtime: messages with their length before them, and arrays in them."""

import socket
import time
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from hotswap_stream.application.artifacts.manifest import Argument
from hotswap_stream.errors import HotswapError

Array = npt.NDArray[Any]

MESSAGE_BYTES_MAX = 1024**3
CHUNK_BYTES = 1024 * 1024
REASON_CHARACTERS_MAX = 2_000
_LENGTH_BYTES = 8
_KINDS = frozenset("?biuf")


class WireError(HotswapError):
    """The other side is gone, or sent what is no message."""


class WireArray(Struct, frozen=True, array_like=True):
    """An array. `dtype` is numpy's name of it, as "<f4"; texts are a list."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | list[str]


class LoadOrder(Struct, frozen=True, tag="load"):
    """Make this runtime ready. `modules` are those that the operator named."""

    runtime: str
    arguments: dict[str, Argument]
    modules: tuple[str, ...]
    memory_bytes_max: int = 0
    """Memory of the process, beside four times the artifact; 0: no limit."""
    pass_cpu_seconds_max: int = 0
    """Processor time of one pass, over all threads; 0: no limit."""


class InferOrder(Struct, frozen=True, tag="infer"):
    """Compute these."""

    inputs: dict[str, WireArray]


class CloseOrder(Struct, frozen=True, tag="close"):
    """Give back what is held, and end."""


class Done(Struct, frozen=True, tag="done"):
    """The order was carried out."""

    outputs: dict[str, WireArray] = {}


class Refused(Struct, frozen=True, tag="refused"):
    """The runtime raised an error."""

    reason: str
    by_input: bool = False
    """Whether the error is of a kind that a wrong input causes."""
    missing: bool = False
    """Whether no runtime of this name is installed."""
    ended: bool = False
    """Whether the process ends itself: it asked for more memory than it may have, and what it lacks is not known."""


Order = LoadOrder | InferOrder | CloseOrder
Reply = Done | Refused

ORDERS: "msgspec.msgpack.Decoder[Order]" = msgspec.msgpack.Decoder(Order)
REPLIES: "msgspec.msgpack.Decoder[Reply]" = msgspec.msgpack.Decoder(Reply)
_encoder = msgspec.msgpack.Encoder()


def send(connection: socket.socket, message: Struct) -> None:
    """Send one message. OSError; TimeoutError after the connection's time-out."""
    encoded = _encoder.encode(message)
    connection.sendall(len(encoded).to_bytes(_LENGTH_BYTES, "little"))
    connection.sendall(encoded)


def receive(connection: socket.socket, deadline_s: float | None = None) -> bytearray:
    """Return the bytes of one message.

    Args:
        connection: To the other side.
        deadline_s: Monotonic seconds; None: wait for ever.

    Raises:
        TimeoutError: The deadline has passed.
        WireError: The other side is gone, or announces more than is allowed.
        OSError: The connection is broken.
    """
    length = int.from_bytes(_exactly(connection, _LENGTH_BYTES, deadline_s), "little")
    if length > MESSAGE_BYTES_MAX:
        raise WireError(f"a message of {length} bytes; at most {MESSAGE_BYTES_MAX} are allowed")
    return _exactly(connection, length, deadline_s)


def _exactly(connection: socket.socket, length: int, deadline_s: float | None) -> bytearray:
    found = bytearray()
    while len(found) < length:
        if deadline_s is not None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)
        part = connection.recv(min(CHUNK_BYTES, length - len(found)))
        if not part:
            raise WireError("the other side is gone")
        found += part
    return found


def packed(name: str, array: object) -> WireArray:
    """Return an array as it travels.

    Raises:
        TypeError: It is no numpy array, or of a type that no datatype has.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name!r} is a {type(array).__name__}; a numpy array is needed")
    if array.dtype.kind in "OU":
        texts = array.ravel().tolist()
        wrong = next((text for text in texts if not isinstance(text, str)), None)
        if wrong is not None:
            raise TypeError(f"{name!r} holds a {type(wrong).__name__}; an array of objects holds texts alone")
        return WireArray("O", array.shape, texts)
    if array.dtype.kind not in _KINDS:
        raise TypeError(f"{name!r} is of type {array.dtype}; numbers, truth values and texts can be answered")
    little = array.dtype.newbyteorder("<")
    return WireArray(little.str, array.shape, np.asarray(array, dtype=little, order="C").tobytes())


def unpacked(array: WireArray) -> Array:
    """Return an array that may be written to.

    Raises:
        ValueError: Its data do not fit its shape.
    """
    if isinstance(array.data, list):
        texts = np.empty(len(array.data), dtype=object)
        texts[:] = array.data
        return texts.reshape(array.shape)
    dtype = np.dtype(array.dtype)
    if dtype.kind not in _KINDS:
        raise ValueError(f"an array of type {array.dtype[:20]!r}")
    return np.frombuffer(bytearray(array.data), dtype=dtype).reshape(array.shape)
