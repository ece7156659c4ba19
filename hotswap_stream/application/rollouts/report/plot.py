"""A picture of an experiment, as SVG: the arms' rates with their intervals, and what each candidate differs by."""

from hotswap_stream.application.plots.svg import (
    BLUE,
    GREEN,
    GREY,
    LABEL_CHARACTERS_MAX,
    RED,
    TITLE_CHARACTERS_MAX,
    VERSION_TAIL,
    PlotRow,
    cut,
    lines,
    panel,
    picture,
    text_at,
)
from hotswap_stream.application.rollouts.report.arms import ArmReport, FigureShown, RateShown
from hotswap_stream.application.rollouts.report.report import ExperimentReport, Lift


def experiment_svg(report: ExperimentReport) -> str:
    """Return the whole picture. Lines are intervals, dots are estimates."""
    title = f"{report.model_name}, rollout {report.rollout_id}: {report.strategy} ({report.status})"
    advice_colour = {"roll out": GREEN, "roll back": RED}.get(report.advice, GREY)
    parts, y = [text_at(16, 28, cut(title, TITLE_CHARACTERS_MAX), size=16, weight="600")], 32
    for line in lines(f"advice: {report.advice} — {report.because}"):
        y += 18
        parts.append(text_at(16, y, line, colour=advice_colour))
    for heading, rows in (
        ("share of requests answered well", _rates(report, "success_rate")),
        ("accuracy by the labels that came back", _rates(report, "accuracy")),
        ("agreement with the primary", _rates(report, "agreement")),
        ("mean reward", _rewards(report)),
    ):
        if rows:
            drawn, y = panel(heading, rows, y + 38, zero=None)
            parts += drawn
    for metric in dict.fromkeys(metric for arm in report.arms for metric in arm.by_feedback):
        shown = [(arm, arm.by_feedback[metric]) for arm in report.arms if metric in arm.by_feedback]
        unit = "" if shown[0][1].unit == "share" else f" ({shown[0][1].unit})"
        drawn, y = panel(f"mean {shown[0][1].name}{unit}", [_figure(*each) for each in shown], y + 38, zero=None)
        parts += drawn
    # Each metric on a scale of its own: rewards may be of any size.
    for metric in dict.fromkeys(lift.metric for lift in report.lifts):
        rows = [_difference(lift) for lift in report.lifts if lift.metric == metric]
        what = "share of slow answers" if metric == "latency" else metric
        drawn, y = panel(f"difference to the baseline: {what}", rows, y + 38, zero=0.0)
        parts += drawn
    return picture(title, parts, y)


def _rates(report: ExperimentReport, field: str) -> list[PlotRow]:
    rows = []
    for arm in report.arms:
        rate: RateShown | None = getattr(arm, field)
        if rate is not None:
            colour = GREY if arm.arm == "baseline" else BLUE
            rows.append(PlotRow(_label(arm, rate.count), rate.rate, rate.lower, rate.upper, colour, f"{rate.rate:.4f}"))
    return rows


def _rewards(report: ExperimentReport) -> list[PlotRow]:
    return [
        PlotRow(
            _label(arm, arm.reward.count),
            arm.reward.mean,
            arm.reward.lower,
            arm.reward.upper,
            GREY if arm.arm == "baseline" else BLUE,
            f"{arm.reward.mean:.6g}",
        )
        for arm in report.arms
        if arm.reward is not None
    ]


def _figure(arm: ArmReport, figure: FigureShown) -> PlotRow:
    colour = GREY if arm.arm == "baseline" else BLUE
    label = _label(arm, figure.count)
    return PlotRow(label, figure.value, figure.lower, figure.upper, colour, f"{figure.value:.6g}")


def _label(arm: ArmReport, count: int) -> str:
    counted = f" ({arm.arm}, {count:,})"
    return cut(arm.model_version, LABEL_CHARACTERS_MAX - len(counted), tail=VERSION_TAIL) + counted


def _difference(lift: Lift) -> PlotRow:
    colour = _lift_colour(lift.better == "lower", lift.lower, lift.upper)
    label = cut(lift.model_version, LABEL_CHARACTERS_MAX, tail=VERSION_TAIL)
    return PlotRow(label, lift.difference, lift.lower, lift.upper, colour, f"{lift.difference:+.4g}")


def _lift_colour(lower_is_better: bool, lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None or lower <= 0 <= upper:
        return GREY
    return RED if (lower > 0) == lower_is_better else GREEN
