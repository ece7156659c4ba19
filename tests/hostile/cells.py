"""The matrix: every topic × message × field × kind that makes sense, as a list that a seed only puts in order."""

from collections.abc import Iterator
from functools import cache
from random import Random

from msgspec import Struct

from hotswap_events import headers as header_names
from tests.hostile.fields import Field, payload_fields
from tests.hostile.kinds import KINDS, Encoding, Kind, ways
from tests.hostile.places import PLACES, Place
from tools.message_catalogue import COMMANDS, EVENTS, Message

_PARTS = tuple(Field(part=part) for part in ("value", "key", "timestamp", "partition", "batch"))
UNKNOWN_HEADER = "x-of-somebody-else"


class Cell(Struct, frozen=True, kw_only=True):
    """One record to write: everything right but one thing."""

    place: str
    message: str
    """Empty where the topic holds what only its owner knows."""
    field: Field
    kind: Kind
    way: str
    encoding: Encoding = "json"

    def __str__(self) -> str:
        what = self.message.removeprefix("hotswap.") or "a record"
        coded = " as msgpack" if self.encoding == "msgpack" else ""
        return f"{self.place}: {what}{coded}, {self.field}, {self.kind} ({self.way})"

    @property
    def alone(self) -> bool:
        """Whether it is too costly to be written together with others."""
        return any(what in self.way for what in ("230 MB", "nothing after it"))


@cache
def matrix() -> tuple[Cell, ...]:
    """All cells, in a fixed order."""
    return tuple(cell for place in PLACES for cell in _of_place(place))


def chosen(seed: int, *, per_place: int) -> list[Cell]:
    """A few cells of every topic, of as many kinds as can be, by the seed."""
    random, found = Random(f"hostile/{seed}"), list[Cell]()
    for place in PLACES:
        by_kind: dict[Kind, list[Cell]] = {}
        for cell in matrix():
            if cell.place == place.name and not cell.alone:
                by_kind.setdefault(cell.kind, []).append(cell)
        kinds = sorted(by_kind)
        random.shuffle(kinds)
        found += [random.choice(by_kind[kinds[number % len(kinds)]]) for number in range(per_place)]
    return found


def _of_place(place: Place) -> Iterator[Cell]:
    if not place.messages:
        for field in (*_PARTS, Field(part="header", name=UNKNOWN_HEADER)):
            yield from _of_field(place, "", field, "json")
    for number, message in enumerate(place.messages):
        for encoding in place.encodings:
            for field in _fields(place, message, first=number == 0):
                if encoding == place.encodings[0] or field.part in ("field", "value"):
                    yield from _of_field(place, message.name, field, encoding)


def _fields(place: Place, message: Message, *, first: bool) -> Iterator[Field]:
    """What all events and all commands share is tried on the first of them alone."""
    if first:
        yield from (field for field in _PARTS if field.part != "partition" or place.partitions > 1)
        names = dict.fromkeys([*(header.name for header in message.headers), header_names.CONTENT_TYPE, UNKNOWN_HEADER])
        yield from (Field(part="header", name=name) for name in names)
    if message.payload is not None:
        shared = frozenset[str]() if first else _SHARED.get(message.name, frozenset())
        yield from (field for field in payload_fields(message.payload) if field.path[0] not in shared)


def _of_field(place: Place, message: str, field: Field, encoding: Encoding) -> Iterator[Cell]:
    for kind in KINDS:
        for way in ways(kind, field, encoding):
            yield Cell(place=place.name, message=message, field=field, kind=kind, way=way, encoding=encoding)


def _shared_by(messages: tuple[Message, ...]) -> dict[str, frozenset[str]]:
    names = [
        {field.path[0] for field in payload_fields(message.payload)} if message.payload is not None else set()
        for message in messages
    ]
    common = frozenset(set.intersection(*names)) - {"data", "type"}
    return {message.name: common for message in messages}


_SHARED = _shared_by(EVENTS) | _shared_by(COMMANDS)
"""Message → fields that it has in common with all others of its topic."""
