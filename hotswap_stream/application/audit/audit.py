"""Audit of the registry log: is it what its writers wrote? And a copy of it that can be asked the same elsewhere.

What the log itself cannot tell, since no later event was written after it: that its end was cut off, that the last
event of a stream was changed, or that a whole stream is gone. An export tells within the file, by its seals; against
someone who forges those too, only heads (`AuditReport.heads`) that were noted down elsewhere help.
"""

from collections.abc import AsyncIterator, Iterable
from typing import BinaryIO

from hotswap_events.log_stream import DETAIL_CHARACTERS_MAX, FindingAcknowledged
from hotswap_stream.application.audit.expected import Expected
from hotswap_stream.application.audit.export import ExportDamagedError, ExportWriter, read_export_offsets
from hotswap_stream.application.audit.findings import AuditReport
from hotswap_stream.application.audit.walk import AuditWalk
from hotswap_stream.application.log.port import LogRecord, RegistryLog
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.errors import HotswapError

DIGEST_CHARACTERS_MIN = 12
NO_DIGEST = "none"
"""Said instead of a digest where no record is."""


class NothingFoundError(HotswapError):
    """The audit finds nothing at that place of the log, or another record than was named stands there."""


def verify_records(records: Iterable[LogRecord]) -> AuditReport:
    """Verify a whole log, from offset 0 on."""
    walk = AuditWalk()
    for record in records:
        walk.add(record)
    return walk.report()


async def verify_log(log: RegistryLog, expected: Expected | None = None) -> AuditReport:
    """Verify the log from its beginning to its present end, and what was expected of it.

    Raises:
        LogUnavailableError: It cannot be read.
    """
    held = expected or Expected()
    walk = AuditWalk(held.found_head)
    async for page in log.read(0, await log.end_offset()):
        for record in page:
            if (gap := walk.gap_before(record)) is not None:
                for offsets in await log.without_records(gap.start, gap.stop):
                    walk.pass_over(offsets)
                    held.take_offsets(offsets)
            walk.add(record)
            held.take(record)
    return walk.report(*held.missing(walk.next_offset), seal=held.seal)


def verify_export(file: BinaryIO, expected: Expected | None = None) -> AuditReport:
    """Verify an export: its seals, up to the first broken line, and the chains of what is before that line."""
    held = expected or Expected()
    walk = AuditWalk(held.found_head)
    try:
        for found in read_export_offsets(file):
            if isinstance(found, range):
                walk.pass_over(found)
                held.take_offsets(found)
            else:
                walk.add(found)
                held.take(found)
    except ExportDamagedError as error:
        return walk.report(error.finding, *held.missing(walk.next_offset))
    return walk.report(*held.missing(walk.next_offset), seal=held.seal)


async def export_log(log: RegistryLog, file: BinaryIO) -> ExportWriter:
    """Write the log up to its present end; the writer that comes back knows how many records and the file's seal."""
    writer = ExportWriter()
    async for line in exported_lines(log, await log.end_offset(), writer):
        file.write(line)
    return writer


async def exported_lines(log: RegistryLog, end_offset: int, writer: ExportWriter) -> AsyncIterator[bytes]:
    """Yield the lines of the log up to an offset, the last line included."""
    next_offset = 0
    async for page in log.read(0, end_offset):
        for record in page:
            if record.offset > next_offset:
                for offsets in await log.without_records(next_offset, record.offset):
                    yield writer.passed(offsets)
            yield writer.line(record)
            next_offset = record.offset + 1
    yield writer.last_line()


async def acknowledge(
    registry: Registry,
    *,
    offset: int,
    digest: str,
    actor: str,
    reason: str | None,
    command_id: str,
    report: AuditReport | None = None,
) -> FindingAcknowledged:
    """Write that somebody knows of what an audit finds at `offset`; where it is known already, write nothing.

    Args:
        registry: The registry to write with.
        offset: Where the audit finds it.
        digest: The digest of the record there, or its first 12 characters at least; `none` where no record is.
        actor: Who knows of it.
        reason: What they say of it.
        command_id: The id of this command.
        report: What the audit finds now; None: it is made.

    Returns:
        What was written, or stands there already.

    Raises:
        NothingFoundError: The audit finds nothing there, or another record than was named.
    """
    report = report or await verify_log(registry.log)
    every = [*report.findings, *report.notices, *(each.finding for each in report.acknowledged)]
    here = [finding for finding in every if finding.offset == offset]
    if not here:
        places = ", ".join(str(finding.offset) for finding in every[:20])
        raise NothingFoundError(f"the audit finds nothing at offset {offset}; it does at {places or 'no offset'}")
    found = next((finding for finding in here if _names(digest, finding.digest)), None)
    if found is None:
        there = " and ".join(finding.digest or NO_DIGEST for finding in here)
        raise NothingFoundError(
            f"what the audit finds at offset {offset} has the digest {there}, not {digest!r}; at least "
            f"{DIGEST_CHARACTERS_MIN} of its characters are needed"
        )
    event = FindingAcknowledged(
        offset=offset, digest=found.digest, damage=found.damage, detail=found.detail[:DETAIL_CHARACTERS_MAX]
    )
    if (offset, found.digest) not in registry.fold.log.acknowledged:
        await registry.record(event, actor=actor, reason=reason, command_id=command_id)
    return event


def _names(said: str, digest: str | None) -> bool:
    if digest is None:
        return said == NO_DIGEST
    return len(said) >= DIGEST_CHARACTERS_MIN and digest.startswith(said)
