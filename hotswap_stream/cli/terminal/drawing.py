"""Pictures that a command draws beside what it prints."""

from pathlib import Path
from typing import Annotated

import typer

from hotswap_stream.cli.terminal.running import fail

PlotFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE.svg", help="Also draw it into this file.", dir_okay=False, show_default=False),
]


def draw(svg: str, file: Path) -> None:
    """Write the picture; a file that cannot be written ends the command with an error."""
    try:
        file.write_text(svg, encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")
