"""What was asked in one partition: a record by record account, and whether the numbers of the requests are in order.

A request is known by its number, which its producer gives out partition by partition: 0, 1, 2 … Its offset is the same
unless the producer wrote some requests twice. Kafka's clients may: one that numbers its batches anew after an error, as
librdkafka does (https://github.com/confluentinc/librdkafka/issues/4953), writes again what it had sent and heard
nothing of, though the broker had it. That looks like this, and like nothing else: the numbers go back to one that was
there, and from there on one by one, with the same contents, up to the last one, before they go on. All else is a fault.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from tests.torture.findings import Findings, Place
from tests.torture.request_kinds import KINDS, Asked, Row

Taken = Literal["new", "repeat", "moved"]


class RequestTable:
    """What was asked in one partition, by offset, in some 40 bytes a request. `put` in the order of the offsets."""

    def __init__(self, partition: int, count: int, findings: Findings) -> None:
        self.partition = partition
        self.count = count
        self.kinds: npt.NDArray[np.uint8] = np.zeros(count, dtype=np.uint8)
        self.timestamps_ms: npt.NDArray[np.int64] = np.zeros(count, dtype=np.int64)
        self.repeats: list[int] = []
        """Offsets of the requests that were written before."""
        self._findings = findings
        self._rows: npt.NDArray[np.uint8] = np.zeros(count, dtype=np.uint8)
        self._first_rows: npt.NDArray[np.uint8] = np.zeros((count, 4), dtype=np.uint8)
        self._numbers: npt.NDArray[np.int64] = np.zeros(count, dtype=np.int64)
        self._is_repeat: npt.NDArray[np.bool_] = np.zeros(count, dtype=np.bool_)
        self._offsets: npt.NDArray[np.int64] = np.full(count, -1, dtype=np.int64)
        """By number, where it was first; -1 for nowhere."""
        self._checksums: npt.NDArray[np.uint32] = np.zeros(count, dtype=np.uint32)
        """By number."""
        self._latest = -1
        """The number of the record before."""
        self._next = 0
        """One more than the highest number that was there."""

    @property
    def different(self) -> int:
        """How many requests are there, each counted once."""
        return int((self._offsets >= 0).sum())

    def put(self, offset: int, timestamp_ms: int, asked: Asked, checksum: int = 0) -> None:
        """The request at an offset. `checksum`: of all that the record says."""
        self.kinds[offset] = KINDS.index(asked.kind)
        self.timestamps_ms[offset] = timestamp_ms
        self._rows[offset] = asked.rows
        self._first_rows[offset] = asked.first_row
        self._numbers[offset] = asked.number
        place = Place(self.partition, offset)
        where = f"request {asked.number} of partition {self.partition}"
        taken = self._take(asked.number, offset)
        if taken == "repeat":
            self.repeats.append(offset)
            self._is_repeat[offset] = True
            if checksum != self._checksums[asked.number]:
                self._findings.add("request-changed", f"{where} is at {offset} again, with other contents", place)
            return
        if taken == "moved":
            self._findings.add("request-moved", f"{where} is at {offset}, behind {self._before(offset)}", place)
        if 0 <= asked.number < self.count:
            self._checksums[asked.number] = checksum

    def finish(self) -> None:
        """All requests were put."""
        lost = np.flatnonzero(self._offsets[: self._next] < 0)
        if len(lost):
            self._findings.add("request-lost", f"partition {self.partition} lacks {len(lost)}, the first is {lost[0]}")
        if self.count and self._latest != self._next - 1:
            self._findings.add("request-moved", f"partition {self.partition} ends with request {self._latest}")

    def kind(self, offset: int) -> str:
        """One of KINDS."""
        return KINDS[int(self.kinds[offset])]

    def number(self, offset: int) -> int:
        """How many requests its producer had sent to the partition before."""
        return int(self._numbers[offset])

    def is_repeat(self, offset: int) -> bool:
        """Whether the same request was there before."""
        return bool(self._is_repeat[offset])

    def input(self, offset: int) -> tuple[Row, int]:
        """First row and number of rows of a good request."""
        return tuple(self._first_rows[offset].tolist()), int(self._rows[offset])

    def first_offset(self, offset: int) -> int:
        """Where the request at an offset was first: there, or, of one that was written twice, before it."""
        number = self.number(offset)
        return int(self._offsets[number]) if 0 <= number < self.count else offset

    def _take(self, number: int, offset: int) -> Taken:
        """Where the next record's number stands: see the head of this file."""
        latest, highest = self._latest, self._next - 1
        self._latest = number
        self._next = max(self._next, number + 1)
        if not 0 <= number < self.count:  # higher than the partition has records: many must be missing
            return "moved"
        seen = self._offsets[number] >= 0
        if not seen:
            self._offsets[number] = offset
        if number == highest + 1 and latest == highest:
            return "new"
        return "repeat" if seen and number <= latest + 1 else "moved"

    def _before(self, offset: int) -> str:
        return f"request {self._numbers[offset - 1]}" if offset else "nothing"
