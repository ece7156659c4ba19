"""Places of the event stream, shared fairly: no client keeps the others out, however many streams it opens."""

import asyncio
from collections import Counter

from hotswap_stream.errors import HotswapError


class NoPlaceError(HotswapError):
    """All places are taken, and nobody has more of them than whoever asks would have."""

    retriable = True


class Place:
    """One stream of one client."""

    def __init__(self, client: str, known: bool) -> None:
        self.client = client
        self.known = known
        """Whether the client showed an API key."""
        self.given_up = asyncio.Event()
        """Set when the place is another's from here on."""


class EventStreamPlaces:
    """When all are taken, the client that holds most gives up its newest one: those without a key before those with."""

    def __init__(self, places_max: int) -> None:
        self._places_max = places_max
        self._taken: dict[Place, None] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, client: str, *, known: bool = False) -> Place:
        """Return a place of the client's own. NoPlaceError where none can be had."""
        if len(self._taken) >= self._places_max:
            self._make_room(client, known=known)
        place = Place(client, known)
        self._taken[place] = None
        return place

    def leave(self, place: Place) -> None:
        """Free the place, unless it was given to another already."""
        self._taken.pop(place, None)

    def _make_room(self, client: str, *, known: bool) -> None:
        held = Counter(place.client for place in self._taken)

        # Without a key, and how many.
        claims = {place.client: (not place.known, held[place.client]) for place in self._taken}
        greatest = max(claims, key=claims.__getitem__, default=None)
        # With one place more, whoever asks must still not have more than the one who gives one up has left.
        if greatest is None or (not known, held[client] + 1) >= claims[greatest]:
            raise NoPlaceError(f"{self._places_max} clients follow the event stream already")
        newest = next(place for place in reversed(self._taken) if place.client == greatest)
        del self._taken[newest]
        newest.given_up.set()
