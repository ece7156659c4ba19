"""aiokafka's reading of record batches, made total: no record that a broker stores ends the consumer that reads it.

Two kinds did, for every reader of their topic and again at each start (aiokafka 0.14):

- a header whose name is no UTF-8. The protocol says it is, brokers do not look, and clients in C and Go send any bytes.
  aiokafka raises `UnicodeDecodeError` for it, and fetches the same batch again. Here the name is read with replacement
  characters instead, so that key, value and offset are what all other readers see.
- a batch of a few kilobytes that unpacks to gigabytes. Here one that unpacks to more than `BATCH_BYTES_MAX` is stepped
  over, and the log says which.

Importing this module is enough: aiokafka builds what it reads by a name in one of its modules, which is given another
meaning here. Whoever reads Kafka by aiokafka imports it.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import structlog
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy

_log = structlog.get_logger(__name__)

BATCH_BYTES_MAX = 256 * 1024 * 1024
"""Bytes of one batch, unpacked; as sent it has at most what its topic takes in one."""

_GZIP, _ZSTD = 1, 4
"""Codecs by which a batch grows more than some hundred times when it is unpacked."""
_LENGTH = struct.Struct(">i")
_LENGTH_AT = 8
_OVERHEAD = 12
_PAYLOAD_AT = 61
"""Where the records of a batch begin, packed or not (magic 2)."""

_AiokafkaRecords: Any = fetcher.MemoryRecords


class TotalRecords:
    """What a fetch brought from one partition, with those methods of aiokafka's own class that its fetcher calls."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records = _AiokafkaRecords(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """Return the size of all batches."""
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        """Return whether there is one more whole batch."""
        more: bool = self._records.has_next()
        return more

    def next_batch(self) -> "TotalBatch":
        """Return the next batch."""
        begin = self._at
        (length,) = _LENGTH.unpack_from(self._data, begin + _LENGTH_AT)
        self._at = begin + _OVERHEAD + length
        return TotalBatch(self._records.next_batch(), memoryview(self._data)[begin : self._at])


class TotalBatch:
    """One batch; everything but the way through its records is aiokafka's."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        if _unpacks_to_too_much(self._batch, self._data):
            _log.error("batch_skipped", offset=self._batch.base_offset, cause=f"more than {BATCH_BYTES_MAX} bytes")
            return
        read = 0
        try:
            for record in self._batch:
                read += 1
                yield record
            return
        except GeneratorExit:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it would be raised again and again
            cause = f"{type(error).__name__}: {error}"
        _log.warning("batch_read_leniently", offset=self._batch.base_offset, cause=cause)
        yield from _leniently(self._data, skipped=read)


def _leniently(data: memoryview, *, skipped: int) -> Iterator[Any]:
    """Yield the batch's records after the first `skipped`, as far as there is sense in them."""
    position = 0
    try:
        batch = _DefaultRecordBatchPy(data)
        batch._maybe_uncompress()
        batch._buffer = _LenientText(batch._buffer)
        for position, record in enumerate(batch):
            if position >= skipped:
                yield record
    except GeneratorExit:
        raise
    except Exception as error:  # noqa: BLE001 - nobody can read the rest
        _log.error("records_skipped", after_records=position, cause=f"{type(error).__name__}: {error}")


class _LenientText(bytearray):
    """Bytes whose parts are decoded with replacement characters where they are no text."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return found if isinstance(found, int) else _LenientText(found)

    def decode(self, encoding: str = "utf-8", _errors: str = "replace") -> str:
        return bytes(self).decode(encoding, "replace")


def _unpacks_to_too_much(batch: Any, data: memoryview) -> bool:
    codec = getattr(batch, "compression_type", 0)
    if codec not in (_GZIP, _ZSTD) or batch.magic < 2:
        return False
    packed = bytes(data[_PAYLOAD_AT:])
    return _unpacked_bytes(codec, packed) > BATCH_BYTES_MAX


def _unpacked_bytes(codec: int, packed: bytes) -> int:
    """Return how many bytes it unpacks to, counted up to a little more than the limit, without holding them."""
    if codec == _GZIP:
        unpacker, count = zlib.decompressobj(zlib.MAX_WBITS | 32), 0
        while packed and count <= BATCH_BYTES_MAX and not unpacker.eof:
            count += len(unpacker.decompress(packed, 1_048_576))
            packed = unpacker.unconsumed_tail
        return count
    return _zstd_bytes(packed)


def _zstd_bytes(packed: bytes) -> int:
    """Return the same by the largest size of each block (RFC 8878): a block unpacks to 128 KiB at most."""
    count, at = 0, 0
    while at + 4 <= len(packed):
        magic = int.from_bytes(packed[at : at + 4], "little")
        at += 4
        if 0x184D2A50 <= magic <= 0x184D2A5F:  # a frame to skip
            at += 4 + int.from_bytes(packed[at : at + 4], "little")
            continue
        if magic != 0xFD2FB528 or at >= len(packed):
            break
        descriptor = packed[at]
        single = descriptor >> 5 & 1
        size_bytes = (single, 2, 4, 8)[descriptor >> 6]
        at += 1 + (not single) + (0, 1, 2, 4)[descriptor & 3] + size_bytes
        last = False
        while not last and at + 3 <= len(packed):
            head = int.from_bytes(packed[at : at + 3], "little")
            last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
            count += size if kind < 2 else 131_072
            at += 3 + (1 if kind == 1 else size)
        at += 4 if descriptor >> 2 & 1 else 0
    return count


fetcher.MemoryRecords = TotalRecords  # see above
