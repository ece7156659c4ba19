"""Runs cells in groups; a group that breaks the law is halved in a new environment until the cell is found."""

import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import groupby
from random import Random
from typing import TypeVar

import msgspec

from hotswap_stream.application.processes.supervision import SupervisionError
from hotswap_stream.settings import Settings
from tests.hostile.account import account
from tests.hostile.cells import Cell
from tests.hostile.file_cells import FileCell
from tests.hostile.file_law import try_artifacts, try_settings
from tests.hostile.good_records import GoodRecords, NotHandledError
from tests.hostile.http_cells import HttpCell
from tests.hostile.http_law import http_groups, try_http
from tests.hostile.law import Outcome, try_cells
from tests.hostile.places import PLACES
from tests.hostile.probes import SECONDS_MAX, Probes
from tests.hostile.stage import HostileStage, hostile_stage

GROUP_CELLS_MAX = 120
"""Written together before it is looked whether the law holds."""
Say = Callable[[str], None]
C = TypeVar("C", Cell, HttpCell, FileCell)
Law = Callable[[HostileStage, Probes, Sequence[C]], Awaitable[Outcome]]


class Run:
    """One environment after the other on the same brokers: a new one after each that was broken.

    `together`: the cells of all topics are written at once, so that whoever must start again does so once.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        say: Say,
        seconds_max: float = SECONDS_MAX,
        search_seconds_max: float = 1_200.0,
        broken_max: int = 40,
        together: bool = False,
    ) -> None:
        self.outcomes: list[Outcome] = []
        """Each cell is in one of them; of a broken group that was halved, the halves are."""
        self.lost: list[str] = []
        """What the accounts at the end of the environments found, and what no cell did by itself."""
        self.environments = 0
        self._settings = settings
        self._say = say
        self._seconds_max = seconds_max
        self._search_seconds_max = search_seconds_max
        self._broken_max = broken_max
        self._together = together
        self._stack = AsyncExitStack()
        self._open: tuple[HostileStage, Probes] | None = None

    async def run(
        self,
        cells: Sequence[Cell],
        seed: int,
        *,
        http: Sequence[HttpCell] = (),
        artifacts: Sequence[FileCell] = (),
        settings: Sequence[FileCell] = (),
    ) -> None:
        """Try all of them."""
        if settings:
            self.outcomes.append(try_settings(settings))
        try:
            for group in [list(cells)] if self._together else groups(cells, seed):
                await self._try(group, try_cells)
            for asked in http_groups(http, seed):
                await self._try(asked, try_http)
            if artifacts:
                await self._try(list(artifacts), try_artifacts)
        finally:
            await self._close()

    async def _try(self, group: list[C], law: Law[C]) -> None:
        outcome = await self._outcome(group, law)
        if outcome.held:
            self.outcomes.append(outcome)
            return
        began_s = time.monotonic()
        self._say(f"{'; '.join(outcome.broken)[:400]}\n  by {len(group)} cells, such as {group[0]}")
        if not outcome.spoiled:
            self.outcomes.append(outcome)
            return
        await self._close(account_too=False)
        broken = sum(not each.held for each in self.outcomes)
        if len(group) == 1 or outcome.culprits or self._search_seconds_max <= 0 or broken >= self._broken_max:
            self.outcomes.append(outcome)
            return
        half, known = len(group) // 2, len(self.lost)
        await self._try(group[:half], law)
        await self._try(group[half:], law)
        if len(self.lost) == known and broken == sum(not each.held for each in self.outcomes):
            seen = "; ".join(outcome.broken)
            self.lost.append(f"by {len(group)} cells together, such as {group[0]}, and by neither half alone: {seen}")
        self._search_seconds_max -= time.monotonic() - began_s

    async def _outcome(self, group: list[C], law: Law[C]) -> Outcome:
        names = [str(cell) for cell in group]
        try:
            hostile, probes = await self._environment()
        except (SupervisionError, NotHandledError) as error:
            return Outcome(cells=names, broken=[f"no environment to try it in: {error}"])
        outcome = await law(hostile, probes, group)
        place = names[0].partition(":")[0]
        self._say(f"{'held' if outcome.held else 'BROKEN':6} {len(group):4} {place:20} {outcome.seconds:6.1f} s")
        return outcome

    async def _environment(self) -> tuple[HostileStage, Probes]:
        if self._open is None:
            self.environments += 1
            prefix = f"hostile-{uuid.uuid4().hex[:12]}"
            home = self._settings.home / prefix
            settings = msgspec.structs.replace(self._settings, topic_prefix=prefix, home=home)
            hostile = await self._stack.enter_async_context(hostile_stage(settings))
            probes = Probes(hostile, GoodRecords(hostile), self._seconds_max)
            self._stack.callback(probes.close)
            await probes.good.ensure_rollout()
            await probes.run(
                ("requests", "http", "commands", "feedback", "observations", "evidence", "fleet", "windows")
            )
            self._open = hostile, probes
        return self._open

    async def _close(self, *, account_too: bool = True) -> None:
        """End the environment; account for it if it was whole until now."""
        found, self._open = self._open, None
        try:
            if found is not None and account_too:
                # Those that were started anew with the cells of all topics have read them all already.
                self.lost += await (account(*found, restarts=("api",)) if self._together else account(*found))
        finally:
            stack, self._stack = self._stack, AsyncExitStack()
            await stack.aclose()


def groups(cells: Sequence[Cell], seed: int) -> list[list[Cell]]:
    """By topic, in the order of the topics; within one in an order that the seed gives; costly ones by themselves."""
    random, found = Random(f"hostile/{seed}/order"), list[list[Cell]]()
    order = {place.name: number for number, place in enumerate(PLACES)}
    for _place, of_place in groupby(sorted(cells, key=lambda cell: order[cell.place]), lambda cell: cell.place):
        mixed = list(of_place)
        random.shuffle(mixed)
        together = [cell for cell in mixed if not cell.alone]
        found += [together[first : first + GROUP_CELLS_MAX] for first in range(0, len(together), GROUP_CELLS_MAX)]
        found += [[cell] for cell in mixed if cell.alone]
    return found
