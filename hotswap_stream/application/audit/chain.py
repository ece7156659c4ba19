"""One stream's chain: which events a correct writer can have written, and, where it breaks, what must have happened.

A writer appends after the head as it last read it. So a correct event's `previous` is the digest of an event that
counted at the sequence before it — or of the record right before it, for the later events of one decision. If another
writer came first, the event is void, and still says truly what it was written after.
"""

from collections import Counter

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.envelope import GENESIS
from hotswap_stream.application.audit.findings import Damage, Finding

NOTICES_MAX = 1_000
"""Kept of one stream; more are counted."""


class Link(Struct, frozen=True, gc=False):
    """What a chain needs to know of one event."""

    offset: int
    sequence: int
    event_id: str
    cause: str
    previous: str
    digest: str


class Chain:
    """What is known of one stream, and what was found in it.

    A record that cannot be explained proves nothing by itself: anybody who may write to the topic can add one. It does
    when other records were written after it, or after what should stand there; else it is a notice.
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.findings: list[Finding] = []
        self.notices: list[Finding] = []
        self.notices_total = 0
        self.digests: list[str] = [GENESIS]
        """Digests of the events that counted; the index is the sequence."""
        self.head: Link | None = None
        self.losers: dict[str, Link] = {}
        """Explained links that did not count, by digest."""
        self.last_loser: Link | None = None
        self.evidence: list[Link] = []
        """Unexplained links since the head."""
        self._suspects: list[Finding] = []
        """Records since the head that seem to belong here and are broken in themselves."""
        self._suspect_offset: int | None = None
        """Offset of the last of them, or of one that was reported elsewhere."""
        self._doubtful: list[Finding] = []
        """What stands before a head that nobody has built on yet: notices, once somebody has."""
        self._confirmed = 0
        """Sequence of the last event that another decision was built on."""
        self._awaiting: dict[str, Link] = {}
        """Unexplained links, by the digest of the event they say they were written after."""
        self._strays: dict[str, Link] = {}
        """Those told of in notices, by their own digest."""
        self._told: set[str] = set()
        """Digests of links that a finding speaks of: what was written after those says nothing new."""

    @property
    def sequence(self) -> int:
        """Sequence of the last event that counted."""
        return len(self.digests) - 1

    def add(self, link: Link, *, counted: bool) -> bool:
        """Take in the next link; whether a correct writer can have written it here."""
        early = self._awaiting.pop(link.digest, None)
        if counted:
            # Those since the head are judged together.
            if early is not None and early not in self.evidence:
                self._reordered(early, link)
            self._settle(link)
            self.digests.append(link.digest)
            self.head = link
            self._told.discard(link.digest)
        elif self._explains(link):
            self.losers[link.digest] = self.last_loser = link
            if early is not None:
                self._reordered(early, link)
        elif link.previous in self._told:
            self._told.add(link.digest)
            return False
        else:
            if early is not None and early not in self.evidence:
                self._reordered(early, link)
            if (former := self._strays.pop(link.previous, None)) is not None:
                # Something was written after it: it is none.
                self._forget(former)
                self.evidence.append(former)
            self.evidence.append(link)
            self._awaiting[link.previous] = link
            return False
        return True

    def suspect(self, offset: int, finding: Finding | None) -> None:
        """A record that belongs here, as it seems, and is broken in itself: `finding` says how, unless it was said."""
        if not self.evidence:
            self._suspect_offset = offset
        if finding is not None:
            self._suspects.append(finding)

    def close(self) -> None:
        """Judge what is left: there are no more links."""
        self._settle(None)
        self._note(self._doubtful)
        self._doubtful = []

    def _settle(self, following: Link | None) -> None:
        """Judge what came since the head, now that the stream goes on with `following`, or has ended (None)."""
        if self.evidence and self._broken(following):
            found = self._diagnose([] if following is None else [following])
            # Which record broke it cannot always be told. Anything here may be added to hide it, so all that may have
            # done it is told of: also what stands before a head that nothing was written after.
            blamed = self._blamed() if found is None else [found, *self._suspects]
            self.findings += [*self._doubtful, *blamed, *self._masked(found)]
            self._told.update(link.digest for link in self.evidence)
            self._doubtful = []
        else:
            if following is not None and not self._in_one_decision(following):
                self._confirmed = self.sequence
                self._note(self._doubtful)
                self._doubtful = []
            self._doubtful += [*self._suspects, *map(self._stray, self.evidence)]
            self._strays.update((link.digest, link) for link in self.evidence)
        self.evidence, self._suspects, self._suspect_offset = [], [], None

    def _broken(self, following: Link | None) -> bool:
        """Return whether something was written after a record that does not count, or after one that is not there."""
        written = {link.digest for link in self.evidence}
        if following is not None:
            written.add(following.digest)
        if any(link.previous in written for link in self.evidence):
            return True
        # At the end, a link beyond what others built on may be the first after an event that was changed or dropped.
        return following is None and any(link.sequence > self._confirmed for link in self.evidence)

    def _in_one_decision(self, link: Link) -> bool:
        head = self.head
        return head is not None and (head.offset + 1, head.cause) == (link.offset, link.cause)

    def _blamed(self) -> list[Finding]:
        """Return the records found broken in themselves, with what else is known to be wrong."""
        broken = self.evidence[0]
        missing = f"; what event {broken.sequence} at offset {broken.offset} was written after is not in the log"
        return [replace(suspect, detail=suspect.detail + missing) for suspect in self._suspects]

    def _masked(self, found: Finding | None) -> list[Finding]:
        """Return what the first unexplained link, which may have been added by anybody, must not hide.

        That is a changed head, and links apart from all others, of which one may be the event that was changed.
        """
        first, rest = self.evidence[0], self.evidence[1:]
        written = {link.digest for link in self.evidence}
        formers = Counter(link.previous for link in self.evidence)
        masked: list[Finding] = []
        head_told = self.head is None or (found is not None and found.offset == self.head.offset)
        for link in rest:
            if link.previous in written or link.previous == first.digest:
                continue
            if link.sequence == self.sequence + 1 and self.head is not None:
                if not head_told:
                    # However many were written after what stood there, and whatever else names it.
                    masked.append(self._changed_head(self.head, link))
                    head_told = True
                if link.digest not in formers and formers[link.previous] == 1:
                    # Nothing was written after it that shows it to be whole: what it names may be what was changed.
                    masked.append(self._odd_former(link))
            elif link.digest not in formers and formers[link.previous] == 1:
                masked.append(self._stray(link))
        return masked

    def _changed_head(self, head: Link, link: Link) -> Finding:
        after = f"event {link.sequence} at offset {link.offset} (id {link.event_id})"
        return self._finding("changed", head, f"is not what {after} was written after")

    def _note(self, notices: list[Finding]) -> None:
        self.notices_total += len(notices)
        self.notices += notices[: max(0, NOTICES_MAX - len(self.notices))]

    def _reordered(self, early: Link, former: Link) -> None:
        """Take in a link that seemed to extend nothing, and was written after one that comes later in the stream."""
        self.evidence = [link for link in self.evidence if link is not early]
        self._forget(early)
        self._told.add(early.digest)
        self.findings.append(self._stands_before(early, former))

    def _forget(self, stray: Link) -> None:
        """Take its notice back."""
        self.notices = [notice for notice in self.notices if notice.offset != stray.offset]
        self._doubtful = [each for each in self._doubtful if each.offset != stray.offset]

    def _stray(self, link: Link) -> Finding:
        return self._finding("stray", link, "extends no chain: nothing in this stream was written before or after it")

    def _stands_before(self, early: Link, former: Link) -> Finding:
        return self._finding(
            "reordered", early, f"stands before the event it was written after, which is at offset {former.offset}"
        )

    def _explains(self, link: Link) -> bool:
        if link.sequence <= len(self.digests) and self.digests[link.sequence - 1] == link.previous:
            return True
        former, place = self.losers.get(link.previous), (link.offset - 1, link.sequence - 1, link.cause)
        return former is not None and (former.offset, former.sequence, former.cause) == place

    def _diagnose(self, following: list[Link]) -> Finding | None:
        """Find what broke the chain; None if the break is where a record was found broken in itself."""
        broken, rest = self.evidence[0], [*self.evidence[1:], *following]
        gap = broken.sequence > self.sequence + 1
        if self._suspect_offset is not None:
            behind_head = self.head is None or self._suspect_offset > self.head.offset
            if (gap and behind_head) or self._suspect_offset == broken.offset - 1:
                return None
        named = self._known_former(broken) or self._later_former(broken, rest)
        return named or (self._missing(broken) if gap else self._wrong_former(broken, rest))

    def _known_former(self, broken: Link) -> Finding | None:
        """Return a finding if `previous` names an event of this stream, but not one it could follow here."""
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
        return self._stands_before(broken, former)

    def _odd(self, broken: Link) -> Finding:
        """Return the finding for a link of a whole stream that names a former event which is not in it.

        It lost, was changed, or follows one of those.
        """
        former, place = self.last_loser, (broken.offset - 1, broken.sequence - 1, broken.cause)
        if former is not None and (former.offset, former.sequence, former.cause) == place:
            return self._finding(
                "changed", former, f"is not what the next event of its decision, at offset {broken.offset}, follows"
            )
        return self._odd_former(broken)

    def _odd_former(self, link: Link) -> Finding:
        return self._finding(
            "changed", link, "names a former event that is not in the log: it was changed, or that one was dropped"
        )

    def _missing(self, broken: Link) -> Finding:
        first, last = self.sequence + 1, broken.sequence - 1
        missing = f"event {first} is" if first == last else f"events {first} to {last} are"
        return Finding(
            damage="dropped",
            offset=broken.offset,
            stream=self.stream,
            sequence=first,
            digest=broken.digest,
            detail=f"{missing} missing; event {broken.sequence} (id {broken.event_id}) was written after them",
        )

    def _wrong_former(self, broken: Link, rest: list[Link]) -> Finding:
        """Tell whether the former event is not what the broken link was written after, or the link was changed."""
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
                digest=broken.digest,
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
            digest=link.digest,
            detail=detail,
        )
