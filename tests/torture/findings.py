"""What a judge finds wrong: counted by kind, with the first few of each in words, and where they are."""

from msgspec import Struct

SHOWN_MAX = 5
"""How many of each kind are shown."""
CHARACTERS_MAX = 500


class Place(Struct, frozen=True):
    """A request: where to look for the records of it and of its answer."""

    partition: int
    offset: int


class Findings:
    """Empty when all is well."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: list[str] = []
        self.places: list[Place] = []
        """Of the examples, those that are about one request."""

    def add(self, kind: str, text: str, place: Place | None = None) -> None:
        """One more problem."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= SHOWN_MAX:
            self.examples.append(f"{kind}: {text}"[:CHARACTERS_MAX])
            if place is not None and place not in self.places:
                self.places.append(place)
