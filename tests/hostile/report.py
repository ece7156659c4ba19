"""What a run found, as JSON, as a table for people, and as the table in the docs."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.hostile.cells import Cell
from tests.hostile.file_cells import ARTIFACTS, SETTINGS, FileCell
from tests.hostile.http_cells import PLACE as HTTP
from tests.hostile.http_cells import HttpCell
from tests.hostile.kinds import KINDS, WHY_NOT
from tests.hostile.law import Outcome
from tests.hostile.places import PLACES
from tests.hostile.run import Run
from tests.support.checkout import ROOT

JSON_FILE = Path("build/hostile.json")
DOCS_FILE = ROOT / "docs" / "explanation" / "hostile.md"
AnyCell = Cell | HttpCell | FileCell
OTHERS = ((HTTP, ("API",)), (ARTIFACTS, ("worker",)), (SETTINGS, ("every process",)))
"""What is no topic, and who reads it."""
MANY = 50
"""Among this number of a topic's cells there are some that cannot be used, of which something must tell."""
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


class PlaceReport(Struct, kw_only=True):
    """One topic."""

    place: str
    readers: tuple[str, ...]
    cells: int = 0
    held: int = 0
    refused_by_broker: int = 0
    told: dict[str, int] = {}
    seconds: float = 0.0
    kinds: dict[str, int] = {}


class Report(Struct, kw_only=True):
    """One run."""

    held: bool
    seed: int
    cells: int
    seconds: float
    environments: int
    """How many were needed: one, and one more after each that was broken."""
    places: list[PlaceReport]
    broken: list[Outcome]
    """Groups of cells after which the law did not hold; of one cell each, unless looking for it took too long."""
    lost: list[str]
    untold: list[str]
    """Topics in which records could not be used and nothing told of it."""


def report_of(seed: int, cells: Sequence[AnyCell], run: Run, seconds: float) -> Report:
    """From what a run left."""
    names = [*((place.name, place.readers) for place in PLACES), *OTHERS]
    places = [_place(name, readers, cells, run) for name, readers in names]
    told_by = {place.name: place.told_by for place in PLACES}
    untold = [
        each.place
        for each in places
        if each.held >= MANY
        and told_by.get(each.place)
        and not any(each.told.get(name) for name in told_by[each.place])
    ]
    broken = [outcome for outcome in run.outcomes if not outcome.held]
    return Report(
        held=not broken and not run.lost and not untold,
        seed=seed,
        cells=len(cells),
        seconds=round(seconds, 1),
        environments=run.environments,
        places=[place for place in places if place.cells],
        broken=broken,
        lost=run.lost,
        untold=untold,
    )


def _place(name: str, readers: tuple[str, ...], cells: Sequence[AnyCell], run: Run) -> PlaceReport:
    mine = [cell for cell in cells if cell.place == name]
    found = PlaceReport(place=name, readers=readers, cells=len(mine))
    names, told = {str(cell) for cell in mine}, Counter[str]()
    for outcome in run.outcomes:
        tried = [cell for cell in outcome.cells if cell in names]
        if not tried:
            continue
        if outcome.held or outcome.culprits:
            found.held += len([cell for cell in tried if cell not in outcome.culprits])
        told.update(outcome.told)
        if outcome.cells[0] in names:
            found.refused_by_broker += outcome.refused
            found.seconds = round(found.seconds + outcome.seconds, 1)
    found.told = dict(told)
    found.kinds = dict(Counter(str(cell.kind) for cell in mine))
    return found


def write_json(report: Report) -> None:
    """build/hostile.json."""
    JSON_FILE.parent.mkdir(exist_ok=True)
    JSON_FILE.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def table(report: Report) -> str:
    """Return a table for a terminal; every cell that broke the law by its name, and what was seen."""
    lines = [
        f"{'the law holds' if report.held else 'THE LAW IS BROKEN'}: seed {report.seed}, {report.cells} cells, "
        f"{report.seconds:.0f} s, {report.environments} environments",
        f"{'topic':20} {'cells':>6} {'handled':>8} {'refused':>8} {'seconds':>8}  told by",
    ]
    for place in report.places:
        told = ", ".join(f"{count} {name}" for name, count in place.told.items())
        lines.append(
            f"{place.place:20} {place.cells:6} {place.held:8} {place.refused_by_broker:8} {place.seconds:8.1f}  {told}"
        )
    for outcome in report.broken:
        shown = outcome.cells[0]
        if len(outcome.cells) > 1:
            known = f"{len(outcome.culprits)} of" if outcome.culprits else "one of"
            shown = f"{known} {len(outcome.cells)} such as {shown}"
        lines += [f"BROKEN by {shown}", *(f"    {each}" for each in outcome.broken)]
    lines += [f"LOST {each}" for each in report.lost]
    lines += [f"UNTOLD: records in {each} could not be used, and nothing tells of it" for each in report.untold]
    return "\n".join(lines) + "\n"


def write_docs(report: Report) -> None:
    """The table between its marks."""
    text = DOCS_FILE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS_FILE.write_text(f"{before}{BEGIN}\n{_markdown(report)}{END}{after}", encoding="utf-8")


def _markdown(report: Report) -> str:
    lines = [
        "",
        f"Seed {report.seed}: {report.cells} cells, {sum(place.held for place in report.places)} handled, "
        f"{report.seconds:.0f} s on two cores.",
        "",
        "| topic | read by | cells | handled | not taken by the broker | seconds |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| `{place.place}` | {', '.join(place.readers)} | {place.cells} | {place.held} | "
        f"{place.refused_by_broker} | {place.seconds:.0f} |"
        for place in report.places
    ]
    lines += ["", "| kind | cells |", "| --- | ---: |"]
    counts = Counter[str]()
    for place in report.places:
        counts.update(place.kinds)
    lines += [f"| {kind} | {counts[kind]} |" for kind in KINDS]
    lines += ["", "Left out of the full product:", "", *(f"- {what}: {why}." for what, why in WHY_NOT), "", ""]
    return "\n".join(lines)
