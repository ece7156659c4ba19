"""One reader, several subscribers: who hears an observation, in what order, and what a subscriber's error does."""

import msgspec
import pytest

from hotswap_events.inference.observation import Observation
from hotswap_stream.agents.observation_reader import ObservationReader
from hotswap_stream.agents.record_care import RecordCare
from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.errors import LogUnavailableError
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.registry import MODEL
from tests.support.stages.agent_in_memory import TOPICS, KeepingPublisher

GOOD = ObservedTraffic().record("v1")


class Hearing:
    """A subscriber that notes what it hears, or raises."""

    def __init__(self, name: str, heard: list[tuple[str, Observation, int]], error: Exception | None = None) -> None:
        self.name = name
        self.heard = heard
        self.error = error

    async def hear(self, observation: Observation, record: InboundRecord) -> None:
        if self.error is not None:
            raise self.error
        self.heard.append((self.name, observation, record.offset))


class Reading:
    """A reader of three subscribers, `second` the one in the middle."""

    def __init__(self, error: Exception | None = None) -> None:
        self.publisher = KeepingPublisher()
        self.heard: list[tuple[str, Observation, int]] = []
        subscribers = (
            Hearing("first", self.heard),
            Hearing("second", self.heard, error),
            Hearing("third", self.heard),
        )
        self.reader = ObservationReader(RecordCare(self.publisher, TOPICS), subscribers)

    async def handle(self, value: bytes | None, key: bytes | None = MODEL.encode()) -> None:
        record = InboundRecord(
            topic=TOPICS.observations, partition=0, offset=7, timestamp_ms=0, key=key, value=value, headers=()
        )
        await self.reader.handle(record)

    @property
    def names(self) -> list[str]:
        return [name for name, _observation, _offset in self.heard]

    @property
    def put_aside(self) -> int:
        return len(self.publisher.on(TOPICS.dead_letters))


async def test_all_hear_it_in_their_order() -> None:
    reading = Reading()
    await reading.handle(msgspec.json.encode(GOOD))
    assert reading.heard == [("first", GOOD, 7), ("second", GOOD, 7), ("third", GOOD, 7)]
    assert reading.put_aside == 0


@pytest.mark.parametrize(
    ("value", "key"),
    [(None, MODEL.encode()), (b"{", MODEL.encode()), (msgspec.json.encode(GOOD), b"other")],
    ids=["no-value", "no-json", "another-model's-key"],
)
async def test_what_cannot_be_read_is_put_aside_once_and_nobody_hears_it(value: bytes | None, key: bytes) -> None:
    reading = Reading()
    await reading.handle(value, key)
    assert (reading.heard, reading.put_aside) == ([], 1)


async def test_a_record_that_a_subscriber_fails_on_is_put_aside_and_goes_no_further() -> None:
    reading = Reading(ValueError("no sketch"))
    await reading.handle(msgspec.json.encode(GOOD))
    assert (reading.names, reading.put_aside) == (["first"], 1)


async def test_where_the_world_is_not_there_the_record_is_not_acknowledged() -> None:
    reading = Reading(LogUnavailableError("no broker"))
    with pytest.raises(LogUnavailableError, match="no broker"):
        await reading.handle(msgspec.json.encode(GOOD))
    assert (reading.names, reading.put_aside) == (["first"], 0)
