"""A worker and the library that a model comes from, in turns, each with the machine to itself."""

import asyncio
from collections.abc import Callable
from statistics import median

from msgspec import Struct

from benchmarks.serving_processes import put_artifact_into_production
from benchmarks.worker_rounds import WARM_UP_REQUESTS, WorkerRounds, facts_of
from hotswap_stream.settings import Settings

ROUNDS = 3


class Turns(Struct, frozen=True):
    """Rows of the worker, and of the library, per second, of each turn."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    executor: str

    @property
    def ratio(self) -> float:
        """The median of the turns' ratios."""
        return median(mine / other for mine, other in zip(self.ours, self.theirs, strict=True))

    def row(self, name: str, compared_with: str, aim: float, count: int) -> dict[str, object]:
        """Return the benchmark's result."""
        return {
            "name": name,
            "ours": round(median(self.ours)),
            "compared_with": compared_with,
            "comparison": round(median(self.theirs)),
            "unit": "rows/s",
            "ratio": round(self.ratio, 3),
            "aim": f">= {aim}",
            "holds": self.ratio >= aim,
            "rows": count,
            "executor": self.executor,
        }


async def turns(
    settings: Settings, content: bytes, count: int, rate: Callable[[], float], *, rows: int = 1, rounds: int = ROUNDS
) -> Turns:
    """Put an artifact into production, and let its worker and its library compute in turns.

    Args:
        settings: Of a running broker.
        content: The artifact.
        count: Rows of a round.
        rate: Computes as many rows with the library, and returns the rows per second.
        rows: Of one request.
        rounds: How many turns both have.
    """
    worker = WorkerRounds(await put_artifact_into_production(settings, "published", content), rows=rows)
    requests = count // rows
    await worker.settle(min(requests // 4, WARM_UP_REQUESTS))
    ours: list[float] = []
    theirs: list[float] = []
    executor = ""
    for _ in range(rounds):
        await worker.fill(requests)
        counted = await worker.answered(requests)
        ours.append(counted.per_s * rows)
        executor = facts_of(counted).executor or ""
        theirs.append(await asyncio.to_thread(rate))
    return Turns(tuple(ours), tuple(theirs), executor)
