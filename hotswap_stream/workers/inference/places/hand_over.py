"""What the workers of a model tell each other when a partition goes from one to another: with the group's commits.

A commit may carry some text. Who gives a partition up commits, behind its last answer, that it did so and in which
generation of the group. Whoever is given the partition need not read the answers then. It is a hint: nobody waits for
it long, and without it the answers themselves say where to go on.
"""

import struct
import time
from collections.abc import Callable, Collection

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from msgspec import Struct

_log = structlog.get_logger(__name__)

ASK_SECONDS_MAX = 2.0
"""How long the coordinator is waited for."""
POLL_SECONDS = 0.01

_GROUP_METADATA = struct.Struct("=7si")
_MAGIC = b"CGMDv2:"
_WORD = "hotswap-1"
_WORKER_CHARACTERS_MAX = 200
_CHOSEN_BY = " @"
"""Behind the worker's name, which is the last that older releases read of it."""
_OFFSET_DIGITS_MAX = 18
UNKNOWN = -1


class Place(Struct, frozen=True):
    """Where to go on in a partition."""

    offset: int
    """Of the first request without an answer."""
    chosen_by: int | None
    """The registry offset of the event that chose the version of the last answer, -1 without one; None: not known."""


class Held(Struct, frozen=True):
    """Who committed, in which generation of the group, and whether it gave the partition up with that."""

    worker: str
    generation: int
    given_up: bool = False
    chosen_by: int | None = None
    """The registry offset of the event that chose the version of its last answers, if it says so."""
    leaving: bool = False
    """Whether it gives the partition up, and its last answers are still under way."""

    def text(self) -> str:
        """Return what the commit carries."""
        state = "given-up" if self.given_up else "leaving" if self.leaving else "held"
        chosen_by = "" if self.chosen_by is None else f"{_CHOSEN_BY}{self.chosen_by}"
        return f"{_WORD} {state} {self.generation} {self.worker[:_WORKER_CHARACTERS_MAX]}{chosen_by}"

    def is_for(self, generation: int) -> bool:
        """Return whether it was given up for those who were given it in this generation.

        Who leaves the group does it in the generation before.
        """
        return self.given_up and UNKNOWN < generation - 1 <= self.generation

    def comes_for(self, generation: int) -> bool:
        """Return whether a word for those who were given it in this generation is still to come."""
        return self.leaving and UNKNOWN < generation - 1 <= self.generation


def held_of(text: str | None) -> Held | None:
    """Return what a commit says; None for any text that is not a worker's."""
    word, _, rest = (text or "").partition(" ")
    state, _, rest = rest.partition(" ")
    generation, _, worker = rest.partition(" ")
    if word != _WORD or state not in ("held", "leaving", "given-up") or not worker:
        return None
    if not (generation.isascii() and generation.isdigit() and len(generation) <= 10):
        return None
    name, _, offset = worker.rpartition(_CHOSEN_BY)
    if state == "given-up" and name and offset.isascii() and offset.isdigit() and len(offset) <= _OFFSET_DIGITS_MAX:
        return Held(name, int(generation), state == "given-up", int(offset))
    return Held(worker, int(generation), state == "given-up", leaving=state == "leaving")


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


def given_up_places(
    client: Consumer,
    request_topic: str,
    partitions: Collection[int],
    generation: int,
    *,
    may_come: Callable[[str], bool],
    seconds_max: float,
    stopped: Callable[[], bool],
) -> tuple[dict[int, Place], set[int]]:
    """Ask the former workers of partitions, who may have given them up. Blocking.

    Args:
        client: A consumer by the name of the workers' group.
        request_topic: The topic of the requests.
        partitions: Those that were given in this generation.
        generation: Of the group.
        may_come: Whether a worker may be about to say so.
        seconds_max: How long it is waited for.
        stopped: Asked whether nobody wants to know any more.

    Returns:
        The places in those partitions whose former worker says that it gave them up, and the partitions whose former
        worker lives and says that its last answers are still under way.
    """
    give_up_s = time.monotonic() + seconds_max
    waiting, found, leaving = set(partitions), dict[int, Place](), set[int]()
    while waiting and not stopped():
        try:
            wanted = [TopicPartition(request_topic, number) for number in sorted(waiting)]
            for place in client.committed(wanted, timeout=ASK_SECONDS_MAX):
                held = held_of(place.metadata)
                if held is not None and held.is_for(generation) and place.offset >= 0:
                    found[place.partition] = Place(place.offset, held.chosen_by)
                elif held is not None and held.comes_for(generation) and may_come(held.worker):
                    leaving.add(place.partition)
                elif place.offset < 0 or not (held is None or held.given_up or may_come(held.worker)):
                    waiting.discard(place.partition)  # it was held by nobody who could give it up
                    leaving.discard(place.partition)
        except KafkaException as error:  # then the answers say where to go on
            _log.debug("commits_not_read", topic=request_topic, error=str(error))
            leaving.clear()
            break
        waiting -= found.keys()
        if not waiting or time.monotonic() > give_up_s:
            break
        time.sleep(POLL_SECONDS)
    return found, leaving - found.keys()
