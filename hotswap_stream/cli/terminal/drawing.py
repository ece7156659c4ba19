"""Pictures that a command draws besides its answer."""

from pathlib import Path
from typing import Annotated

import typer

from hotswap_stream.cli.terminal.running import fail

PlotFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE.svg", help="Draw it into this file, too.", dir_okay=False, show_default=False),
]


def draw(svg: str, file: Path) -> None:
    """Write the picture; a file that cannot be written ends the command with an error."""
    try:
        file.write_text(svg, encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")
