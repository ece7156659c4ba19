"""One stream's chain: which events a correct writer can have written, and, where it breaks, what must have happened.

A writer appends behind the head as it last read it. So a correct event's `previous` is the digest of an event that
counted at the sequence before it — or of the record right before it, for the later events of one decision. If another
writer came first, the event is void, and still says truly what it was written after.
"""

from msgspec import Struct

from hotswap_events.envelope import GENESIS
from hotswap_stream.application.audit_findings import Damage, Finding


class Link(Struct, frozen=True, gc=False):
    """What a chain needs to know of one event."""

    offset: int
    sequence: int
    event_id: str
    cause: str
    previous: str
    digest: str


class Chain:
    """What is known of one stream. Once a link is not explained, all that follow are only kept, as evidence."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.digests: list[str] = [GENESIS]
        """Of the events that counted; the index is the sequence."""
        self.head: Link | None = None
        self.losers: dict[str, Link] = {}
        """Explained links that did not count, by digest."""
        self.last_loser: Link | None = None
        self.evidence: list[Link] = []
        """The first unexplained link and everything behind it."""
        self.suspect_offset: int | None = None
        """Of the last record that seems to belong here and was reported for itself."""

    @property
    def sequence(self) -> int:
        """Of the last event that counted."""
        return len(self.digests) - 1

    def add(self, link: Link, *, counted: bool) -> bool:
        """Take in the next link; whether a correct writer can have written it here."""
        if self.evidence:
            self.evidence.append(link)
            return False
        if counted:
            self.digests.append(link.digest)
            self.head = link
        elif self._explains(link):
            self.losers[link.digest] = self.last_loser = link
        else:
            self.evidence.append(link)
            return False
        return True

    def _explains(self, link: Link) -> bool:
        if link.sequence <= len(self.digests) and self.digests[link.sequence - 1] == link.previous:
            return True
        former, place = self.losers.get(link.previous), (link.offset - 1, link.sequence - 1, link.cause)
        return former is not None and (former.offset, former.sequence, former.cause) == place

    def diagnose(self) -> Finding | None:
        """What broke the chain; None if it holds, or if the break is where a record was reported for itself."""
        if not self.evidence:
            return None
        broken, rest = self.evidence[0], self.evidence[1:]
        gap = broken.sequence > self.sequence + 1
        if self.suspect_offset is not None:
            behind_head = self.head is None or self.suspect_offset > self.head.offset
            if (gap and behind_head) or self.suspect_offset == broken.offset - 1:
                return None
        named = self._known_former(broken) or self._later_former(broken, rest)
        return named or (self._missing(broken) if gap else self._wrong_former(broken, rest))

    def _known_former(self, broken: Link) -> Finding | None:
        """`previous` names an event of this stream, but not one it could follow here."""
        loser = self.losers.get(broken.previous)
        if loser is not None and loser.sequence == broken.sequence - 1:
            here = self.head if self.head and self.head.sequence == loser.sequence else broken
            return self._finding(
                "reordered",
                here,
                f"event {broken.sequence} at offset {broken.offset} was written after the event at offset "
                f"{loser.offset}, which lost here: it stood first",
            )
        if loser is None and broken.previous not in self.digests:
            return None
        known = loser.sequence if loser is not None else self.digests.index(broken.previous)
        return self._finding(
            "changed", broken, f"calls itself event {broken.sequence}, and was written after event {known}"
        )

    def _later_former(self, broken: Link, rest: list[Link]) -> Finding | None:
        former = next((link for link in rest if link.digest == broken.previous), None)
        if former is None:
            return None
        return self._finding(
            "reordered", broken, f"stands before the event it was written after, which is at offset {former.offset}"
        )

    def _odd(self, broken: Link) -> Finding:
        """The stream is whole, this link names a former event that is not in it: a loser, changed, or behind one."""
        former, place = self.last_loser, (broken.offset - 1, broken.sequence - 1, broken.cause)
        if former is not None and (former.offset, former.sequence, former.cause) == place:
            return self._finding(
                "changed", former, f"is not what the next event of its decision, at offset {broken.offset}, follows"
            )
        return self._finding(
            "changed", broken, "names a former event that is not in the log: it was changed, or that one was dropped"
        )

    def _missing(self, broken: Link) -> Finding:
        first, last = self.sequence + 1, broken.sequence - 1
        missing = f"event {first} is" if first == last else f"events {first} to {last} are"
        return Finding(
            damage="dropped",
            offset=broken.offset,
            stream=self.stream,
            sequence=first,
            detail=f"{missing} missing; event {broken.sequence} (id {broken.event_id}) was written after them",
        )

    def _wrong_former(self, broken: Link, rest: list[Link]) -> Finding:
        """Either the former event here is not what the broken link was written after, or the link was changed."""
        intact = any(link.previous in (broken.digest, broken.previous) for link in rest)
        goes_on = any(link.sequence == broken.sequence + 1 or link.previous == self.digests[-1] for link in rest)
        if self.head is None or (not intact and (goes_on or broken.sequence <= self.sequence)):
            return self._odd(broken)
        after = f"event {broken.sequence} at offset {broken.offset} (id {broken.event_id}) was written after"
        if broken.sequence <= self.sequence:
            return Finding(
                damage="dropped",
                offset=broken.offset,
                stream=self.stream,
                sequence=broken.sequence - 1,
                detail=f"another event stands in the place of the one that {after}",
            )
        unless = "" if intact else ", unless that one was changed itself: nothing follows it that could tell"
        return self._finding("changed", self.head, f"is not what {after}{unless}")

    def _finding(self, damage: Damage, link: Link, detail: str) -> Finding:
        return Finding(
            damage=damage,
            offset=link.offset,
            stream=self.stream,
            sequence=link.sequence,
            event_id=link.event_id,
            detail=detail,
        )
