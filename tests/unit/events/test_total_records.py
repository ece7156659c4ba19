"""Record batches that no reader of aiokafka survived."""

import gzip
from collections.abc import Callable

import cramjam
import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from hotswap_stream.kafka import total_records
from hotswap_stream.kafka.total_records import TotalRecords

NAME = "XXXX"


def batch(*headers: str, compression: int = 0, value: bytes = b"v", base_offset: int = 0) -> bytearray:
    """One record for each header name."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=10_000_000,
    )
    for number, name in enumerate(headers):
        builder.append(number, timestamp=1_000, key=b"k%d" % number, value=value, headers=[(name, b"1")])
    built: bytearray = builder.build()
    built[:8] = base_offset.to_bytes(8, "big")
    return built


def read(data: bytes) -> list[tuple[int, bytes, str]]:
    records, found = TotalRecords(data), []
    while records.has_next():
        for record in records.next_batch():
            ((name, _value),) = record.headers
            found.append((record.offset, record.key, name))
    return found


def test_every_aiokafka_consumer_reads_by_it() -> None:
    assert fetcher.MemoryRecords is TotalRecords


def test_a_header_name_that_is_no_text_costs_nothing_but_the_name() -> None:
    """A record whose header name was not UTF-8 ended every consumer of its topic, again at each start."""
    bad = batch("good", NAME, "good").replace(NAME.encode(), b"\xff\xfe\xc0\x80")
    data = bytes(bad + batch("good", base_offset=3))
    assert read(data) == [(0, b"k0", "good"), (1, b"k1", "����"), (2, b"k2", "good"), (3, b"k0", "good")]


def test_what_is_no_record_at_all_is_stepped_over() -> None:
    broken = batch("good", NAME)
    broken[-1] = 0x7F  # one header more than there are
    broken[-8:-1] = b"\x7f" * 7
    assert read(bytes(broken + batch("good", base_offset=2)))[-1] == (2, b"k0", "good")


@pytest.mark.parametrize("compression", [1, 4])
def test_a_batch_that_unpacks_to_too_much_is_stepped_over(compression: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(total_records, "BATCH_BYTES_MAX", 4 * 1024 * 1024)
    bomb = batch("good", compression=compression, value=bytes(8 * 1024 * 1024))
    assert len(bomb) < 20_000
    assert read(bytes(bomb + batch("good", base_offset=1))) == [(1, b"k0", "good")]


@pytest.mark.parametrize("compression", [1, 4])
def test_a_batch_that_unpacks_to_enough_is_read(compression: int) -> None:
    large = batch("a", "b", compression=compression, value=bytes(3 * 1024 * 1024))
    assert [offset for offset, _key, _name in read(bytes(large))] == [0, 1]


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: bytes(cramjam.zstd.compress(data))])
@pytest.mark.parametrize("size", [0, 1, 1_000, 300_000])
def test_the_unpacked_size_is_never_told_too_small(pack: Callable[[bytes], bytes], size: int) -> None:
    packed = pack(bytes(range(256)) * (size // 256 + 1))
    codec = 1 if packed[:2] == b"\x1f\x8b" else 4
    assert total_records._unpacked_bytes(codec, packed) >= size
