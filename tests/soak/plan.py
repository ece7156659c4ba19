"""What is done to the system while it is under load for long, and when: the same in each tenth of the run.

So the first tenth and the last are under the same load and the same changes, and their answers can be compared. One
worker is never touched: it shows what time alone does.
"""

from random import Random
from typing import Literal

from msgspec import Struct

from tests.torture.plan import Swap, SwapKind

Kind = Literal["kill", "remove", "add", "swap", "rollout", "train"]

PARTS = 10
TOUCHED = ("w2", "w3")
"""The worker that is killed, and the one that leaves and joins; `w1` is left alone."""
_AT: tuple[tuple[float, Kind, str], ...] = (
    (0.05, "swap", "switch"),
    (0.10, "kill", TOUCHED[0]),
    (0.20, "rollout", ""),
    (0.25, "swap", "promote"),
    (0.45, "swap", "roll-back"),
    (0.50, "remove", TOUCHED[1]),
    (0.60, "add", TOUCHED[1]),
    (0.65, "swap", "switch"),
    (0.75, "train", ""),
    (0.85, "swap", "register-and-switch"),
)
"""Share of a tenth, what, and of whom."""


class SoakPlan(Struct, frozen=True, kw_only=True):
    """How long, and how much of everything."""

    seconds: float = 1_800.0
    requests_per_second: int = 200
    partitions: int = 8
    versions_first: int = 6
    rolled_askers: int = 4
    """Who ask the model with rollouts, each one request after the other."""
    window_series: int = 8
    ask_seconds: float = 0.2
    """Between two requests of one asker or series."""

    @property
    def part_seconds(self) -> float:
        """How long a tenth is."""
        return self.seconds / PARTS

    @property
    def sample_seconds(self) -> float:
        """How often memory and all else is looked at: some hundred times, but not all the time."""
        return min(30.0, max(1.0, self.seconds / 360))

    @property
    def warm_up_seconds(self) -> float:
        """Time in which caches fill and executors are chosen; what grows then is not judged."""
        return min(300.0, max(45.0, 0.2 * self.seconds))


class Step(Struct, frozen=True):
    """One change. A lane whose former step took until after the end of its tenth leaves it out."""

    at_s: float
    kind: Kind
    target: str = ""
    pick: int = 0

    def as_swap(self) -> Swap:
        """What the operator is to do."""
        kinds: dict[str, SwapKind] = {
            "switch": "switch",
            "promote": "promote",
            "roll-back": "roll-back",
            "register-and-switch": "register-and-switch",
        }
        return Swap(self.at_s, kinds[self.target], self.pick)


def steps_of(plan: SoakPlan, seed: int, *kinds: Kind) -> tuple[Step, ...]:
    """The steps of one lane, in order: the same for the same arguments."""
    random = Random(f"{seed}/soak")
    return tuple(
        Step(round((part + share) * plan.part_seconds, 3), kind, target, random.randrange(1_000))
        for part in range(PARTS)
        for share, kind, target in _AT
        if kind in kinds
    )
