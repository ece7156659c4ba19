"""Which records this process has in hand, written where it outlives the process; and which records ended it twice.

A record may end the process without an exception that could be caught: a library reads outside its memory, the machine
runs out of memory and the kernel chooses this process. It is then read again at the next start, and ends that, too. So
each record is marked before it is handled and unmarked after it, in a file that is mapped into memory: a mark costs a
microsecond, and what was written stays when the process is gone, however it went. The next start finds the marks that
were left and counts a strike for each of those records. From there on records are handled one at a time until those are
through, so that the next mark that is left names the one. A record with two strikes is not handled any more.

A process that ends in order because Kafka was away leaves a mark, too, of another kind, which counts much less: the
record may be innocent, and an outage may end several lives.
"""

import asyncio
import mmap
import os
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from hotswap_stream.application.topics.records import InboundRecord

_log = structlog.get_logger(__name__)

DEATHS_MAX = 2
"""Lives that a record may end without a word before it is put aside."""
FAILURES_MAX = 10
"""Lives that may end in order with this record in hand."""
SUSPECTS_MAX = 1_000
SUSPECT_SECONDS_MAX = 86_400.0
"""A suspect that was not read again for this time is forgotten: the topic may be another one by now."""
SLOTS = 16
"""Records in hand at the same time; each topic's are handled one after the other."""
TOPIC_BYTES_MAX = 249
"""Kafka's limit on the name of a topic."""

_SLOT = struct.Struct(f"<BxHiq{TOPIC_BYTES_MAX + 1}s")
_FREE, _IN_HAND, _FAILED = 0, 1, 2

Place = tuple[str, int, int]
"""Topic, partition, offset."""


class Suspect(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record that lives of this process ended with."""

    topic: str
    partition: int
    offset: int
    deaths: int = 0
    failures: int = 0
    last_s: float = 0.0
    """When it was last counted, in unix seconds of this machine."""

    @property
    def quarantined(self) -> bool:
        """Whether it must not be handled any more."""
        return self.deaths >= DEATHS_MAX or self.failures >= FAILURES_MAX

    @property
    def cause(self) -> str:
        """What ended how often, in words for people."""
        ended = f"{self.deaths} times" if self.deaths else f"in order {self.failures} times"
        return f"the agents' process ended {ended} while this record was being handled; it is not tried again"


class ReadingMarks:
    """The marks of one process, in `file` and a second one beside it.

    `open` it before the first record, `close` it at the end.
    Where the files cannot be written, the log says so, and nothing is marked.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._suspects_file = file.with_name(file.name + ".suspects")
        self._suspects: dict[Place, Suspect] = {}
        self._map: mmap.mmap | None = None
        self._free = list(range(SLOTS))
        self._one_at_a_time = asyncio.Lock()

    def open(self) -> None:
        """Count what the former life left, and begin anew."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._suspects = self._counted(self._read_suspects(), self._left())
            self._write_suspects()
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.ftruncate(descriptor, SLOTS * _SLOT.size)
                self._map = mmap.mmap(descriptor, SLOTS * _SLOT.size)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            _log.warning("records_not_marked", file=str(self._file), cause=str(error))
        for suspect in self._suspects.values():
            _log.warning(
                "record_suspected",
                topic=suspect.topic,
                partition=suspect.partition,
                offset=suspect.offset,
                deaths=suspect.deaths,
                failures=suspect.failures,
                put_aside=suspect.quarantined,
            )

    def close(self) -> None:
        """End marking: nothing is in hand any more. What failed in order stays marked."""
        if self._map is not None:
            self._map.close()
            self._map = None

    def suspect(self, record: InboundRecord) -> Suspect | None:
        """Return what is known against the record; None: nothing."""
        return self._suspects.get(_place(record))

    @property
    def careful(self) -> bool:
        """Whether records are handled one at a time, because one of them ended this process before."""
        return bool(self._suspects)

    @asynccontextmanager
    async def in_hand(self, record: InboundRecord) -> AsyncIterator[None]:
        """Mark the record while it is handled. An exception leaves it marked as one that a life ended with in order."""
        careful = self.careful
        async with self._one_at_a_time if careful else nullcontext():
            slot = self._take(record)
            try:
                yield
            except Exception:
                self._set(slot, _FAILED)
                raise
            except BaseException:  # somebody told this process to stop
                self._give_back(slot)
                raise
            self._give_back(slot)
        if careful:
            self.acquit(record)

    def acquit(self, record: InboundRecord) -> None:
        """Hold nothing against the record any more: it was handled, or put aside."""
        if self._suspects.pop(_place(record), None) is not None:
            with suppress(OSError):
                self._write_suspects()

    def _take(self, record: InboundRecord) -> int | None:
        """Return a slot with the record's place in it; None where there is none."""
        if self._map is None or not self._free:
            return None
        slot = self._free.pop()
        topic = record.topic.encode()[:TOPIC_BYTES_MAX]
        _SLOT.pack_into(self._map, slot * _SLOT.size, _FREE, len(topic), record.partition, record.offset, topic)
        self._set(slot, _IN_HAND)
        return slot

    def _give_back(self, slot: int | None) -> None:
        if slot is not None:
            self._set(slot, _FREE)
            self._free.append(slot)

    def _set(self, slot: int | None, state: int) -> None:
        if slot is not None and self._map is not None:
            self._map[slot * _SLOT.size] = state

    def _left(self) -> list[tuple[Place, int]]:
        """Return the places that are marked in the file, and how."""
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return []
        found: list[tuple[Place, int]] = []
        for at in range(0, len(content) - _SLOT.size + 1, _SLOT.size):
            state, length, partition, offset, topic = _SLOT.unpack_from(content, at)
            if state in (_IN_HAND, _FAILED):
                found.append(((topic[:length].decode(errors="replace"), partition, offset), state))
        return found

    def _read_suspects(self) -> list[Suspect]:
        try:
            return msgspec.json.decode(self._suspects_file.read_bytes(), type=list[Suspect])
        except FileNotFoundError:
            return []
        except (msgspec.MsgspecError, ValueError) as error:
            _log.warning("suspects_unreadable", file=str(self._suspects_file), cause=str(error))
            return []

    def _counted(self, known: list[Suspect], left: list[tuple[Place, int]]) -> dict[Place, Suspect]:
        now_s = time.time()
        suspects = {
            (each.topic, each.partition, each.offset): each
            for each in known
            if 0 <= now_s - each.last_s <= SUSPECT_SECONDS_MAX
        }
        for place, state in left:
            topic, partition, offset = place
            before = suspects.pop(place, Suspect(topic=topic, partition=partition, offset=offset))
            suspects[place] = Suspect(
                topic=topic,
                partition=partition,
                offset=offset,
                deaths=before.deaths + (state == _IN_HAND),
                failures=before.failures + (state == _FAILED),
                last_s=now_s,
            )
        while len(suspects) > SUSPECTS_MAX:
            del suspects[next(iter(suspects))]
        return suspects

    def _write_suspects(self) -> None:
        """Write the suspects in one step, so that a death in between leaves the former ones."""
        if not self._suspects:
            self._suspects_file.unlink(missing_ok=True)
            return
        written = self._suspects_file.with_name(self._suspects_file.name + ".new")
        written.write_bytes(msgspec.json.encode(list(self._suspects.values())))
        written.replace(self._suspects_file)


def _place(record: InboundRecord) -> Place:
    return record.topic, record.partition, record.offset
