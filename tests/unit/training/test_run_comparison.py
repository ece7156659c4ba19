"""Runs beside each other, and their epochs as a picture that holds no matter what a figure is called."""

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from hotswap_events.training.progress import EpochFigures, TrainingProgressed
from hotswap_stream.application.plots.curves import FIGURES_MAX, Line, curves_svg
from hotswap_stream.application.training.comparison import compared, comparison_svg, run_svg, wrong_comparison
from hotswap_stream.application.training.view import TrainingRun

TIME = datetime(2026, 1, 1, tzinfo=UTC)


def run(run_id: str, **fields: Any) -> TrainingRun:
    return TrainingRun(run_id=run_id, model_name="digits", status="succeeded", trainer="als", **fields)


def ended(run_id: str, *figures: dict[str, float]) -> TrainingProgressed:
    history = tuple(EpochFigures(epoch=number, figures=each) for number, each in enumerate(figures, 1))
    return TrainingProgressed(
        run_id=run_id, model_name="digits", trainer="als", runner="one", at=TIME, phase="ended", history=history
    )


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - it was written here


def test_what_differs_is_said_and_what_is_missing_is_null() -> None:
    runs = [
        run("a", parameters={"factors": 8, "seed": 1}, metrics={"hr": 0.5}, started_at=TIME, ended_at=TIME),
        run("b", parameters={"factors": 16, "seed": 1, "note": "x"}),
    ]
    found = compared("digits", runs, {"a": None, "b": ended("b", {"hr": 0.2}, {"hr": 0.6})})
    assert {each.name: (each.values, each.differs) for each in found.parameters} == {
        "factors": ((8, 16), True),
        "seed": ((1, 1), False),
        "note": ((None, "x"), True),
    }
    assert [(each.name, each.values, each.differs) for each in found.metrics] == [("hr", (0.5, 0.6), True)]
    assert [each.seconds for each in found.runs] == [0.0, None]
    assert (found.same_datasets, len(found.runs[1].epochs)) == (True, 2)


def test_two_to_eight_different_runs_are_compared() -> None:
    assert wrong_comparison(["a", "b"]) is None
    for wrong in ([], ["a"], ["a", "a"], [str(number) for number in range(9)]):
        assert wrong_comparison(wrong) is not None


def test_a_picture_has_a_line_a_run_in_a_panel_a_figure() -> None:
    runs = [run("a"), run("b")]
    heard = {"a": ended("a", {"loss": 2.0, "hr": 0.1}, {"loss": 1.0, "hr": 0.4}), "b": ended("b", {"loss": 1.5})}
    picture = parsed(comparison_svg(compared("digits", runs, heard)))
    tags = [each.tag.rpartition("}")[2] for each in picture.iter()]
    assert (tags.count("polyline"), tags.count("circle")) == (2, 1)
    (loss, _) = [each for each in picture.iter() if each.tag.endswith("polyline")]
    assert loss.get("points") == "72.0,118.0 784.0,238.0", "from the highest value down to the lowest"
    assert "no epochs are known" in run_svg(run("a"), None)


NUMBERS = st.floats(-1e30, 1e30)
TEXTS = st.text(min_size=1, max_size=80)


@given(
    title=TEXTS,
    epochs=st.lists(
        st.tuples(st.integers(0, 2**53), st.dictionaries(TEXTS, NUMBERS, max_size=FIGURES_MAX + 2)), max_size=5
    ),
)
def test_any_words_and_figures_are_a_picture(title: str, epochs: list[tuple[int, dict[str, float]]]) -> None:
    picture = parsed(curves_svg(title, [Line(title, epochs), Line("again", epochs)]))
    assert picture.tag.endswith("svg")
    for each in picture.iter():
        assert each.tag.rpartition("}")[2] in ("svg", "rect", "text", "line", "polyline", "circle")
        assert "nan" not in (each.get("points") or "") + (each.get("cx") or "")
