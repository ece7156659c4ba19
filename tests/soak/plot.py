"""The run as a picture: what each process took, and how long answers took, with the changes marked."""

from html import escape

from hotswap_stream.application.plots.svg import GREY, WIDTH, picture
from tests.soak.flatness import Measure
from tests.soak.report import SoakReport

COLOURS = ("#2563eb", "#15803d", "#b91c1c", "#9333ea", "#c2410c", "#0e7490", "#4d7c0f", "#111827")
LEFT, RIGHT, TOP, HEIGHT = 70, 130, 44, 130
_MARKS = {"kill": "#b91c1c", "remove": "#c2410c", "add": "#15803d", "rollout": "#9333ea", "train": "#0e7490"}
_MIB = 1024**2
_POINTS_MAX = 400

Line = tuple[str, list[float], list[float]]


def drawn(report: SoakReport) -> str:
    """The picture as SVG text."""
    end_s = max([report.seconds, *(series.at_s[-1] for series in report.series if series.at_s)], default=1.0) or 1.0
    parts: list[str] = [_words(20, TOP - 20, f"soak, seed {report.seed}, {report.seconds:.0f} s", size=16)]
    top = TOP
    measures: tuple[tuple[Measure, str, float], ...] = (
        ("memory", "memory of its own, MiB", _MIB),
        ("descriptors", "descriptors", 1.0),
        ("threads", "threads", 1.0),
        ("disk", "disk, MiB", _MIB),
    )
    for measure, heading, scale in measures:
        lines: list[Line] = [
            (series.process, series.at_s, [value / scale for value in series.values])
            for series in report.series
            if series.measure == measure
        ]
        parts += _panel(heading, lines, top, end_s)
        top += HEIGHT + 50
    for number, (kind, colour) in enumerate(_MARKS.items()):
        parts.append(_words(LEFT + 250 + 75 * number, TOP - 20, kind, colour=colour))
    tenths = report.verdict.answer_ms_by_tenth
    middles = [(number + 0.5) * end_s / max(1, len(tenths)) for number in range(len(tenths))]
    answers: list[Line] = [
        (name, middles, [float(tenth.get(name, 0)) for tenth in tenths]) for name in ("p50", "p90", "p99")
    ]
    parts += _panel("answers by tenth, ms", answers, top, end_s)
    for change in report.changes:
        if change.kind in _MARKS:
            x = _x(change.at_s, end_s)
            title = escape(f"{change.kind} {change.target}")
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{top + HEIGHT}" stroke="{_MARKS[change.kind]}" '
                f'stroke-width="0.5" stroke-dasharray="2 3"><title>{title}</title></line>'
            )
    return picture("Memory, descriptors, threads, disk and latency of a long run", parts, top + HEIGHT + 20)


def _panel(heading: str, lines: list[Line], top: int, end_s: float) -> list[str]:
    most = max((value for _, _, values in lines for value in values), default=1.0) or 1.0
    bottom = top + HEIGHT
    parts = [
        _words(20, top + 2, heading),
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}" stroke="{GREY}"/>',
        _words(20, top + 22, f"{most:.3g}" if most < 10 else f"{most:.0f}", colour=GREY),
        _words(20, bottom, "0", colour=GREY),
        _words(WIDTH - RIGHT - 50, bottom + 16, f"{end_s:.0f} s", colour=GREY),
    ]
    names = sorted({name for name, _, _ in lines})
    for number, name in enumerate(names):
        parts.append(_words(WIDTH - RIGHT + 10, top + 16 * number + 14, name, colour=COLOURS[number % len(COLOURS)]))
    for name, at_s, values in lines:
        step = max(1, len(at_s) // _POINTS_MAX)
        points = " ".join(
            f"{_x(when, end_s):.1f},{bottom - value / most * (HEIGHT - 14):.1f}"
            for when, value in zip(at_s[::step], values[::step], strict=True)
        )
        colour = COLOURS[names.index(name) % len(COLOURS)]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.2" points="{points}"/>')
    return parts


def _x(at_s: float, end_s: float) -> float:
    return LEFT + at_s / end_s * (WIDTH - LEFT - RIGHT)


def _words(x: float, y: float, text: str, *, colour: str = "#111827", size: int = 12) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}">{escape(text)}</text>'
