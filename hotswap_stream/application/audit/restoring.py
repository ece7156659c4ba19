"""Putting an export back into an empty log: the same records, at the same offsets, with the times that they had.

Offsets are what answers and events name, times are what `--as-of` asks for, and both are in the seal: a log that is
restored has the seal of its export, or the restore fails. One that was broken off goes on where it stood.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import chain
from typing import BinaryIO, Protocol

from msgspec import Struct

from hotswap_stream.application.audit.audit import verify_export, verify_log
from hotswap_stream.application.audit.expected import Expected
from hotswap_stream.application.audit.export import read_export
from hotswap_stream.application.audit.findings import AuditReport
from hotswap_stream.application.log.port import LogRecord, RegistryLog
from hotswap_stream.errors import HotswapError, LogUnavailableError

BATCH_RECORDS_MAX = 500
BATCH_BYTES_MAX = 500_000
MARKER_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.02


class RestoreRefusedError(HotswapError):
    """The export cannot be put there: it is not whole, or the log holds something else."""


class RecordWriter(Protocol):
    """Appends what an export holds to the log. Nobody else may write meanwhile."""

    async def write(self, records: Sequence[LogRecord], *, marked: bool = False) -> int:
        """Append records with their own times, and return the offset of the first.

        Args:
            records: At least one.
            marked: Leave one offset without a record after them, as a transaction does that was committed.
        """
        ...

    async def pass_over(self, count: int) -> None:
        """Leave this number of offsets without records, at least two, as a transaction does that was taken back."""


class Restored(Struct, frozen=True, kw_only=True):
    """What a restore did."""

    records: int
    """Records of the export."""
    written: int
    """Those of them that were not there yet."""
    seal: str
    """The seal of the export; the log begins with what has it."""


def check_export(file: BinaryIO, seal: str | None = None) -> AuditReport:
    """Return the audit of a whole export.

    Args:
        file: The export, from its beginning.
        seal: What was noted down when it was made.

    Raises:
        RestoreRefusedError: It is damaged, or it is another one.
    """
    report = verify_export(file, Expected(seal=seal))
    if not report.ok:
        raise RestoreRefusedError(f"the export does not hold, so nothing was written: {report.first}")
    if not report.records:
        raise RestoreRefusedError("the export holds no record: there is nothing to restore")
    return report


async def restore(
    log: RegistryLog,
    open_writer: Callable[[], AbstractAsyncContextManager[RecordWriter]],
    file: BinaryIO,
    expected: AuditReport,
    *,
    left_open: Callable[[], Awaitable[bool]],
) -> Restored:
    """Write what of an export is missing, and read all of it back.

    Args:
        log: The log, started.
        open_writer: Opens what appends to the same log; not asked where the log holds other records, or all of them.
        file: The export, from its beginning; it was checked.
        expected: What that check said.
        left_open: Says whether an earlier restore was broken off before it gave the log back: then the writer is
            opened, and closed, though nothing is missing.

    Raises:
        RestoreRefusedError: The log holds other records, somebody else writes, or what is there in the end is not what
            was to be there.
        LogUnavailableError: The log cannot be read or written. The same again goes on where it stood.
    """
    records = read_export(file)
    end = await log.end_offset()
    there = await _there(log, end, records)
    written = 0
    if there < expected.records or await left_open():
        async with open_writer() as writer:
            written = await _write(log, writer, records, end, checks_time=not there)
    found = await verify_log(log, Expected(seal=expected.seal))
    if not found.ok or there + written != expected.records:
        raise RestoreRefusedError(f"what is there now is not what the export holds: {found.first}")
    return Restored(records=expected.records, written=written, seal=str(expected.seal))


async def _there(log: RegistryLog, end_offset: int, records: Iterator[LogRecord]) -> int:
    """Return how many records are there already; all of them, or the first of them, are the export's."""
    there = 0
    async for page in log.read(0, end_offset):
        for record in page:
            of_export = next(records, None)
            if of_export is None:
                return there
            if record != of_export:
                raise RestoreRefusedError(
                    f"the log is not empty: at offset {record.offset} is a record that the export does not have there. "
                    "Restore into a cluster, or under a topic prefix, that has no registry"
                )
            there += 1
    return there


async def _write(
    log: RegistryLog, writer: RecordWriter, records: Iterator[LogRecord], end: int, *, checks_time: bool
) -> int:
    """Write the records at their offsets, from the log's end on, and return how many."""
    written = 0
    for batch, marked in _batches(records):
        gap = batch[0].offset - end
        if gap > 1:
            await writer.pass_over(gap)
            await _wait_for_marker(log, batch[0].offset)
        elif gap:
            raise RestoreRefusedError(
                f"offset {end} cannot be left without a record here, as it is in the export: delete the topic, and "
                "begin again"
            )
        first = await writer.write(batch, marked=marked)
        if first != batch[0].offset:
            raise RestoreRefusedError(
                f"a record that belongs to offset {batch[0].offset} came to {first}: somebody else writes to this log. "
                "Stop every process of this environment, delete the topic, and begin again"
            )
        if checks_time and not written:
            await _check_first(log, batch[0])
        written += len(batch)
        end = batch[-1].offset + 1 + marked
        if marked:
            await _wait_for_marker(log, end)
    return written


async def _wait_for_marker(log: RegistryLog, end_offset: int) -> None:
    """Wait until a transaction has left its marker: that it has ended is said before."""
    try:
        async with asyncio.timeout(MARKER_SECONDS_MAX):
            while await log.end_offset() < end_offset:
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise LogUnavailableError(
            f"a transaction left no marker before offset {end_offset} within {MARKER_SECONDS_MAX:g} s"
        ) from None


async def _check_first(log: RegistryLog, written: LogRecord) -> None:
    async for page in log.read(written.offset, written.offset + 1):
        if page[0] != written:
            raise RestoreRefusedError(
                f"the log did not keep a record's time: {written.timestamp_ms} became {page[0].timestamp_ms}. Delete "
                "the topic, and begin again"
            )


def _batches(records: Iterable[LogRecord]) -> Iterator[tuple[list[LogRecord], bool]]:
    """Yield records that follow each other, and whether the one offset after them has none."""
    batch: list[LogRecord] = []
    size = 0
    former: LogRecord | None = None
    for record in chain(records, (None,)):
        if former is not None:
            batch.append(former)
            size += len(former.key or b"") + len(former.value or b"")
            step = 1 if record is None else record.offset - former.offset
            if step == 2 and len(batch) > 1:
                yield batch[:-1], False
                batch = batch[-1:]
            if step != 1 or len(batch) >= BATCH_RECORDS_MAX or size >= BATCH_BYTES_MAX:
                yield batch, step == 2
                batch, size = [], 0
        former = record
    if batch:
        yield batch, False
