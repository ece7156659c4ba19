"""The parts of pictures: axes that hold their rows, words that stay in their room, and text that cannot be markup."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from hotswap_stream.application.plots.svg import (
    BLUE,
    LEFT,
    LINE_CHARACTERS_MAX,
    LINES_MAX,
    RIGHT,
    ROW,
    WIDTH,
    PlotRow,
    cut,
    lines,
    panel,
    picture,
    text_at,
)


def row(value: float, lower: float | None = None, upper: float | None = None) -> PlotRow:
    return PlotRow("v1", value, lower, upper, BLUE, f"{value:.4g}")


def drawn(rows: list[PlotRow], zero: float | None = None) -> tuple[ElementTree.Element, int]:
    parts, bottom = panel("rates", rows, 40, zero=zero)
    return ElementTree.fromstring(picture("title", parts, bottom)), bottom  # noqa: S314 - our own text


def elements(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return root.findall(f"{{http://www.w3.org/2000/svg}}{name}")


@pytest.mark.parametrize(
    "rows",
    [
        [row(0.5)],
        [row(0.0, 0.0, 0.0)],
        [row(0.97, 0.95, 0.98), row(0.4, 0.1, 0.6)],
        [row(-1e9, -2e9, 3e9), row(1e-9)],
    ],
    ids=["one-value", "no-width", "intervals", "any-size"],
)
def test_all_dots_and_bars_are_inside_the_panel(rows: list[PlotRow]) -> None:
    root, bottom = drawn(rows)
    dots = elements(root, "circle")
    assert len(dots) == len(rows)
    assert all(LEFT <= float(dot.get("cx", "nan")) <= WIDTH - RIGHT for dot in dots)
    tops = [float(dot.get("cy", "nan")) for dot in dots]
    assert [later - earlier for earlier, later in pairwise(tops)] == [ROW] * (len(rows) - 1)
    assert all(40 < top < bottom for top in tops)
    bars = [line for line in elements(root, "line") if line.get("stroke-width") == "5"]
    assert len(bars) == sum(each.lower is not None for each in rows)
    for bar in bars:
        assert LEFT <= float(bar.get("x1", "nan")) <= float(bar.get("x2", "nan")) <= WIDTH - RIGHT


def test_a_line_at_zero_is_in_the_picture_though_no_value_is_near() -> None:
    root, _bottom = drawn([row(5.0, 4.0, 6.0)], zero=0.0)
    [zero] = [line for line in elements(root, "line") if line.get("stroke") == "#111827"]
    [dot] = elements(root, "circle")
    assert LEFT <= float(zero.get("x1", "nan")) < float(dot.get("cx", "nan"))


def test_the_axis_has_some_round_numbers() -> None:
    root, _bottom = drawn([row(0.931, 0.912, 0.957)])
    told = [text.text or "" for text in elements(root, "text") if text.get("font-size") == "11"]
    assert 3 <= len(told) <= 7
    assert [float(text) for text in told] == sorted(float(text) for text in told)
    assert all(re.fullmatch(r"0\.9\d?", text) for text in told)


def test_an_interval_is_told_beside_its_value() -> None:
    root, _bottom = drawn([row(0.5, 0.25, 0.75), row(0.5)])
    told = [text.text for text in elements(root, "text") if text.get("font-size") == "12"]
    assert told == ["0.5 [0.25, 0.75]", "0.5"]


def test_words_of_others_are_no_markup() -> None:
    said = "<script>\"&'</script>"
    root = ElementTree.fromstring(picture(said, [text_at(1, 2, said)], 10))  # noqa: S314 - our own text
    assert root.get("aria-label") == said
    assert [text.text for text in elements(root, "text")] == [said]


@pytest.mark.parametrize(
    ("tail", "told"), [(0, "abcdefghi…"), (3, "abcdef…lmn")], ids=["the-end-goes", "the-end-stays"]
)
def test_long_names_are_cut_to_their_room(tail: int, told: str) -> None:
    assert cut("abcdefghijklmn", 10, tail=tail) == told
    assert cut("abcdefghij", 10, tail=tail) == "abcdefghij"


def test_long_text_ends_after_four_lines_and_says_that_it_goes_on() -> None:
    short = lines("word " * 10)
    assert len(short) == 1
    long = lines("word " * 500)
    assert len(long) == LINES_MAX
    assert long[-1].endswith(" …")
    assert all(len(line) <= LINE_CHARACTERS_MAX for line in long[:-1])
