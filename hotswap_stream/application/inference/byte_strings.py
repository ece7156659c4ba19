"""Elements of datatype BYTES in raw form: each one's length in 4 bytes, little-endian, then the element itself.

Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from collections.abc import Iterable
from typing import Any

LENGTH_BYTES = 4


def pack_strings(values: Iterable[str | bytes]) -> bytes:
    """Return the elements one after the other, texts as UTF-8.

    Raises:
        ValueError: A text has no UTF-8, because it holds half of a surrogate pair.
    """
    parts: list[bytes] = []
    for value in values:
        content = value.encode() if isinstance(value, str) else value
        parts.append(len(content).to_bytes(LENGTH_BYTES, "little"))
        parts.append(content)
    return b"".join(parts)


def unpack_strings(data: bytes | memoryview, count: int) -> list[str]:
    """Return exactly `count` elements, which must use up the bytes.

    Raises:
        ValueError: They do not, or an element is no UTF-8.
    """
    if count * LENGTH_BYTES > len(data):
        raise ValueError(f"{len(data)} bytes cannot hold {count} elements with lengths of {LENGTH_BYTES} bytes each")
    values: list[str] = []
    position = 0
    for number in range(count):
        start = position + LENGTH_BYTES
        end = start + int.from_bytes(data[position:start], "little")
        if start > len(data) or end > len(data):
            raise ValueError(f"element {number} ends after the last of {len(data)} bytes")
        try:
            values.append(str(data[start:end], "utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(f"element {number} is no UTF-8: {error.reason}") from error
        position = end
    if position != len(data):
        raise ValueError(f"{len(data) - position} bytes follow the last of {count} elements")
    return values


def texts_of(values: Iterable[Any]) -> list[str]:
    """Return the elements of a list as texts.

    Raises:
        ValueError: One is neither a text nor UTF-8 bytes.
    """
    texts: list[str] = []
    for number, value in enumerate(values):
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, bytes):
            try:
                texts.append(value.decode())
            except UnicodeDecodeError as error:
                raise ValueError(f"element {number} is no UTF-8: {error.reason}") from error
        else:
            raise ValueError(f"element {number} is a {type(value).__name__}; a text is needed")
    return texts
