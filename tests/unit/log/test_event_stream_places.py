"""Places of the event stream: shared fairly when all are taken."""

import pytest

from hotswap_stream.api.event_stream_places import EventStreamPlaces, NoPlaceError


def test_whoever_has_most_gives_up_its_newest_place() -> None:
    """64 streams of one client without a key kept everybody else out."""
    places = EventStreamPlaces(4)
    many = [places.take("10.0.0.1") for _ in range(4)]
    with pytest.raises(NoPlaceError, match="4 clients"):
        places.take("10.0.0.1")
    other = places.take("10.0.0.2")
    assert [place.given_up.is_set() for place in many] == [False, False, False, True]
    places.take("10.0.0.2")
    assert [place.given_up.is_set() for place in many] == [False, False, True, True]
    with pytest.raises(NoPlaceError):
        places.take("10.0.0.2")
    places.take("10.0.0.3")
    assert len(places) == 4
    assert not other.given_up.is_set() or sum(place.given_up.is_set() for place in many) == 2


def test_a_place_that_was_given_up_frees_no_other() -> None:
    places = EventStreamPlaces(2)
    first, second = places.take("a"), places.take("a")
    places.take("b")
    assert second.given_up.is_set()
    places.leave(second)
    assert len(places) == 2
    places.leave(first)
    assert len(places) == 1


def test_clients_with_a_key_come_before_those_without() -> None:
    places = EventStreamPlaces(3)
    strangers = [places.take(f"10.0.0.{number}") for number in range(3)]
    for _ in range(3):
        places.take("alice", known=True)
    assert all(place.given_up.is_set() for place in strangers)
    with pytest.raises(NoPlaceError):
        places.take("10.0.0.9")
    places.take("bob", known=True)
    with pytest.raises(NoPlaceError):
        places.take("alice", known=True)


def test_no_places_at_all() -> None:
    with pytest.raises(NoPlaceError):
        EventStreamPlaces(0).take("a")
