"""The law: whatever is written, the next good record is handled in bounded time, nothing acknowledged is lost, no
process ends, and "healthy" says the truth."""

import time
from collections.abc import Sequence

import httpx
from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_stream.errors import HotswapError
from tests.hostile.cells import Cell
from tests.hostile.good_records import NotHandledError
from tests.hostile.places import MODEL, PLACES, Place, Process
from tests.hostile.probes import Probes
from tests.hostile.records import HostileRecord, record_of
from tests.hostile.stage import BYSTANDER, PARTITIONS, HostileStage
from tests.hostile.wire import Written

NOTHING_AFTER = "aborted, and nothing after it"
WELL_SECONDS_MAX = 60.0
"""How long health may lag behind what was just shown to work."""


class Outcome(Struct, kw_only=True):
    """What became of some cells that were written together."""

    cells: list[str]
    broken: list[str] = []
    """What of the law did not hold; empty where it held."""
    culprits: list[str] = []
    """Which of the cells did it, where each was looked at by itself."""
    spoiled: bool = False
    """Whether nothing else can be tried in the same environment."""
    refused: int = 0
    """Records that the broker itself did not take."""
    told: dict[str, int] = {}
    """By what the environment told of them."""
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether the law held."""
        return not self.broken


async def try_cells(hostile: HostileStage, probes: Probes, cells: Sequence[Cell]) -> Outcome:
    """Write the records of these cells and see whether the law holds."""
    began = time.monotonic()
    outcome = Outcome(cells=[str(cell) for cell in cells])
    try:
        await _try(hostile, probes, cells, outcome)
    except NotHandledError as error:
        outcome.broken.append(f"not handled: {error}")
        outcome.broken += await hostile.unwell() or ["health said that all is well meanwhile"]
    except (HotswapError, TimeoutError, httpx.HTTPError) as error:
        outcome.broken.append(f"{type(error).__name__}: {error}")
    outcome.broken += hostile.ended()
    outcome.spoiled = bool(outcome.broken)
    outcome.seconds = round(time.monotonic() - began, 2)
    return outcome


async def _try(hostile: HostileStage, probes: Probes, cells: Sequence[Cell], outcome: Outcome) -> None:
    places = [place for place in PLACES if place.name in {cell.place for cell in cells}]
    wanted = tuple(dict.fromkeys(probe for place in places for probe in place.probes))
    if {"feedback", "observations"} & {*wanted}:
        await probes.good.ensure_rollout()
    before = await _counts(hostile)
    await probes.good.beside()
    pairs = await _write(hostile, cells)
    if not any(cell.way == NOTHING_AFTER for cell in cells):
        await probes.good.beside()
    outcome.refused = sum(written.refused is not None for _record, written in pairs)
    await hostile.restart(_restarts(places, cells))
    await probes.run(wanted)
    for place in places:
        if place.name in ("requests", "commands"):
            await _all_answered(hostile, probes, place, pairs)
    await _well(hostile, outcome)
    after = await _counts(hostile)
    outcome.told = {name: after[name] - before[name] for name in after if after[name] > before[name]}
    if stray := await hostile.strays():
        outcome.broken.append(f"{stray} records were written into {BYSTANDER}, which is another environment's")


def _restarts(places: Sequence[Place], cells: Sequence[Cell]) -> tuple[Process, ...]:
    found = {process for place in places for process in place.restarts}
    if any(cell.place == "registry" and cell.way == NOTHING_AFTER for cell in cells):
        found |= {"worker", "agents", "api"}
    return tuple(sorted(found))


async def _write(hostile: HostileStage, cells: Sequence[Cell]) -> list[tuple[HostileRecord, Written]]:
    topic, world = hostile.topics.requests(MODEL), hostile.world
    world.request_ends = tuple([await hostile.end_of(topic, number) for number in range(PARTITIONS)])
    pairs = []
    others = [cell for cell in cells if cell.place != "registry"]
    records = [record_of(cell, world) for cell in others]
    pairs += list(zip(records, await hostile.wire.write(records), strict=True))
    for cell in cells:
        if cell.place == "registry":
            # Each extends the chain as the ones before it left it.
            await hostile.stage.registry.catch_up()
            record = record_of(cell, world)
            pairs.append((record, (await hostile.wire.write([record]))[0]))
    return pairs


async def _all_answered(
    hostile: HostileStage, probes: Probes, place: Place, pairs: list[tuple[HostileRecord, Written]]
) -> None:
    """Each hostile record that is committed got an answer, or has a dead letter."""
    topic = place.topic(hostile.topics)
    wanted = {
        (written.partition, offset): record
        for record, written in pairs
        if record.topic == topic
        for offset in (written.offsets if written.committed else ())
    }

    def silent() -> list[tuple[int, int]]:
        told = {
            (record.number(header_names.ORIGIN_PARTITION), record.number(header_names.ORIGIN_OFFSET))
            for record in hostile.watch.good(hostile.topics.dead_letters)
            if record.headers.get(header_names.ORIGIN_TOPIC) == topic.encode()
        }
        if place.name == "requests":
            answers = hostile.watch.good(hostile.topics.responses(MODEL))
            told |= {(record.partition, record.number(header_names.REQUEST_OFFSET)) for record in answers}
            return [found for found in wanted if found not in told]
        results = hostile.watch.good(hostile.topics.command_results)
        answered = {record.text(header_names.COMMAND_ID) for record in results}
        return [found for found, record in wanted.items() if found not in told and record.command_id not in answered]

    try:
        await probes.until("an answer or a dead letter to each hostile record", lambda: not silent())
    except NotHandledError as error:
        found = silent()
        raise NotHandledError(f"{error}; {len(found)} were passed over in silence: {found[:5]}") from None


async def _well(hostile: HostileStage, outcome: Outcome) -> None:
    """What works must be said to be well, too."""
    deadline = time.monotonic() + WELL_SECONDS_MAX
    while unwell := await hostile.unwell():
        if time.monotonic() > deadline:
            outcome.broken.append(f"all is handled, and health says: {'; '.join(unwell)}")
            return


async def _counts(hostile: HostileStage) -> dict[str, int]:
    answers = hostile.watch.good(hostile.topics.responses(MODEL))
    status = await hostile.http.get("/api/status")
    return {
        "dead letters": sum(1 for _ in hostile.watch.good(hostile.topics.dead_letters)),
        "answers": sum(record.headers.get(header_names.STATUS) == b"error" for record in answers),
        "void events": status.json().get("events_void", 0) if status.status_code == 200 else 0,
        "log": hostile.told(),
    }
