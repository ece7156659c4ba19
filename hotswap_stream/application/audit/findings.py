"""What an audit says: where the log is not what its writers wrote, what is wrong there, and who knows of it."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

Damage = Literal["changed", "dropped", "reordered", "unreadable", "contradiction", "cut-off", "stray"]
"""
- `changed`: the bytes are not those that a later event of the stream, or the export, was written after.
- `dropped`: an event that others were written after is missing.
- `reordered`: events stand in another order than they were written in.
- `unreadable`: the record is not an event; the writers of this product append nothing else.
- `contradiction`: the event extends its stream and cannot be true; the writers of this product check that first.
- `cut-off`: an export ends before its last line.
- `stray`: the event names a former event that is not in its stream, and nothing was written after it.
"""


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One broken place. `None` where it cannot be told: the event is missing or does not read."""

    damage: Damage
    offset: int
    """Offset of the broken event; of a dropped one, where it is missed."""
    stream: str | None = None
    """The model name."""
    sequence: int | None = None
    event_id: str | None = None
    digest: str | None = None
    """SHA-256 of the value bytes of the record at `offset`, hex; None where there is none, or none can be told."""
    detail: str

    def __str__(self) -> str:
        where = f"offset {self.offset}"
        if self.stream is not None:
            where += f", {self.stream!r}"
        if self.sequence is not None:
            where += f" event {self.sequence}"
        if self.event_id is not None:
            where += f" (id {self.event_id})"
        return f"{where}: {self.damage}: {self.detail}"


class StreamHead(Struct, frozen=True):
    """Where a stream ends. Noted down elsewhere, it shows later that nothing was cut off after it."""

    sequence: int
    offset: int
    digest: str
    """SHA-256 of the value bytes of the last event that counts, hex."""


class AcknowledgedFinding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding that somebody said they know of, by an event in the log."""

    finding: Finding
    actor: str
    at: datetime
    reason: str | None = None


class AuditReport(Struct, frozen=True, kw_only=True):
    """What was read and what was found.

    A log cannot tell by itself that its last events were cut off or changed, or that a whole stream is gone: no later
    event was written after them. Heads that were noted down before can.
    """

    records: int
    applied: int
    conflicts: int
    """Void events of writers that came second: part of daily life, and explained."""
    heads: dict[str, StreamHead]
    findings: tuple[Finding, ...] = ()
    """In order of offset."""
    notices: tuple[Finding, ...] = ()
    """Records that never extended a chain, and that no later event was written after: whoever may write to the topic
    can add such. At most 1,000, in order of offset."""
    notices_total: int = 0
    acknowledged: tuple[AcknowledgedFinding, ...] = ()
    """In order of offset."""
    seal: str | None = None
    """That of an export of all that was read, hex: it stands for every byte."""

    @property
    def ok(self) -> bool:
        """Whether the log is what its writers wrote, as far as the log itself can tell. An empty log tells nothing."""
        return not self.findings and self.records > 0

    @property
    def first(self) -> Finding | None:
        """The first broken event."""
        return self.findings[0] if self.findings else None
