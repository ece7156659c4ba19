"""Whom a worker takes for dead: by the broker's clock, and only while the brokers took its own words."""

import asyncio

import msgspec
import pytest
from structlog.testing import capture_logs

from hotswap_events.inference.fleet import FleetRecord
from hotswap_events.topics import Topics
from hotswap_stream.workers.inference import fallen_workers
from hotswap_stream.workers.inference.fallen_workers import FallenWorkers
from hotswap_stream.workers.inference.fleet import FALLEN_SECONDS, Fleet

MODEL = "m"
Words = list[tuple[str, float]]


def heard(words: Words, *, partitions: tuple[int, ...] = (0,)) -> Fleet:
    """The fleet as `me` reads it: who said something, and when it was appended."""
    fleet = Fleet({}, "fleet", "me")
    fleet._caught_up = True
    for worker, appended_s in words:
        record = FleetRecord(
            worker=worker,
            model_name=MODEL,
            registry_offset=0,
            versions={},
            serving_version=None,
            serving_registry_offset=None,
            partitions=partitions,
        )
        fleet._read(f"{worker}/{MODEL}".encode(), msgspec.json.encode(record), appended_s)
    return fleet


@pytest.mark.parametrize(
    ("words", "fallen"),
    [
        ([("me", 0), ("other", 0.5), ("me", 1), ("me", 2), ("me", 3)], {"other": 0.5}),
        ([("me", 0), ("other", 0.5), ("me", 1), ("me", 2), ("other", 2.5), ("me", 3)], {}),
        ([("me", 0), ("other", 0.5), ("me", 60)], {}),  # nobody could speak, and the first to speak again is me
        ([("me", 0), ("other", 0.5), ("me", 60), ("me", 61), ("me", 62)], {"other": 0.5}),
        ([("other", 0.5), ("third", 5), ("me", 5.5)], {}),  # I have only begun to speak
        ([("other", 0.5), ("third", 9)], {}),  # my own words do not come back
    ],
)
def test_who_is_silent_while_i_am_heard_is_dead(words: Words, fallen: dict[str, float]) -> None:
    assert FALLEN_SECONDS == 2.0
    assert heard(words).fallen(MODEL) == fallen
    assert heard(words).fallen("another") == {}


def test_who_answers_no_partition_may_have_been_given_some() -> None:
    """One that died while it looked where to go on in them kept them until its session ended."""
    assert heard([("other", 0.5), ("me", 1), ("me", 4)], partitions=()).fallen(MODEL) == {"other": 0.5}


@pytest.mark.parametrize(
    ("words", "suspected"),
    [
        ([("other", 0.5), ("me", 1)], False),  # a beat has not passed
        ([("other", 0.5), ("me", 1), ("me", 1.8)], True),
        ([("other", 0.5), ("me", 1), ("me", 1.8), ("other", 1.9)], False),
        ([("other", 0.5), ("me", 1), ("me", 2), ("me", 3)], False),  # it has fallen, and nothing more is to be known
        ([("me", 0.5), ("me", 2)], False),
        ([("other", 0.5), ("third", 9)], False),
    ],
)
def test_who_misses_a_beat_is_listened_for_more_closely_until_it_has_fallen(words: Words, suspected: bool) -> None:
    """Silence is measured by my own words: said every second only, they would tell of a death a second later."""
    assert heard(words).suspected(MODEL) is suspected
    assert not heard(words).suspected("another")


@pytest.mark.parametrize(
    ("words", "times"),
    [
        ([("me", 0), ("other", 0.5), ("other", 2.5), ("me", 3)], 1),
        ([("me", 0), ("other", 0.5), ("other", 2.5)], 0),  # as long as I say nothing, I hear nothing either
        ([("me", 0), ("other", 0.5), ("other", 2.4), ("me", 3)], 0),
        ([("me", 0), ("other", 0.5), ("third", 2.6), ("me", 3)], 0),  # each knows of my silence by its own words
        ([("me", 0), ("other", 9), ("me", 9.5), ("other", 11)], 0),  # nobody could speak
        ([("other", 0.5), ("other", 2.5), ("me", 3)], 0),  # I have only begun to speak
        (
            [("me", 0), ("other", 1), ("other", 4), ("other", 9), ("me", 10), ("other", 11), ("other", 14), ("me", 15)],
            2,
        ),
    ],
)
def test_who_was_silent_while_others_were_heard_may_have_been_taken_for_dead(words: Words, times: int) -> None:
    """By the rule by which the others do."""
    fleet = heard(words)
    assert fleet.taken_for_dead == times
    assert len(fleet._heard_since) <= 2


def test_what_no_worker_wrote_is_nobodys_word() -> None:
    fleet = heard([("me", 0)])
    for key, value in ((b"ghost/m", b"no record"), (b"\xff/m", b"{}"), (b"x" * 10_000, b"{}"), (None, b"{}")):
        fleet._read(key, value, 1)
        fleet._read(key, value, 9)
    assert not fleet._heard_since
    assert not fleet._was_silent


def test_my_words_are_kept_in_bounds_however_many_models_i_have() -> None:
    fleet = heard([("me", number / 1_000) for number in range(5_000)])
    assert 2 <= len(fleet._echoes) <= 16


def test_who_said_goodbye_is_gone_and_who_is_not_heard_may_only_be_unknown() -> None:
    fleet = heard([("other", 0.5), ("me", 1)])
    assert not fleet.gone(MODEL, "other")
    fleet._read(f"other/{MODEL}".encode(), None, 2)
    assert fleet.gone(MODEL, "other")
    assert not heard([("third", 0.5)]).gone(MODEL, "other"), "my own words do not come back: I know nothing"


async def test_a_group_is_asked_again_whether_a_silent_worker_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that hung was put out, its client became a member again, and nobody answered what it was given."""
    asked: list[str] = []

    async def put_out(_options: object, _group: str, worker: str) -> bool:
        asked.append(worker)
        return True

    monkeypatch.setattr(fallen_workers, "put_out_of_group", put_out)
    monkeypatch.setattr(fallen_workers, "AGAIN_SECONDS", 0.3)
    monkeypatch.setattr(fallen_workers, "AGAIN_SECONDS_MAX", 1.0)
    fleet = heard([("me", 0), ("other", 0.5), ("me", 1), ("me", 4)])
    fallen = FallenWorkers({}, Topics("nobody"), fleet, lambda: [MODEL])
    fallen.start()
    try:
        async with asyncio.timeout(60):
            while len(asked) < 3:
                fleet._echo_s = asyncio.get_running_loop().time()
                await asyncio.sleep(0.05)
        assert all(pause_s > 1.0 for _next_s, pause_s in fallen._again.values()), "and then no more"
        fleet._read(f"other/{MODEL}".encode(), None, 5)
        async with asyncio.timeout(60):
            while fallen._again:
                await asyncio.sleep(0.05)
    finally:
        await fallen.stop()
    assert set(asked) == {"other"}


async def test_a_group_whose_coordinator_is_away_is_told_again(unused_tcp_port: int) -> None:
    fleet = heard([("me", 0), ("other", 0.5), ("me", 1), ("me", 4)])
    options = {"bootstrap_servers": f"127.0.0.1:{unused_tcp_port}"}
    fallen = FallenWorkers(options, Topics("nobody"), fleet, lambda: [MODEL])
    with capture_logs() as logs:
        fallen.start()
        try:
            async with asyncio.timeout(60):
                while [entry["event"] for entry in logs].count("group_not_left") < 3:
                    fleet._echo_s = asyncio.get_running_loop().time()  # as long as this lasts, I am heard
                    await asyncio.sleep(0.05)
        finally:
            await fallen.stop()
    assert [entry["worker"] for entry in logs if entry["event"] == "worker_fallen"] == ["other"]
    assert fallen.has(MODEL, "other")
