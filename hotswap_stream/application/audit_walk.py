"""The walk over a whole log: every record against the offsets, the fold, and its stream's chain."""

from hotswap_events.codec import REGISTRY_CODEC, UnknownEvent, UnreadableEvent, digest_of
from hotswap_events.envelope import Envelope, EnvelopeHeader
from hotswap_stream.application.audit_chain import Chain, Link
from hotswap_stream.application.audit_findings import AuditReport, Damage, Finding, StreamHead
from hotswap_stream.application.registry_fold import RegistryFold, Void
from hotswap_stream.application.registry_log import LogRecord

FINDINGS_MAX = 1_000
"""Findings kept of records that are broken in themselves; breaks of chains are at most one a stream."""

Header = Envelope | EnvelopeHeader


class AuditWalk:
    """Feed it every record of a log from offset 0 on, in the order they stand, then ask for the report."""

    def __init__(self) -> None:
        self._fold = RegistryFold()
        self._chains: dict[str, Chain] = {}
        self._findings: list[Finding] = []
        self._records = 0
        self._conflicts = 0
        self._misplaced: LogRecord | None = None
        """The first record that stands where another offset belongs; behind it nothing is judged."""
        self._late: LogRecord | None = None
        """The record that belongs there, if it comes later."""

    @property
    def next_offset(self) -> int:
        """The offset that the next record should have."""
        return self._fold.next_offset

    def gap_before(self, record: LogRecord) -> range | None:
        """Offsets that are missing right before this record, which is to be added; None where none are, or where the
        order was broken before."""
        if self._misplaced is not None or record.offset <= self.next_offset:
            return None
        return range(self.next_offset, record.offset)

    def pass_over(self, offsets: range) -> None:
        """These offsets, the next in line, are known to hold no record."""
        if offsets.start <= self.next_offset:
            self._fold.pass_over(offsets.stop)

    def add(self, record: LogRecord) -> None:
        """Look at one more record."""
        self._records += 1
        if self._misplaced is not None:
            if record.offset == self.next_offset:
                self._late = record
        elif record.offset != self.next_offset:
            self._misplaced = record
        else:
            self._judge(record)

    def _judge(self, record: LogRecord) -> None:
        outcome = self._fold.apply(record)
        void = outcome if isinstance(outcome, Void) else None
        event = REGISTRY_CODEC.decode(record.value) if isinstance(outcome, Void) else outcome.event
        if isinstance(event, UnreadableEvent) or record.value is None:
            self._report(record, None, "unreadable", void.reason if void else "")
            return
        header: Header = event.header if isinstance(event, UnknownEvent) else event
        chain = self._chain(header.subject)
        if record.key != header.subject.encode():
            self._report(record, header, "changed", f"the record's key is {record.key!r}, its subject another")
            if void:
                return
        link = Link(
            record.offset,
            header.sequence,
            header.id,
            header.causationid,
            header.previous,
            digest_of(record.value) if void else self._fold.streams[header.subject].head_digest,
        )
        if void and void.kind == "contradiction" and not chain.evidence:
            self._report(record, header, "contradiction", void.reason)
            chain.add(link, counted=False)
        elif chain.add(link, counted=not void) and void:
            self._conflicts += 1

    def _chain(self, stream: str) -> Chain:
        return self._chains.setdefault(stream, Chain(stream))

    def _report(self, record: LogRecord, header: Header | None, damage: Damage, detail: str) -> None:
        """A record that is broken in itself; a gap right behind it in the stream of its key is its doing."""
        key = None if record.key is None else record.key.decode(errors="replace")
        if key is not None:
            self._chain(key).suspect_offset = record.offset
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append(finding_at(record.offset, header, damage, detail, stream=key))

    def report(self, *further: Finding) -> AuditReport:
        """What was found, with what the caller found itself."""
        findings = [*self._findings, *further]
        findings += [finding for chain in self._chains.values() if (finding := chain.diagnose()) is not None]
        if self._misplaced is not None:
            findings.append(misplaced(self.next_offset, self._misplaced, self._late))
        return AuditReport(
            records=self._records,
            applied=self._fold.applied_count,
            conflicts=self._conflicts,
            heads={
                name: StreamHead(stream.state.sequence, stream.offset, stream.head_digest)
                for name, stream in sorted(self._fold.streams.items())
            },
            findings=tuple(sorted(findings, key=lambda finding: finding.offset)),
        )


def misplaced(expected_offset: int, record: LogRecord, late: LogRecord | None) -> Finding:
    """`record` stands where `expected_offset` belongs; `late` is what belongs there, if it comes later."""
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
    """What the record says of itself, if it reads."""
    event = REGISTRY_CODEC.decode(record.value)
    if isinstance(event, UnreadableEvent):
        return None
    return event.header if isinstance(event, UnknownEvent) else event


def finding_at(
    offset: int, header: Header | None, damage: Damage, detail: str, *, stream: str | None = None
) -> Finding:
    """A finding that names the event as far as its header is known."""
    if header is None:
        return Finding(damage=damage, offset=offset, stream=stream, detail=detail)
    return Finding(
        damage=damage,
        offset=offset,
        stream=header.subject,
        sequence=header.sequence,
        event_id=header.id,
        detail=detail,
    )
