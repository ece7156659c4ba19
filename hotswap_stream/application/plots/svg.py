"""The parts of a picture as SVG: a page, panels of dots with intervals on an axis, words."""

from collections.abc import Iterable
from math import floor, log10
from textwrap import wrap
from xml.sax.saxutils import escape

from msgspec import Struct

WIDTH, ROW, LEFT, RIGHT = 800, 26, 240, 216
LABEL_CHARACTERS_MAX = 27
VERSION_TAIL = 4
"""Names of versions differ in their ends."""
TITLE_CHARACTERS_MAX = 76
LINE_CHARACTERS_MAX = 95
LINES_MAX = 4
BLACK, GREY, BLUE, GREEN, RED = "#111827", "#6b7280", "#2563eb", "#15803d", "#b91c1c"


class PlotRow(Struct, frozen=True):
    """One line of a panel: a dot at `value`, a bar from `lower` to `upper`, and `text` after it."""

    label: str
    value: float
    lower: float | None
    upper: float | None
    colour: str
    text: str


def picture(title: str, parts: list[str], bottom: int) -> str:
    """Return the document around what was drawn.

    Args:
        title: For those who cannot see the picture.
        parts: SVG elements.
        bottom: Where the lowest of them ends, in px from the top.
    """
    height = bottom + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def panel(heading: str, rows: list[PlotRow], top: int, *, zero: float | None) -> tuple[list[str], int]:
    """Draw rows under one heading with an axis of their own.

    Args:
        heading: What the rows show.
        rows: One or more, from the top down.
        top: Where the heading stands, in px from the top of the picture.
        zero: A value to draw a line at; None draws none.

    Returns:
        SVG elements, and where they end, in px from the top.
    """
    ends = [end for row in rows for end in (row.value, row.lower, row.upper) if end is not None]
    ends += [] if zero is None else [zero]
    low, high = min(ends), max(ends)
    pad = (high - low) * 0.05 or 0.005
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    bottom = top + 16 + ROW * len(rows)
    parts = [text_at(16, top, heading, weight="600")]
    for value in _ticks(low, high):
        parts.append(f'<line x1="{x(value):.1f}" y1="{top + 10}" x2="{x(value):.1f}" y2="{bottom}" stroke="#e5e7eb"/>')
        parts.append(text_at(x(value), bottom + 14, f"{value:.6g}", size=11, colour=GREY, anchor="middle"))
    if zero is not None:
        parts.append(f'<line x1="{x(zero):.1f}" y1="{top + 8}" x2="{x(zero):.1f}" y2="{bottom}" stroke="#111827"/>')
    for position, row in enumerate(rows):
        y = top + 12 + ROW * position + ROW // 2
        parts.append(text_at(LEFT - 14, y + 4, row.label, anchor="end"))
        if row.lower is not None and row.upper is not None:
            line = f'<line x1="{x(row.lower):.1f}" y1="{y}" x2="{x(row.upper):.1f}" y2="{y}"'
            parts.append(f'{line} stroke="{row.colour}" stroke-width="5" stroke-opacity="0.45"/>')
        parts.append(f'<circle cx="{x(row.value):.1f}" cy="{y}" r="5" fill="{row.colour}"/>')
        parts.append(text_at(WIDTH - RIGHT + 16, y + 4, row.text + _ends(row), size=12))
    return parts, bottom + 18


def _ends(row: PlotRow) -> str:
    return "" if row.lower is None or row.upper is None else f" [{row.lower:.4g}, {row.upper:.4g}]"


def _ticks(low: float, high: float) -> Iterable[float]:
    """Return three or more round numbers from `low` to `high`."""
    rough = (high - low) / 4
    power = 10.0 ** floor(log10(rough))
    step = next(power * part for part in (1, 2, 5, 10) if power * part >= rough * 0.75)
    first = int(low / step) - 1
    return [round(number * step, 10) for number in range(first, first + 40) if low <= number * step <= high]


def cut(said: str, characters_max: int, *, tail: int = 0) -> str:
    """Return at most `characters_max` of the text; "…" for what is left out stands before the last `tail` ones."""
    if len(said) <= characters_max:
        return said
    return said[: max(1, characters_max - 1 - tail)] + "…" + said[len(said) - tail :]


def lines(said: str) -> list[str]:
    """Return the text in at most 4 lines of 95 characters."""
    found = wrap(said, LINE_CHARACTERS_MAX)
    return found if len(found) <= LINES_MAX else [*found[: LINES_MAX - 1], found[LINES_MAX - 1] + " …"]


def text_at(
    x: float,
    y: float,
    said: str,
    *,
    size: int = 13,
    colour: str = "#111827",
    weight: str = "400",
    anchor: str = "start",
) -> str:
    """Return words at a place; `said` may hold anything, and is escaped."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(said)}</text>'
    )
