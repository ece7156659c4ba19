"""Printing results on the terminal: tables for people, JSON for scripts, refusals with the legal steps."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from hotswap_stream.cli.terminal.running import FAILED, REFUSED, interactive

if TYPE_CHECKING:
    from rich.console import Console

    from hotswap_events.commands import CommandResult, Refusal

WIDTH_CHARACTERS = 200
"""Width of tables that are not printed on a terminal, so that nothing is cut off in a file or a pipe."""


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def print_json_line(value: Any) -> None:
    """Print one JSON document in one line."""
    import msgspec

    typer.echo(msgspec.json.encode(value).decode())


def console() -> "Console":
    """Return standard output for tables and colours."""
    from rich.console import Console

    return Console(highlight=False) if interactive() else Console(highlight=False, width=WIDTH_CHARACTERS)


def print_table(columns: Iterable[str], rows: Iterable[Iterable[Any]], *, title: str | None = None) -> None:
    """Print a table; None shows as '-', numbers are aligned right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    cells = [["-" if cell is None else cell for cell in row] for row in rows]
    for position, column in enumerate(columns):
        is_number = bool(cells) and all(isinstance(row[position], int | float) for row in cells)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    console().print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print name and value, one per line; what is None or empty is left out."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value is not None and value not in ("", {}, ()):
            table.add_row(name, Text(_shown(value)))
    console().print(table)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_shown(item)}" for key, item in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(_shown(item) for item in value)
    return str(value)


def refuse(refusal: "Refusal", *, as_json: bool = False) -> typer.Exit:
    """Print a refusal, and return the exception to raise."""
    if as_json:
        print_json(refusal)
    else:
        typer.secho(f"refused ({refusal.code}): {refusal.reason}", err=True, fg="yellow")
        if refusal.legal and ", ".join(refusal.legal) not in refusal.reason:
            typer.secho(f"legal: {', '.join(refusal.legal)}", err=True)
    return typer.Exit(REFUSED)


def print_result(result: "CommandResult", *, as_json: bool) -> None:
    """Print what became of a command.

    Raises:
        typer.Exit: With 3 when it was refused, with 1 when it must be sent again.
    """
    if as_json:
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
