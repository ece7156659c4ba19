"""What a judge finds wrong: counted by kind, with the first few of each in words."""

SHOWN_MAX = 5
"""How many of each kind are shown."""
CHARACTERS_MAX = 500


class Findings:
    """Empty when all is well."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: list[str] = []

    def add(self, kind: str, text: str) -> None:
        """One more problem."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= SHOWN_MAX:
            self.examples.append(f"{kind}: {text}"[:CHARACTERS_MAX])
