"""Tables that fit the terminal and break no word; a number and its unit are one.

What does not fit as it is is wrapped between words; then columns that a reader can miss are left out, the least
important first; and what fits in no way stands vertically, a line per column.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

GAP = "  "
LINES_LIKED_MAX = 2
"""Lines of a cell up to which a table with all columns reads better than one that lacks a column."""
LINES_MAX = 4
"""Above this a row is easier to read vertically."""
_WORD = re.compile(r"[\d.,]+ (?:%|ms|s|min|h|d|KiB|MiB|GiB)(?!\S)|\S+")


@dataclass(frozen=True)
class Column:
    """One column of texts."""

    title: str
    cells: tuple[str, ...]
    is_number: bool = False
    """Aligned right."""

    @property
    def natural(self) -> int:
        """Characters of the widest cell."""
        return max(map(_length, (self.title, *self.cells)))

    @property
    def least(self) -> int:
        """Characters of the longest word."""
        return max((_length(word) for text in (self.title, *self.cells) for word in _WORD.findall(text)), default=0)


def table_lines(columns: Sequence[Column], width: int, *, optional: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Lay a table out.

    Args:
        columns: With the same number of cells each.
        width: Characters of a line; only a single word that is longer gets a longer line.
        optional: Titles of the columns that may be left out, the least important first.

    Returns:
        The lines, and the titles of the columns that were left out.
    """
    kept, left_out = list(columns), list[str]()
    for lines_max in (LINES_LIKED_MAX, LINES_MAX):
        kept, left_out = list(columns), []
        for title in (None, *optional):
            if title is not None:
                kept = [column for column in kept if column.title != title]
                left_out.append(title)
            widths = _widths(kept, width)
            if widths is not None and _lines_needed(kept, widths) <= lines_max:
                return _drawn(kept, widths), [title for title in left_out if title in {c.title for c in columns}]
    return _vertical(columns, width), []


def fact_lines(facts: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Return name and value, one fact after the other, each value wrapped between words beside its name.

    A value stands below its name where the name, or a word of the value, is too long for both in one line.
    """
    longest_name = width // 2
    indent = max((_length(name) for name, _ in facts if _length(name) <= longest_name), default=0)
    room = max(width - indent - len(GAP), 1)
    lines: list[str] = []
    for name, value in facts:
        if _length(name) > longest_name or any(_length(word) > room for word in value.split()):
            lines += [name, *(f"{GAP}{text}" for text in wrapped(value, width - len(GAP)))]
            continue
        first, *others = wrapped(value, room) or [""]
        lines.append(f"{_padded(name, indent)}{GAP}{first}".rstrip())
        lines += [f"{' ' * indent}{GAP}{other}" for other in others]
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """Return the text in lines of at most `width` characters, broken between words only."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in _WORD.findall(paragraph):
            if line and _length(line) + 1 + _length(word) > width:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    return lines


def _widths(columns: Sequence[Column], width: int) -> list[int] | None:
    """Return a width for each column, none below its longest word; None where that does not fit."""
    room = width - len(GAP) * (len(columns) - 1)
    widths, least = [column.natural for column in columns], [column.least for column in columns]
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max((at for at in range(len(widths)) if widths[at] > least[at]), key=lambda at: widths[at])
        widths[widest] -= 1
    return widths


def _lines_needed(columns: Sequence[Column], widths: Sequence[int]) -> int:
    return max(
        (len(wrapped(text, wide)) for column, wide in zip(columns, widths, strict=True) for text in column.cells),
        default=1,
    )


def _drawn(columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    lines = _row(columns, widths, [column.title for column in columns])
    lines.append("─" * (sum(widths) + len(GAP) * (len(widths) - 1)))
    for at in range(len(columns[0].cells) if columns else 0):
        lines += _row(columns, widths, [column.cells[at] for column in columns])
    return lines


def _row(columns: Sequence[Column], widths: Sequence[int], texts: Sequence[str]) -> list[str]:
    cells = [wrapped(text, wide) or [""] for text, wide in zip(texts, widths, strict=True)]
    lines = []
    for at in range(max(map(len, cells), default=0)):
        parts = [
            _padded(cell[at] if at < len(cell) else "", wide, right=column.is_number)
            for cell, wide, column in zip(cells, widths, columns, strict=True)
        ]
        lines.append(GAP.join(parts).rstrip())
    return lines


def _vertical(columns: Sequence[Column], width: int) -> list[str]:
    lines: list[str] = []
    for at in range(len(columns[0].cells)):
        lines += [""] if lines else []
        lines += fact_lines([(column.title, column.cells[at]) for column in columns if column.cells[at]], width)
    return lines


def _padded(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - _length(text))
    return space + text if right else text + space


def _length(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
