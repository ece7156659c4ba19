"""What turned out about requests, in a file that is read in the order of the requests: in memory is little of it.

The rule, which is part of what a dataset's bytes depend on:

- Feedback whose id an earlier one had is the same, sent twice. Earlier: by the broker's time, then by partition and
  offset in the feedback topic.
- Feedback that names a place is about the request there. One that names only an id is about the newest request in the
  ranges with that id: by the record's time, then by partition and offset.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct

from hotswap_events.dataset import DatasetQuery
from hotswap_events.inference.observation import Feedback
from hotswap_events.nesting import nests_too_deep

BATCH = 5_000
CACHE_KIBIBYTES = 32 * 1024

_feedback = msgspec.json.Decoder(Feedback)
_encoder = msgspec.json.Encoder()


class FeedbackRecord(Struct, frozen=True, gc=False):
    """One record of the feedback topic."""

    partition: int
    offset: int
    timestamp_ms: int
    """By the broker's clock."""
    value: bytes | None


class Told(Struct, frozen=True, gc=False, array_like=True):
    """What one piece of feedback says of what is asked for."""

    truth: int | float | tuple[int | float | str, ...] | str
    reward: float | None = None


class Labels:
    """Add all feedback, `settle`, and ask by place in ascending order. `close` it."""

    def __init__(self, file: Path, model_name: str, query: DatasetQuery) -> None:
        self.read = self.unreadable = self.repeated = self.elsewhere = 0
        self._model_name, self._query = model_name, query
        self._actors = frozenset(query.where.actors) if query.where is not None else frozenset()
        self._told = msgspec.json.Decoder(Told)
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{CACHE_KIBIBYTES};"
            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=FILE;"
            "CREATE TABLE given (id BLOB, at INT, part INT, off INT, place_p INT, place_o INT, rid BLOB, told BLOB);"
            "CREATE TABLE ids (rid BLOB PRIMARY KEY, at INT, part INT, off INT) WITHOUT ROWID;"
        )
        self._rows: list[tuple[object, ...]] = []
        self._ids: list[tuple[object, ...]] = []
        self._ordered: Iterator[tuple[int, int, int, bytes]] = iter(())
        self._head: tuple[int, int, int, bytes] | None = None

    def close(self) -> None:
        """Give the file up."""
        self._db.close()

    def add_all(self, records: Iterable[FeedbackRecord]) -> None:
        """Take feedback of any model, in any order; what cannot be read is counted."""
        self._db.execute("BEGIN")
        for record in records:
            self._add(record)
            if len(self._rows) >= BATCH:
                self._write()
        self._write()
        self._db.execute("COMMIT")
        self._db.execute("CREATE INDEX given_id ON given (id, at, part, off)")
        self.repeated = self._db.execute(
            "DELETE FROM given WHERE rowid IN (SELECT rowid FROM (SELECT rowid, row_number() OVER "
            "(PARTITION BY id ORDER BY at, part, off) AS turn FROM given) WHERE turn > 1)"
        ).rowcount
        self._db.executescript(
            "DROP INDEX given_id; INSERT OR IGNORE INTO ids (rid) SELECT rid FROM given WHERE place_o IS NULL;"
        )

    @property
    def name_ids(self) -> bool:
        """Whether some of it names requests by their ids alone: tell all ids then (`note_id`), before `settle`."""
        return self._db.execute("SELECT 1 FROM ids LIMIT 1").fetchone() is not None

    def note_id(self, request_id: str, timestamp_ms: int, partition: int, offset: int) -> None:
        """Take the id of a request of the ranges."""
        place = (timestamp_ms, partition, offset)
        self._ids.append((*place, hashed(request_id), *place))
        if len(self._ids) >= BATCH:
            self._write_ids()

    def settle(self) -> None:
        """All ids are noted: from here on it is asked by place."""
        self._write_ids()
        self._db.executescript(
            "UPDATE given SET place_p = (SELECT part FROM ids WHERE ids.rid = given.rid),"
            "place_o = (SELECT off FROM ids WHERE ids.rid = given.rid) WHERE place_o IS NULL;"
            "CREATE INDEX by_place ON given (place_p, place_o, at, part, off, told);"
        )
        self.elsewhere += self._db.execute("SELECT count(*) FROM given WHERE place_o IS NULL").fetchone()[0]
        self._ordered = self._db.execute(
            "SELECT place_p, place_o, at, told FROM given WHERE place_o IS NOT NULL "
            "ORDER BY place_p, place_o, at, part, off"
        )
        self._head = next(self._ordered, None)

    def at(self, partition: int, offset: int) -> list[tuple[int, Told]]:
        """Return when and what was told about a request, the earliest first. Ask in ascending order of places."""
        place = (partition, offset)
        found: list[tuple[int, Told]] = []
        while self._head is not None and self._head[:2] <= place:
            if self._head[:2] == place:
                found.append((self._head[2], self._told.decode(self._head[3])))
            else:
                self.elsewhere += 1
            self._head = next(self._ordered, None)
        return found

    def end(self) -> None:
        """No more will be asked for: count what was about requests elsewhere."""
        while self._head is not None:
            self.elsewhere += 1
            self._head = next(self._ordered, None)

    def _add(self, record: FeedbackRecord) -> None:
        value = record.value
        try:
            if value is None or nests_too_deep(value):
                self.unreadable += 1
                return
            feedback = _feedback.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.unreadable += 1
            return
        if feedback.model_name != self._model_name:
            return
        self.read += 1
        truth = _truth(feedback, self._query)
        if truth is None or (self._actors and feedback.actor not in self._actors):
            self.elsewhere += 1
            return
        by_id = feedback.request_offset is None
        self._rows.append(
            (
                hashed(feedback.feedback_id),
                record.timestamp_ms,
                record.partition,
                record.offset,
                feedback.request_partition,
                feedback.request_offset,
                hashed(str(feedback.request_id)) if by_id else None,
                _encoder.encode(Told(truth, feedback.reward)),
            )
        )

    def _write(self) -> None:
        self._db.executemany("INSERT INTO given VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._rows)
        self._rows.clear()

    def _write_ids(self) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(
            "UPDATE ids SET at = ?, part = ?, off = ? WHERE rid = ? AND (off IS NULL OR (at, part, off) < (?, ?, ?))",
            self._ids,
        )
        self._db.execute("COMMIT")
        self._ids.clear()


def hashed(text: str) -> bytes:
    """Return what stands for an id, which may be of any length."""
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


def _truth(feedback: Feedback, query: DatasetQuery) -> "int | float | tuple[int | float | str, ...] | None":
    match query.truth:
        case "label":
            return feedback.label
        case "reward":
            return feedback.reward
        case "value":
            return feedback.value
        case _:
            return feedback.items or None
