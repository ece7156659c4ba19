"""When a version that does not load in one worker is rolled back for the whole fleet."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from hotswap_events.inference.fleet import FleetVersion, LoadState, ObservationsLost
from hotswap_stream.application.inference.fleet import FleetWorker
from hotswap_stream.application.swap.load_failures import (
    FLEET_LOAD_SECONDS_MAX,
    FLEET_SETTLED_SECONDS,
    Verdict,
    Waited,
    tried_by,
    wait_on,
)

States = Sequence[LoadState | None] | None


def asked(*said: States, seconds: float) -> Waited | Verdict:
    """What comes of it when the others say these things one after the other, each for `seconds`."""
    waited = Waited()
    for states in said:
        found = wait_on(waited, states, seconds)
        if not isinstance(found, Waited):
            return found
        waited = found
    return waited


@pytest.mark.parametrize("states", [["loaded"], ["failed", "serving"], [None, "loaded", "failed"]])
def test_one_worker_that_holds_the_version_is_enough(states: States) -> None:
    assert asked(states, seconds=0.1) == "loads-elsewhere"


@pytest.mark.parametrize("states", [[], ["failed"], ["failed", "failed"]])
def test_a_version_that_fails_everywhere_is_given_up_once_everybody_has_spoken(states: States) -> None:
    assert isinstance(asked(states, seconds=FLEET_SETTLED_SECONDS * 0.9), Waited)
    assert asked(states, states, seconds=FLEET_SETTLED_SECONDS / 2) == "loads-nowhere"


@pytest.mark.parametrize("other", [["failed", "loading"], ["failed", None], None])
def test_the_time_in_which_all_have_failed_begins_anew(other: States) -> None:
    almost = FLEET_SETTLED_SECONDS * 0.9
    assert asked(["failed"], other, ["failed"], seconds=almost) == Waited(
        known_s=almost * (2 if other is None else 3), failed_s=almost
    )


def test_whoever_never_ends_trying_is_waited_for_for_so_long_only() -> None:
    loading: States = ["loading"]
    assert isinstance(asked(loading, seconds=FLEET_LOAD_SECONDS_MAX * 0.9), Waited)
    assert asked(loading, loading, seconds=FLEET_LOAD_SECONDS_MAX / 2) == "loads-nowhere"


def test_nothing_follows_from_silence_while_nobody_can_be_heard() -> None:
    """A worker that hears nobody would else roll back what all others serve."""
    assert asked(None, None, None, seconds=10 * FLEET_LOAD_SECONDS_MAX) == Waited()


def worker(name: str, state: LoadState | None, registry_offset: int = 7) -> FleetWorker:
    """One that was heard lately, by its last word of version v2."""
    versions = {} if state is None else {"v2": FleetVersion(state=state, artifact_digest="sha256:2")}
    return FleetWorker(
        worker=name,
        live=True,
        silent_seconds=3.0,
        seen_at=datetime(2026, 11, 30, tzinfo=UTC),
        registry_offset=registry_offset,
        serving_version="v1",
        serving_registry_offset=3,
        versions=versions,
        partitions=(0,),
        observations_lost=ObservationsLost(),
    )


def test_whoever_died_while_it_tried_is_not_waited_for() -> None:
    """Nobody that starts has a version to answer by, for as long as that is waited for."""
    others = [worker("w1", "failed"), worker("w2", "loading"), worker("w3", None)]
    assert tried_by(others, (), "v2", 7) == ["failed", "loading", None]
    assert tried_by(others, ("w2", "w3"), "v2", 7) == ["failed"]


def test_what_the_dead_could_load_counts() -> None:
    assert tried_by([worker("w1", "loaded"), worker("w2", "serving")], ("w1", "w2"), "v2", 7) == ["loaded", "serving"]


def test_a_word_of_before_the_promotion_says_nothing_of_it() -> None:
    assert tried_by([worker("w1", "failed", registry_offset=6)], (), "v2", 7) == [None]
