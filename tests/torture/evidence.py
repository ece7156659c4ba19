"""Keeps what the brokers have of some requests and their answers, before the cluster is gone: as they wrote it to disk.

A client sees records; the log's files have their batches, too, and so which producer wrote what: its id, its epoch and
the number of its first record. A request that is there twice by one producer in one epoch is a fault of the brokers;
under a new epoch, it was the producer that wrote it again.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import DefaultRecordBatch
from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_events.inference.answers import offset_of
from tests.torture.findings import Place

PARTITIONS_MAX = 6
"""As many of the partitions that the places name are kept."""
AROUND = 25
"""Requests before and after each place."""
READ_BYTES_MAX = 64 * 2**20
"""Of the files of one partition on one broker."""
KEPT_BYTES_MAX = 2 * 2**20
"""Of one topic's partition."""
_HEADER_CHARACTERS_MAX = 200
_VALUE_CHARACTERS_MAX = 400
_FRAME = struct.Struct(">qi")
_BATCH = struct.Struct(">qiibIhiqqqhii")
"""https://kafka.apache.org/documentation/#recordbatch"""


class Batch(Struct, frozen=True):
    """A record batch as a broker keeps it."""

    base_offset: int
    last_offset: int
    leader_epoch: int
    checksum: int
    max_timestamp_ms: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int


def keep(places: Sequence[Place], data_dirs: Sequence[Path], topics: tuple[str, str], folder: Path) -> list[str]:
    """Write down what is around the places into files in `folder`. Blocking. OSError.

    Args:
        places: Requests.
        data_dirs: Where each broker has its data.
        topics: That of the requests and that of the answers.
        folder: It is made.

    Returns:
        What is worth saying, in lines.
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_partition: dict[int, list[int]] = {}
    for place in places:
        by_partition.setdefault(place.partition, []).append(place.offset)
    said = []
    for partition, offsets in list(by_partition.items())[:PARTITIONS_MAX]:
        for topic in topics:
            name = f"{topic}-{partition}"
            copies = [list(_batches(data_dir / name)) for data_dir in data_dirs]
            best = max(copies, key=len, default=[])
            if not best:
                continue
            heads = [head for head, _ in best]
            with (folder / f"{name}.jsonl").open("wb") as file:
                _write(file, _differences(copies))
                _write(file, _turns(heads))
                for line in _records(best, offsets, requests=topic == topics[0]):
                    if file.tell() > KEPT_BYTES_MAX:
                        break
                    _write(file, [line])
        said += [_wrote(partition, offset, data_dirs, topics[0]) for offset in offsets]
    return [line for line in said if line]


def _batches(folder: Path) -> Iterator[tuple[Batch, bytes]]:
    """Read the batches of a partition's log; of a folder that is not there, none."""
    read = 0
    for path in sorted(folder.glob("*.log")):
        content = path.read_bytes()[: READ_BYTES_MAX - read]
        read += len(content)
        at = 0
        while at + _BATCH.size <= len(content):
            _, length = _FRAME.unpack_from(content, at)
            end = at + _FRAME.size + length
            if length <= 0 or end > len(content):  # half a batch: written when the broker was killed, or cut off here
                break
            yield _head(content, at), content[at:end]
            at = end


def _head(content: bytes, at: int) -> Batch:
    base, _, leader_epoch, _, checksum, _, delta, _, latest_ms, producer, epoch, sequence, count = _BATCH.unpack_from(
        content, at
    )
    return Batch(base, base + delta, leader_epoch, checksum, latest_ms, producer, epoch, sequence, count)


def _differences(copies: Sequence[Sequence[tuple[Batch, bytes]]]) -> Iterator[dict[str, Any]]:
    """Say where the brokers' copies are not the same."""
    yield {"batches_by_broker": [len(copy) for copy in copies]}
    for found in zip(*([head for head, _ in copy] for copy in copies if copy), strict=False):
        if len({(head.base_offset, head.checksum) for head in found}) > 1:
            yield {"copies_differ_from": found}
            return


def _turns(heads: Sequence[Batch]) -> Iterator[dict[str, Any]]:
    """Name the batches with which another producer, or another epoch of one, begins or goes on."""
    latest: tuple[int, int] | None = None
    for head in heads:
        now = head.producer_id, head.producer_epoch
        if now != latest:
            yield {"producer_changes": head}
        latest = now


def _records(
    batches: Sequence[tuple[Batch, bytes]], offsets: Sequence[int], *, requests: bool
) -> Iterator[dict[str, Any]]:
    """Give the batches and records around the places; those of answers are found by the request that they name."""
    for head, content in batches:
        if requests and not any(
            head.base_offset <= offset + AROUND and head.last_offset >= offset - AROUND for offset in offsets
        ):
            continue
        near, unreadable = [], None
        try:
            for record in DefaultRecordBatch(content):
                named = record.offset if requests else offset_of(dict(record.headers).get(header_names.REQUEST_OFFSET))
                if named is not None and any(abs(named - offset) <= AROUND for offset in offsets):
                    near.append(record)
        except (ValueError, KafkaError) as error:  # a name of a header may be no text
            unreadable = repr(error)
        if near or unreadable:
            yield {"batch": head, "unreadable": unreadable}
        for record in near:
            yield {
                "offset": record.offset,
                "timestamp_ms": record.timestamp,
                "headers": [[name, _text(value, _HEADER_CHARACTERS_MAX)] for name, value in record.headers],
                "value": _text(record.value, _VALUE_CHARACTERS_MAX),
            }


def _wrote(partition: int, offset: int, data_dirs: Sequence[Path], topic: str) -> str:
    """Say who wrote a request."""
    for data_dir in data_dirs:
        for head, _ in _batches(data_dir / f"{topic}-{partition}"):
            if head.base_offset <= offset <= head.last_offset:
                return (
                    f"request {partition}/{offset} lies in the batch {head.base_offset}…{head.last_offset} by producer "
                    f"{head.producer_id} epoch {head.producer_epoch} sequence {head.base_sequence}, leader epoch "
                    f"{head.leader_epoch}"
                )
    return ""


def _text(content: bytes | None, characters_max: int) -> str | None:
    return None if content is None else content[:characters_max].decode("utf-8", "backslashreplace")


def _write(file: IO[bytes], lines: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
    for line in lines:
        file.write(msgspec.json.encode(line) + b"\n")
