"""What becomes of observations that cannot be sent, or not counted: it is said, but not each second."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from hotswap_events.inference.fleet import ObservationsLost
from hotswap_events.inference.observation import Comparison
from hotswap_events.topics import Topics
from hotswap_stream.workers.inference.observing import observer
from hotswap_stream.workers.inference.observing.observer import Observer
from hotswap_stream.workers.inference.observing.sender import ObservationSender
from hotswap_stream.workers.inference.observing.tally import Tally


class _Batch:
    def __init__(self, room: int) -> None:
        self.values: list[bytes] = []
        self._room = room

    def append(self, *, key: bytes, value: bytes, timestamp: None) -> object | None:  # noqa: ARG002
        if len(self.values) >= self._room:
            return None
        self.values.append(value)
        return self

    def close(self) -> None:
        pass


class _Producer:
    """Takes batches of `room` records, or nothing while it is `away`."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.away = False
        self.room = 100

    async def partitions_for(self, _topic: str) -> set[int]:
        if self.away:
            raise KafkaConnectionError("nobody there")
        return {0}

    def create_batch(self) -> _Batch:
        return _Batch(self.room)

    async def send_batch(self, batch: _Batch, _topic: str, *, partition: int) -> Any:
        assert partition == 0

        async def acknowledged() -> None:
            self.sent += batch.values

        return acknowledged()


class _Stage:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.observer = Observer("digits", "w1", "run")
        self.sender = ObservationSender({}, Topics(), on_lost=self.told.append)
        self.sender.add(self.observer)
        self.producer: Any = _Producer()

    def shadow(self, *versions: str) -> None:
        def count(tally: Tally) -> None:
            tally.answers += 3

        for version in versions:
            self.observer.shadowed(version, "r1", 3, count)

    async def second(self) -> None:
        await self.sender._send_all(self.producer)


def pair() -> Comparison:
    return Comparison(
        model_name="digits",
        rollout_id="r1",
        worker="w1",
        request_partition=0,
        request_offset=1,
        at=datetime.now(UTC),
        primary_version="v1",
        shadow_version="v2",
        agree=True,
        primary_compute_ms=1.0,
        shadow_compute_ms=1.0,
    )


@pytest.fixture
def stage() -> _Stage:
    return _Stage()


async def test_that_kafka_takes_nothing_is_said_once_a_minute_and_that_it_does_again(
    stage: _Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    with capture_logs() as said:
        stage.producer.away = True
        for _second in range(130):
            stage.shadow("v2")
            await stage.second()
            now_s += 1
        stage.producer.away = False
        await stage.second()
        await stage.second()
    told = [(entry["event"], entry["seconds"]) for entry in said]
    assert told == [
        ("observations_not_sent", 0.0),
        ("observations_not_sent", 60.0),
        ("observations_not_sent", 120.0),
        ("observations_sent_again", 130.0),
    ]
    assert len(stage.producer.sent) == 2, "what was numbered, and one about the time since"
    assert stage.told == [], "nothing was lost"


async def test_what_is_lost_is_counted_and_told_when_it_changes(stage: _Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "KEYS_MAX", 2)
    stage.shadow("v2", "v3", "v4", "v5")
    await stage.second()
    assert stage.sender.lost(stage.observer) == ObservationsLost(answers_not_counted=6)
    await stage.second()
    assert stage.told == ["digits"]
    stage.producer.room = 1
    stage.shadow("v2", "v3")
    with capture_logs() as said:
        await stage.second()
    assert [entry["event"] for entry in said] == ["observations_too_large"]
    assert stage.sender.lost(stage.observer) == ObservationsLost(answers_not_counted=6, records_dropped=1)
    assert stage.told == ["digits", "digits"]


async def test_pairs_that_are_not_sent_are_counted_and_told(stage: _Stage) -> None:
    stage.observer.compared([pair(), pair(), pair()])
    stage.producer.away = True
    await stage.second()
    assert stage.sender.lost(stage.observer) == ObservationsLost(comparisons_dropped=3)
    stage.producer.away, stage.producer.room = False, 2
    stage.observer.compared([pair(), pair(), pair()])
    with capture_logs() as said:
        await stage.second()
    assert [entry["event"] for entry in said] == ["observations_sent_again"], "a sample may be smaller"
    assert len(stage.producer.sent) == 2
    assert stage.sender.lost(stage.observer) == ObservationsLost(comparisons_dropped=4)
    assert stage.told == ["digits", "digits"]
