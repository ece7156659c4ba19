"""The main job, end to end: `hotswap-stream demo`."""

import typer


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    from hotswap_stream.cli.demo.command import demo

    app.command("demo")(demo)
