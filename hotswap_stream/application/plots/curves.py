"""Figures over epochs as SVG: one panel a figure, one line a run."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from hotswap_stream.application.plots.svg import BLUE, GREEN, GREY, RED, cut, picture, text_at

LEFT, RIGHT, PANEL, GAP = 72, 784, 120, 58
FIGURES_MAX = 16
"""Panels in one picture; further figures are left out, which it says."""
RUNS_MAX = 8
COLOURS = (BLUE, RED, GREEN, "#a16207", "#7e22ce", "#0e7490", "#be185d", GREY)
NAME_CHARACTERS_MAX = 60

Epochs = Sequence[tuple[int, Mapping[str, float]]]


class Line(Struct, frozen=True):
    """The epochs of one run."""

    label: str
    epochs: Epochs


def curves_svg(title: str, lines: Sequence[Line]) -> str:
    """Return the whole picture. All words may hold anything: they are cut and escaped."""
    title = _shown(title)
    lines = [Line(_shown(line.label), line.epochs) for line in lines[:RUNS_MAX]]
    parts, y = [text_at(16, 28, cut(title, 76), size=16, weight="600")], 36
    for line, colour in zip(lines, COLOURS, strict=False):
        y += 18
        parts.append(f'<rect x="16" y="{y - 9}" width="14" height="4" fill="{colour}"/>')
        parts.append(text_at(36, y, cut(line.label, 90), size=12))
    names = list(dict.fromkeys(name for line in lines for _, figures in line.epochs for name in figures))
    if not names:
        return picture(title, [*parts, text_at(16, y + 28, "no epochs are known", colour=GREY)], y + 36)
    for name in names[:FIGURES_MAX]:
        drawn, y = _panel(name, lines, y + 34)
        parts += drawn
    if len(names) > FIGURES_MAX:
        y += 22
        parts.append(text_at(16, y, f"and {len(names) - FIGURES_MAX} figures more", size=12, colour=GREY))
    return picture(title, parts, y)


def _shown(said: str) -> str:
    """Replace what XML has no way to say, and what would not be seen."""
    return "".join(each if each.isprintable() else "?" for each in said)


def _panel(name: str, lines: Sequence[Line], top: int) -> tuple[list[str], int]:
    points = [[(epoch, figures[name]) for epoch, figures in line.epochs if name in figures] for line in lines]
    epochs = [epoch for line in points for epoch, _ in line]
    values = [value for line in points for _, value in line]
    first, last, low, high = min(epochs), max(epochs), min(values), max(values)
    bottom = top + 12 + PANEL

    def place(epoch: int, value: float) -> tuple[float, float]:
        across = 0.5 if first == last else (epoch - first) / (last - first)
        # Scaled before they are subtracted: the ends of what a float holds are figures, too.
        scale = max(abs(low), abs(high)) or 1.0
        up = 0.5 if low == high else (value / scale - low / scale) / (high / scale - low / scale)
        return LEFT + across * (RIGHT - LEFT), bottom - up * PANEL

    parts = [text_at(16, top, cut(_shown(name), NAME_CHARACTERS_MAX), weight="600")]
    for y, value in ((bottom - PANEL, high), (bottom, low)):
        parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{RIGHT}" y2="{y}" stroke="#e5e7eb"/>')
        parts.append(text_at(LEFT - 8, y + 4, f"{value:.4g}", size=11, colour=GREY, anchor="end"))
    for x, epoch, anchor in ((LEFT, first, "start"), (RIGHT, last, "end")):
        parts.append(text_at(x, bottom + 16, f"epoch {epoch}", size=11, colour=GREY, anchor=anchor))
    for line, colour in zip(points, COLOURS, strict=False):
        places = [place(epoch, value) for epoch, value in line]
        if len(places) == 1:
            parts.append(f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="4" fill="{colour}"/>')
        elif places:
            drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return parts, bottom + GAP - 34
