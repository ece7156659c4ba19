"""Hostile requests for a run: those of the law's matrix that fit between good ones without a batch of their own."""

from functools import cache

from hotswap_events.topics import Topics
from hotswap_stream.application.registry.fold import RegistryFold
from tests.hostile.bases import World
from tests.hostile.cells import matrix
from tests.hostile.records import HostileRecord, record_of

BYTES_MAX = 400_000
_PLACE = "requests"
_PARTS = ("field", "value", "header")


@cache
def hostile_requests() -> tuple[HostileRecord, ...]:
    """In a fixed order; of each the value and the headers count."""
    world = World(topics=Topics("torture"), fold=RegistryFold())
    cells = [cell for cell in matrix() if cell.place == _PLACE and cell.field.part in _PARTS and not cell.alone]
    records = [record_of(cell, world) for cell in cells]
    return tuple(record for record in records if record.transport == "plain" and _bytes(record) <= BYTES_MAX)


def _bytes(record: HostileRecord) -> int:
    return len(record.value or b"") + sum(len(value or b"") for _name, value in record.headers)
