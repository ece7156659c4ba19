"""What the workers of a model tell each other when a partition goes from one to another: with the group's commits.

A commit may carry some text. Who gives a partition up commits, behind its last answer, that it did so and in which
generation of the group. Whoever is given the partition need not read the answers then. It is a hint: nobody waits for
it long, and without it the answers themselves say where to go on.
"""

import struct

from confluent_kafka import Consumer
from msgspec import Struct

_GROUP_METADATA = struct.Struct("=7si")
_MAGIC = b"CGMDv2:"
_WORD = "hotswap-1"
_WORKER_CHARACTERS_MAX = 200
UNKNOWN = -1


class Held(Struct, frozen=True):
    """Who committed, in which generation of the group, and whether it gave the partition up with that."""

    worker: str
    generation: int
    given_up: bool = False

    def text(self) -> str:
        """Return what the commit carries."""
        state = "given-up" if self.given_up else "held"
        return f"{_WORD} {state} {self.generation} {self.worker[:_WORKER_CHARACTERS_MAX]}"

    def is_for(self, generation: int) -> bool:
        """Return whether it was given up for those who were given it in this generation.

        Who leaves the group does it in the generation before.
        """
        return self.given_up and UNKNOWN < generation - 1 <= self.generation


def held_of(text: str | None) -> Held | None:
    """Return what a commit says; None for any text that is not a worker's."""
    word, _, rest = (text or "").partition(" ")
    state, _, rest = rest.partition(" ")
    generation, _, worker = rest.partition(" ")
    if word != _WORD or state not in ("held", "given-up") or not worker:
        return None
    if not (generation.isascii() and generation.isdigit() and len(generation) <= 10):
        return None
    return Held(worker, int(generation), state == "given-up")


def generation_of(member: Consumer) -> int:
    """Return the generation of the group that a member is in; `UNKNOWN` without one.

    The client has no question for it. What it gives for transactions is documented as opaque, and begins with a word
    that says its form: of another form nothing is read, and all partitions are then taken as new ones.
    """
    try:
        found = bytes(member.consumer_group_metadata())
        magic, generation = _GROUP_METADATA.unpack_from(found)
    except (TypeError, struct.error):
        return UNKNOWN
    return generation if magic == _MAGIC and generation >= 0 else UNKNOWN
