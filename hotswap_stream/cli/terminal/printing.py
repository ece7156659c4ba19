"""Printing results on the terminal: tables for people, JSON for scripts, refusals with the legal steps."""

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from hotswap_stream.cli.terminal.exit_codes import FAILED, REFUSED
from hotswap_stream.cli.terminal.forms import NAMED_BY, asked_about, document, form, line
from hotswap_stream.cli.terminal.next_steps import after_refusal
from hotswap_stream.cli.terminal.running import try_next
from hotswap_stream.cli.terminal.tables import Column, fact_lines, table_lines

if TYPE_CHECKING:
    from hotswap_events.commands import CommandResult, Refusal

NO_MODELS = "no models: publish one with `hotswap-stream publish`, or train one with `hotswap-stream train`"
WIDTH_CHARACTERS = 200
"""Width of tables that are not printed on a terminal, so that nothing is cut off in a file or a pipe."""
WIDE_CHARACTERS = 100_000
"""Width of `-o wide`: as many characters as there are."""


def print_json(value: Any, *, named_by: Sequence[str] = NAMED_BY, listed: str | None = None) -> None:
    """Print one document on standard output, in the form that was asked for: JSON, JSON lines, YAML or names.

    Args:
        value: What is printed.
        named_by: Which field names an entry.
        listed: The field with the entries, where the value is no list itself.
    """
    for text in document(value, named_by=named_by, listed=listed):
        typer.echo(text)


def print_json_line(value: Any, *, named_by: Sequence[str] = NAMED_BY) -> None:
    """Print one of several documents that come one after the other, in a line where the form has lines."""
    for text in line(value, named_by=named_by):
        typer.echo(text)


def print_table(
    columns: Iterable[str],
    rows: Iterable[Iterable[Any]],
    *,
    title: str | None = None,
    optional: Sequence[str] = (),
    empty: str = "none",
) -> None:
    """Print a table that breaks no word; None shows as '-', numbers are aligned right.

    Args:
        columns: Titles.
        rows: As many values each.
        title: A line above it.
        optional: Columns that a narrow terminal may do without, the least important first.
        empty: What is printed where there are no rows: what to do about it, if anything.
    """
    titles, values = list(columns), [list(row) for row in rows]
    made = [
        Column(
            name,
            tuple("-" if row[at] is None else _shown(row[at]) for row in values),
            is_number=bool(values) and all(isinstance(row[at], int | float | None) for row in values),
        )
        for at, name in enumerate(titles)
    ]
    lines, left_out = table_lines(made, _width(), optional=optional) if values else ([empty], ())
    if title:
        typer.echo(title)
    for text in lines:
        typer.echo(text)
    if left_out:
        typer.secho(f"not shown: {', '.join(left_out)} (-o wide shows all)", dim=True)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print name and value, one per line; what is None or empty is left out."""
    shown = [(name, _shown(value)) for name, value in facts.items() if value is not None and value not in ("", {}, ())]
    for text in fact_lines(shown, _width()):
        typer.echo(text)


def _width() -> int:
    """Return how wide a table may be: as the terminal, or as COLUMNS says; without both, so that nothing is cut."""
    if form() == "wide":
        return WIDE_CHARACTERS
    return shutil.get_terminal_size((WIDTH_CHARACTERS, 0)).columns


def rounded(value: float | None) -> float | None:
    """Return a figure that somebody reads at a glance: three digits, or all before the point."""
    return (
        value if value is None or value == 0 or not math.isfinite(value) else round(value, max(0, 2 - _digits(value)))
    )


def _digits(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_shown(item)}" for key, item in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(_shown(item) for item in value)
    if (text := str(value)).isprintable():
        return text
    from hotswap_stream.application.descriptions.text import printable

    return "\n".join(map(printable, text.replace("\t", " ").split("\n")))  # others wrote it: a terminal obeys nothing


def refuse(refusal: "Refusal", *, as_json: bool = False) -> typer.Exit:
    """Print a refusal, and return the exception to raise."""
    if as_json and form() != "name":
        print_json(refusal)
    else:
        typer.secho(f"refused ({refusal.code}): {refusal.reason}", err=True, fg="yellow")
        if refusal.legal and ", ".join(refusal.legal) not in refusal.reason:
            typer.secho(f"legal: {', '.join(refusal.legal)}", err=True)
        try_next(after_refusal(refusal, *asked_about()))
    return typer.Exit(REFUSED)


def print_result(result: "CommandResult", *, as_json: bool) -> None:
    """Print what became of a command.

    Raises:
        typer.Exit: With 3 when it was refused, with 1 when it must be sent again.
    """
    if as_json and not (form() == "name" and result.status in ("refused", "failed")):
        print_json(result)
        if result.status in ("refused", "failed"):
            raise typer.Exit(REFUSED if result.status == "refused" else FAILED)
        return
    if result.refusal is not None:
        raise refuse(result.refusal)
    if result.status == "failed":
        typer.secho(f"error: {result.detail}", err=True, fg="red")
        raise typer.Exit(FAILED)
    subject = " ".join(part for part in (result.model_name, result.model_version) if part)
    if result.status == "unchanged":
        typer.secho(f"unchanged: {subject} - {result.detail}", fg="yellow")
        return
    events = ", ".join(name.split(".")[2] for name in result.event_types)
    before = f", before: {result.previous_version}" if result.previous_version else ""
    typer.secho(f"{subject}: {events}{before}  (offset {result.offset}, sequence {result.sequence})", fg="green")
    if result.detail:
        typer.echo(result.detail)
