"""A picture of a drift report, as SVG: where the middle of each distribution lies, live and in training."""

from hotswap_stream.application.drift.report import DistributionDrift, DriftReport, Spread
from hotswap_stream.application.plots.svg import BLUE, GREEN, GREY, RED, PlotRow, panel, picture, text_at

_COLOURS = {"shift": RED, "none": GREEN, "too-few": GREY, "no-profile": GREY}
_SAID = {
    "shift": "the live data have shifted",
    "none": "no shift is shown",
    "too-few": "too few rows to tell",
    "no-profile": "nothing to compare with",
}


def drift_svg(report: DriftReport) -> str:
    """Return the whole picture. Dots are medians, lines reach from the 5 % to the 95 % quantile."""
    title = f"{report.model_name} {report.model_version}: live data against those of the training"
    parts, y = [text_at(16, 28, title, size=16, weight="600")], 50
    parts.append(text_at(16, y, _SAID[report.verdict], colour=_COLOURS[report.verdict]))
    for each in report.distributions:
        rows = _rows(each)
        if rows:
            drawn, y = panel(_heading(each), rows, y + 38, zero=None)
            parts += drawn
    return picture(title, parts, y)


def _heading(each: DistributionDrift) -> str:
    if each.distance is None or each.limit is None:
        return f"{each.name}: {_SAID[each.verdict]}"
    return f"{each.name}: distance {each.distance:.3f}, {each.limit:.3f} is explained"


def _rows(each: DistributionDrift) -> list[PlotRow]:
    found = []
    sides: tuple[tuple[str, int, Spread | None, str], ...] = (
        ("training", each.training_count, each.training, BLUE),
        ("live", each.live_count, each.live, _COLOURS[each.verdict]),
    )
    for name, count, spread, colour in sides:
        if spread is not None:
            row = PlotRow(f"{name} ({count:,})", spread.p50, spread.p05, spread.p95, colour, f"{spread.p50:.4g}")
            found.append(row)
    return found
