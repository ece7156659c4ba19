"""Records of `hotswap.windows.<model>`: windows of steps, one per series, as workers keep them between requests.

The topic is compacted, and compaction keeps the last record of a key, not the highest request offset. A worker that was
paused may still write what it had; so every life of a worker writes under keys of its own, and of all records of one
series the one with the highest request offset holds. Each is what the requests up to that offset lead to, whoever
wrote it.
"""

from typing import Annotated

from msgspec import Meta, Struct

from hotswap_events.bounds import INT64_MAX, NAME_CHARACTERS_MAX, Count, Offset
from hotswap_events.inference.messages import DATATYPE_BYTES, NumberDatatype

CLIENTS_NOTICE_SECONDS_MAX = 5.0
"""Clients of models with windows choose partitions by key among as many as there were at most so long ago."""
WINDOW_BYTES_MAX = 512 * 1024
"""Bytes of the steps of one window; a record of the topic may have twice as many."""
WINDOW_IDS_MAX = 32
"""Ids of a series' latest requests that are kept, so that one that was written twice is taken in once."""

_WINDOW, _MARKER = b"/w/", b"/m"
_NewestOffset = Annotated[int, Meta(ge=-1, le=INT64_MAX)]
_TensorName = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
_Size = Annotated[int, Meta(ge=1, le=WINDOW_BYTES_MAX)]


class WindowRule(Struct, frozen=True, kw_only=True):
    """What is taken out of requests into windows, and how much of it is kept."""

    input: _TensorName
    """Name of the tensor that brings steps."""
    datatype: NumberDatatype
    features: _Size
    """Numbers of one step."""
    steps: _Size
    """Steps kept of a series: as many as the most that a version took so far."""
    allow_non_finite: bool = False

    def __post_init__(self) -> None:
        size_bytes = self.steps * self.features * DATATYPE_BYTES[self.datatype]
        if size_bytes > WINDOW_BYTES_MAX:
            raise ValueError(f"a window of {size_bytes} bytes; at most {WINDOW_BYTES_MAX} are kept")


class WindowRecord(Struct, frozen=True, kw_only=True):
    """The window of one series, as msgpack. The record's key: `<writer>/w/<series key>`; a null value: not kept."""

    request_offset: _NewestOffset
    """Of the request that brought the newest steps, in the request partition of the same number; -1: none that is
    there, because the topic was made anew."""
    input: _TensorName
    datatype: NumberDatatype
    features: _Size
    steps: _Size
    data: bytes
    """`steps` times `features` numbers, oldest step first, little-endian."""
    ids: Annotated[dict[str, Offset], Meta(max_length=WINDOW_IDS_MAX)] = {}
    """Ids of the latest requests that brought steps and had an id, oldest first, with their offsets."""


class WindowStatusRecord(Struct, frozen=True, kw_only=True):
    """A WindowRecord without its steps."""

    request_offset: _NewestOffset
    steps: _Size


class WindowsMarker(Struct, frozen=True, kw_only=True):
    """Where to go on reading requests, as msgpack.

    The record's key: `<writer>/m`. Of several the highest `next_offset` holds, and of those the highest `rule_number`.
    """

    next_offset: Offset
    """What requests below it brought is in the records before this one."""
    rule: WindowRule
    """For requests from `next_offset` on."""
    rule_number: Count
    evicted: Count = 0
    """Windows of this partition that made room for others, so far."""


def window_key(writer: str, series_key: bytes) -> bytes:
    """Return the key of a WindowRecord."""
    return writer.encode() + _WINDOW + series_key


def marker_key(writer: str) -> bytes:
    """Return the key of a WindowsMarker."""
    return writer.encode() + _MARKER


def parse_key(key: bytes | None) -> tuple[str, bytes | None] | None:
    """Return writer and series key (None: it is a marker), or None for a key that is not of this topic."""
    writer, slash, rest = (key or b"").partition(b"/")
    if not slash or not writer.isalnum():
        return None
    rest = slash + rest
    if rest.startswith(_WINDOW):
        return writer.decode(), rest[len(_WINDOW) :]
    return (writer.decode(), None) if rest == _MARKER else None
