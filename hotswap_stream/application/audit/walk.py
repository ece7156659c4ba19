"""The walk over a whole log: every record against the offsets, the fold, and its stream's chain."""

from collections.abc import Callable, Iterable

from hotswap_events.codec import REGISTRY_CODEC, UnknownEvent, UnreadableEvent, digest_of
from hotswap_events.envelope import Envelope, EnvelopeHeader
from hotswap_events.log_stream import LOG_STREAM
from hotswap_stream.application.audit.chain import NOTICES_MAX, Chain, Link
from hotswap_stream.application.audit.findings import (
    AcknowledgedFinding,
    AuditReport,
    Damage,
    Finding,
    StreamHead,
)
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.fold import RegistryFold, Void

FINDINGS_MAX = 1_000
"""Findings kept of records that count and are broken in themselves, and of gaps in the offsets."""

Header = Envelope | EnvelopeHeader


class AuditWalk:
    """Feed it every record of a log from offset 0 on, in the order they stand, then ask for the report."""

    def __init__(self, on_counted: Callable[[str, str], None] | None = None) -> None:
        """Make a walk; `on_counted` hears of the stream and the digest of each event that counts."""
        self._on_counted = on_counted
        self._fold = RegistryFold()
        self._chains: dict[str, Chain] = {}
        self._findings: list[Finding] = []
        self._loose: list[Finding] = []
        """Notices of records that belong to no stream."""
        self._loose_total = 0
        self._records = 0
        self._conflicts = 0
        self._gaps: dict[int, tuple[LogRecord, LogRecord | None]] = {}
        """By the offset that is missing first: the record that stands there, and the missing one, if it comes later."""

    @property
    def next_offset(self) -> int:
        """The offset that the next record should have."""
        return self._fold.next_offset

    def gap_before(self, record: LogRecord) -> range | None:
        """Return the offsets that are missing right before this record, which is to be added.

        Returns:
            None where none are, or where more gaps were found before than are kept.
        """
        if record.offset <= self.next_offset or len(self._gaps) >= FINDINGS_MAX:
            return None
        return range(self.next_offset, record.offset)

    def pass_over(self, offsets: range) -> None:
        """Take in that these offsets, the next in line, are known to hold no record."""
        if offsets.start <= self.next_offset:
            self._fold.pass_over(offsets.stop)

    def add(self, record: LogRecord) -> None:
        """Look at one more record."""
        self._records += 1
        if record.offset < self.next_offset:
            self._note_late(record)
            return
        if record.offset > self.next_offset and len(self._gaps) < FINDINGS_MAX:
            self._gaps[self.next_offset] = (record, None)
        self._judge(record)

    def _note_late(self, record: LogRecord) -> None:
        """Take in a record where another one belongs: fold and chains have passed its place, or had it."""
        known = self._gaps.get(record.offset)
        if known is not None:
            self._gaps[record.offset] = (known[0], record)
        elif len(self._gaps) < FINDINGS_MAX:
            self._gaps.setdefault(self.next_offset, (record, None))

    def _judge(self, record: LogRecord) -> None:
        outcome = self._fold.apply(record)
        void = outcome if isinstance(outcome, Void) else None
        event = REGISTRY_CODEC.decode(record.value) if isinstance(outcome, Void) else outcome.event
        if isinstance(event, UnreadableEvent) or record.value is None:
            self._suspect(record, None, "unreadable", void.reason if void else "")
            return
        header: Header = event.header if isinstance(event, UnknownEvent) else event
        if record.key != header.subject.encode():
            detail = f"the record's key is {record.key!r}, its subject another"
            if void:
                self._suspect(record, header, "changed", detail)
                return
            self._report(record, header, "changed", detail)
        chain = self._chain(header.subject)
        link = Link(
            record.offset,
            header.sequence,
            header.id,
            header.causationid,
            header.previous,
            digest_of(record.value) if void else self._head_digest(header.subject),
        )
        if void is None and self._on_counted is not None:
            self._on_counted(header.subject, link.digest)
        if void and void.kind == "contradiction":
            self._suspect(record, header, "contradiction", void.reason)
            chain.add(link, counted=False)
        elif chain.add(link, counted=not void) and void:
            self._conflicts += 1

    def _head_digest(self, subject: str) -> str:
        fold = self._fold
        return fold.log.head_digest if subject == LOG_STREAM else fold.streams[subject].head_digest

    def _chain(self, stream: str) -> Chain:
        return self._chains.setdefault(stream, Chain(stream))

    def _suspect(self, record: LogRecord, header: Header | None, damage: Damage, detail: str) -> None:
        """A record that does not count and is broken in itself. A break in the stream of its key may be its doing."""
        key = _key_of(record)
        finding = finding_at(record.offset, header, damage, detail, stream=key, value=record.value)
        if key is not None:
            self._chain(key).suspect(record.offset, finding)
            return
        self._loose_total += 1
        if len(self._loose) < NOTICES_MAX:
            self._loose.append(finding)

    def _report(self, record: LogRecord, header: Header, damage: Damage, detail: str) -> None:
        """Report a record that counts and is broken in itself.

        A gap right after it in the stream of its key is its doing.
        """
        key = _key_of(record)
        if key is not None:
            self._chain(key).suspect(record.offset, None)
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append(finding_at(record.offset, header, damage, detail, stream=key, value=record.value))

    def report(self, *further: Finding, seal: str | None = None) -> AuditReport:
        """Return what was found, with what the caller found itself. Nothing can be added after it."""
        found = [misplaced(offset, *gap) for offset, gap in self._gaps.items()] + self._findings
        notices, notices_total = list(self._loose), self._loose_total
        for chain in self._chains.values():
            chain.close()
            found += chain.findings
            notices += chain.notices
            notices_total += chain.notices_total
        log, heads = (
            self._fold.log,
            {
                name: StreamHead(stream.state.sequence, stream.offset, stream.head_digest)
                for name, stream in sorted(self._fold.streams.items())
            },
        )
        if log.sequence:
            heads = {LOG_STREAM: StreamHead(log.sequence, log.offset, log.head_digest), **heads}
        known = [each for each in (*found, *notices) if (each.offset, each.digest) in log.acknowledged]
        return AuditReport(
            records=self._records,
            applied=self._fold.applied_count,
            conflicts=self._conflicts,
            heads=heads,
            findings=_by_offset([*(each for each in found if each not in known), *further]),
            notices=_by_offset(each for each in notices if each not in known)[:NOTICES_MAX],
            notices_total=notices_total - sum(each in known for each in notices),
            acknowledged=tuple(self._acknowledged(each) for each in _by_offset(known)),
            seal=seal,
        )

    def _acknowledged(self, finding: Finding) -> AcknowledgedFinding:
        by = self._fold.log.acknowledged[finding.offset, finding.digest]
        return AcknowledgedFinding(finding=finding, actor=by.actor, at=by.at, reason=by.reason)


def _by_offset(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.offset))


def _key_of(record: LogRecord) -> str | None:
    return None if record.key is None else record.key.decode(errors="replace")


def misplaced(expected_offset: int, record: LogRecord, late: LogRecord | None) -> Finding:
    """Tell that `record` stands where `expected_offset` belongs; `late` is what belongs there, if it comes later."""
    if late is None and record.offset > expected_offset:
        missing = (
            f"offset {expected_offset} is"
            if record.offset == expected_offset + 1
            else (f"offsets {expected_offset} to {record.offset - 1} are")
        )
        return Finding(damage="dropped", offset=expected_offset, detail=f"{missing} missing")
    header = None if late is None else header_of(late)
    detail = f"offset {record.offset} stands in its place"
    return finding_at(expected_offset, header, "reordered", detail)


def header_of(record: LogRecord) -> Header | None:
    """Return what the record says of itself, if it reads."""
    event = REGISTRY_CODEC.decode(record.value)
    if isinstance(event, UnreadableEvent):
        return None
    return event.header if isinstance(event, UnknownEvent) else event


def finding_at(
    offset: int,
    header: Header | None,
    damage: Damage,
    detail: str,
    *,
    stream: str | None = None,
    value: bytes | None = None,
) -> Finding:
    """Make a finding that names the event as far as its header is known. `value`: of the record at the offset."""
    digest = None if value is None else digest_of(value)
    if header is None:
        return Finding(damage=damage, offset=offset, stream=stream, digest=digest, detail=detail)
    return Finding(
        damage=damage,
        offset=offset,
        stream=header.subject,
        sequence=header.sequence,
        event_id=header.id,
        digest=digest,
        detail=detail,
    )
