"""Tables on narrow terminals: no word is broken, no line too long, and nothing is lost but what may be."""

import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hotswap_stream.cli
from hotswap_events.inference.fleet import ObservationsLost
from hotswap_stream.application.inference.fleet import FleetWorker, ModelFleet
from hotswap_stream.application.registry.queries import ModelSummary
from hotswap_stream.cli.fleet import print_fleet
from hotswap_stream.cli.registry.models import print_models
from hotswap_stream.cli.terminal.forms import printing_as
from hotswap_stream.cli.terminal.printing import print_facts, print_table, rounded
from hotswap_stream.cli.terminal.tables import Column, table_lines, wrapped

LONG_NAME = "payments-fraud-detector-of-europe-2026"
LONG_TEXTS = (LONG_NAME, "production of the week", "1234567.89", "2026-01-31T12:00:00+00:00", "v12-candidate")
MODEL = ModelSummary(
    model_name=LONG_NAME,
    active_version="v12-candidate",
    former_version="v11-candidate",
    disabled=False,
    answered_by="v12-candidate",
    alerts_raised=2,
    versions_total=24,
    versions_by_stage={"production": 1, "superseded": 11, "archived": 12},
    sequence=1234,
    offset=1_234_567,
)


def _tables_of_commands() -> dict[str, tuple[list[str], list[str]]]:
    """Place → titles and optional titles of each call of `print_table` whose titles are written there."""
    found = {}
    root = Path(hotswap_stream.cli.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print_table"):
                continue
            titles = [each.value if isinstance(each, ast.Constant) else LONG_NAME for each in _items(node.args[0])]
            optional = [_items(each.value) for each in node.keywords if each.arg == "optional"]
            found[f"{path.relative_to(root)}:{node.lineno}"] = (
                [str(title) for title in titles],
                [str(getattr(each, "value", "")) for items in optional for each in items],
            )
    return {place: tables for place, tables in found.items() if tables[0]}


def _items(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple | ast.List) else []


TABLES = _tables_of_commands()


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("place", TABLES)
def test_every_table_fits_with_long_names(place: str, width: int) -> None:
    titles, optional = TABLES[place]
    assert set(optional) <= set(titles)
    cells = {title: tuple(LONG_TEXTS[(at + row) % 5] for row in range(3)) for at, title in enumerate(titles)}
    lines, left_out = table_lines([Column(title, cells[title]) for title in titles], width, optional=optional)
    assert [line for line in lines if len(line) > width] == []
    assert set(left_out) <= set(optional)
    told = " ".join(lines).split()
    for title in set(titles) - set(left_out):
        assert all(word in told for text in cells[title] for word in text.split())


WORDS = st.text("abcdefgh-0123ü漢", min_size=1, max_size=12)
CELLS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), min_size=2, max_size=2)


@given(st.lists(CELLS, min_size=1, max_size=8), st.integers(30, 120))
def test_no_word_is_broken_and_none_is_lost(columns: list[list[str]], width: int) -> None:
    made = [Column(f"C{at}", tuple(cells)) for at, cells in enumerate(columns)]
    lines, left_out = table_lines(made, width)
    assert left_out == []
    told = " ".join(lines).split()
    assert sorted(word for cells in columns for text in cells for word in text.split()) == sorted(
        word for word in told if word not in {column.title for column in made} and set(word) != {"─"}
    )


def test_a_column_goes_before_a_table_turns_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_models([MODEL])
    told = capsys.readouterr().out
    assert LONG_NAME in told
    assert "not shown: offset" in told
    assert max(map(len, told.splitlines())) <= 80

    with printing_as("wide"):
        print_models([MODEL])
    assert "1234567" in capsys.readouterr().out


def test_the_fleet_at_60_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    worker = FleetWorker(
        worker=f"{LONG_NAME}-worker-1",
        live=True,
        silent_seconds=0.5,
        seen_at=datetime(2026, 1, 31, tzinfo=UTC),
        registry_offset=12,
        serving_version="v12-candidate",
        serving_registry_offset=12,
        versions={},
        partitions=(0, 1, 2, 3, 4, 5, 6, 7),
        observations_lost=ObservationsLost(),
    )
    print_fleet(
        ModelFleet(
            model_name=LONG_NAME,
            active_version="v12-candidate",
            active_registry_offset=12,
            live_workers=1,
            serving_active_workers=1,
            whole_fleet_serves_active=True,
            workers=(worker,),
        )
    )
    table = capsys.readouterr().out.splitlines()[1:]
    assert any(f"{LONG_NAME}-worker-1" in line for line in table)
    assert max(map(len, table)) <= 60


def test_facts_are_wrapped_between_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_facts({"name": LONG_NAME, "what it is about": "one two three four five six seven eight", "nothing": None})
    assert capsys.readouterr().out.splitlines() == [
        "name",
        f"  {LONG_NAME}",
        "what it is about  one two three four",
        "                  five six seven eight",
    ]


def test_a_number_stays_with_its_unit() -> None:
    assert wrapped("above 5 %", 7) == ["above", "5 %"]
    assert wrapped("below 600 s for 1,000 seconds", 9) == ["below", "600 s for", "1,000", "seconds"]
    assert Column("raised when", ("above 1,234.5 ms",)).least == len("1,234.5 ms")


def test_a_terminal_obeys_nothing_that_others_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "key\x1b[2J\r\x07\tend\nline"
    print_table(("key", "more"), [(hostile, [hostile])])
    print_facts({"key": hostile})
    printed = capsys.readouterr().out
    assert printed.count("line") == 3
    assert all(line.isprintable() for line in printed.split("\n"))


def test_a_table_without_rows_says_so_and_figures_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), ())
    print_table(("a", "b"), (), title="of m", empty="nothing: make one")
    assert capsys.readouterr().out == "none\nof m\nnothing: make one\n"
    figures = (None, 0.0, 0.567123, 20.7494, 4876.3, 0.00012345, float("inf"))
    assert [rounded(each) for each in figures] == [None, 0.0, 0.567, 20.7, 4876.0, 0.000123, float("inf")]
