"""A picture of an experiment, as SVG: the arms' rates with their intervals, and what each candidate differs by."""

from collections.abc import Iterable
from math import floor, log10
from xml.sax.saxutils import escape

from msgspec import Struct

from hotswap_stream.application.experiment_report import ExperimentReport, RateShown

WIDTH, ROW, LEFT, RIGHT = 800, 26, 240, 200
BLACK, GREY, BLUE, GREEN, RED = "#111827", "#6b7280", "#2563eb", "#15803d", "#b91c1c"


class _Row(Struct, frozen=True):
    label: str
    value: float
    lower: float | None
    upper: float | None
    colour: str
    text: str


def experiment_svg(report: ExperimentReport) -> str:
    """The whole picture. Lines are intervals, dots are estimates."""
    title = f"{report.model_name}, rollout {report.rollout_id}: {report.strategy} ({report.status})"
    advice_colour = {"roll out": GREEN, "roll back": RED}.get(report.advice, GREY)
    parts, y = [_text(16, 28, title, size=16, weight="600")], 50
    parts.append(_text(16, y, f"advice: {report.advice} — {report.because}", colour=advice_colour))
    for heading, rows in (
        ("share of requests answered well", _rates(report, "success_rate")),
        ("accuracy by the labels that came back", _rates(report, "accuracy")),
        ("agreement with the primary", _rates(report, "agreement")),
    ):
        if rows:
            drawn, y = _panel(heading, rows, y + 38, zero=None)
            parts += drawn
    lifts = [
        _Row(
            f"{lift.model_version}: {lift.metric}",
            lift.difference,
            lift.lower,
            lift.upper,
            _lift_colour(lift.metric == "latency", lift.lower, lift.upper),
            f"{lift.difference:+.4f}",
        )
        for lift in report.lifts
    ]
    if lifts:
        drawn, y = _panel("difference to the baseline", lifts, y + 38, zero=0.0)
        parts += drawn
    height = y + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _rates(report: ExperimentReport, field: str) -> list[_Row]:
    rows = []
    for arm in report.arms:
        rate: RateShown | None = getattr(arm, field)
        if rate is not None:
            colour = GREY if arm.arm == "baseline" else BLUE
            label = f"{arm.model_version} ({arm.arm}, {rate.count:,})"
            rows.append(_Row(label, rate.rate, rate.lower, rate.upper, colour, f"{rate.rate:.4f}"))
    return rows


def _lift_colour(lower_is_better: bool, lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None or lower <= 0 <= upper:
        return GREY
    return RED if (lower > 0) == lower_is_better else GREEN


def _panel(heading: str, rows: list[_Row], top: int, *, zero: float | None) -> tuple[list[str], int]:
    ends = [end for row in rows for end in (row.value, row.lower, row.upper) if end is not None]
    ends += [] if zero is None else [zero]
    low, high = min(ends), max(ends)
    pad = (high - low) * 0.05 or 0.005
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    bottom = top + 16 + ROW * len(rows)
    parts = [_text(16, top, heading, weight="600")]
    for value in _ticks(low, high):
        parts.append(f'<line x1="{x(value):.1f}" y1="{top + 10}" x2="{x(value):.1f}" y2="{bottom}" stroke="#e5e7eb"/>')
        parts.append(_text(x(value), bottom + 14, f"{value:.6g}", size=11, colour=GREY, anchor="middle"))
    if zero is not None:
        parts.append(f'<line x1="{x(zero):.1f}" y1="{top + 8}" x2="{x(zero):.1f}" y2="{bottom}" stroke="#111827"/>')
    for position, row in enumerate(rows):
        y = top + 12 + ROW * position + ROW // 2
        parts.append(_text(LEFT - 14, y + 4, row.label, anchor="end"))
        if row.lower is not None and row.upper is not None:
            line = f'<line x1="{x(row.lower):.1f}" y1="{y}" x2="{x(row.upper):.1f}" y2="{y}"'
            parts.append(f'{line} stroke="{row.colour}" stroke-width="5" stroke-opacity="0.45"/>')
        parts.append(f'<circle cx="{x(row.value):.1f}" cy="{y}" r="5" fill="{row.colour}"/>')
        parts.append(_text(WIDTH - RIGHT + 16, y + 4, row.text + _ends(row), size=12))
    return parts, bottom + 18


def _ends(row: _Row) -> str:
    return "" if row.lower is None or row.upper is None else f"  [{row.lower:.3f}, {row.upper:.3f}]"


def _ticks(low: float, high: float) -> Iterable[float]:
    """Three or more round numbers."""
    rough = (high - low) / 4
    power = 10.0 ** floor(log10(rough))
    step = next(power * part for part in (1, 2, 5, 10) if power * part >= rough * 0.75)
    first = int(low / step) - 1
    return [round(number * step, 10) for number in range(first, first + 40) if low <= number * step <= high]


def _text(
    x: float,
    y: float,
    said: str,
    *,
    size: int = 13,
    colour: str = "#111827",
    weight: str = "400",
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(said)}</text>'
    )
