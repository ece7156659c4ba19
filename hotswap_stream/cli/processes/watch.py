"""`watch`: a folder whose files start training runs; and `serve`, everything on one machine with such a folder."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.options import Actor, ModelArgument
from hotswap_stream.cli.terminal.running import run
from hotswap_stream.cli.terminal.signals import EndWithInput, stop_on_signals, when_input_ends

if TYPE_CHECKING:
    from hotswap_stream.settings import Settings

DATA_FOLDER = Path("data")
RELOAD_SECONDS_MAX = 60

WatchedFolder = Annotated[
    Path | None,
    typer.Option(
        "--watch",
        "-w",
        help="Folder whose files start training runs. Default: ./data, if it is there.",
        file_okay=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("watch")(watch)
    app.command("serve")(serve)


def watch(
    model: ModelArgument,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where files are dropped.", exists=True, file_okay=False)
    ],
    actor: Actor,
    trainer: Annotated[
        str | None,
        typer.Option(help="Give a model without a training policy one with this trainer.", show_default=False),
    ] = None,
) -> None:
    """Take each data file that is dropped into a folder, once, and start a training run on it, until Ctrl-C.

    A file is taken when it did not change for a second. Afterwards it lies in `taken`, or in `bad` with the reason
    beside it. What was dropped while nothing watched is found at the start.
    """

    async def main(settings: "Settings") -> None:
        from hotswap_stream import bootstrap

        stop = stop_on_signals()
        async with bootstrap.folder_watch(settings, folder.absolute(), model, trainer=trainer, actor=actor) as watched:
            typer.echo(f"watching {folder}: files start training runs of {model}")
            await watched.watch(stop)

    run(main, quiet=False)


def serve(
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", help="Port of the API. Default: HOTSWAP_API_PORT.", min=1, max=65_535),
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", "-h", help="Host of the API. Default: HOTSWAP_API_HOST.")
    ] = None,
    watch: WatchedFolder = None,
    no_watch: Annotated[bool, typer.Option("--no-watch", help="Watch no folder.")] = False,
    model: Annotated[str, typer.Option(help="Model whose training runs the files start.")] = "digits",
    trainer: Annotated[str, typer.Option(help="What trains it.")] = "image-classifier",
    reload: Annotated[
        bool, typer.Option("--reload", "-r", help="Start anew when the program's code changes; for development.")
    ] = False,
    temporary: Annotated[bool, typer.Option("--temporary", help="Delete the broker's data at the end.")] = False,
    end_with_input: EndWithInput = False,
) -> None:
    """Run everything until Ctrl-C, as `up` does, and train by each file that is dropped into a folder.

    After the training a version that passes is tried as a shadow and promoted; the first one becomes active.
    """
    from hotswap_stream.cli.processes.up import up

    if watch is not None and no_watch:
        raise typer.BadParameter("--watch and --no-watch exclude each other")
    folder = watch or (DATA_FOLDER if DATA_FOLDER.is_dir() and not no_watch else None)
    if watch is not None:
        watch.mkdir(parents=True, exist_ok=True)
    if reload:
        _reloading(end_with_input=end_with_input)
        return
    up(
        port=port,
        host=host,
        temporary=temporary,
        watch=None if folder is None else folder.absolute(),
        watch_model=model,
        watch_trainer=trainer,
        end_with_input=end_with_input,
    )


def _reloading(*, end_with_input: bool) -> None:
    """Run the same command without --reload, again and again: each time the code of the package changes."""
    import signal
    import subprocess
    import threading

    from watchfiles import PythonFilter, watch

    arguments = [text for text in sys.argv[1:] if text not in ("--reload", "-r")]
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if end_with_input:
        when_input_ends(stop.set)

    def started() -> "subprocess.Popen[bytes]":
        # Out of the terminal's group: of one Ctrl-C it would hear twice, and end at once.
        return subprocess.Popen([sys.executable, "-m", "hotswap_stream.cli", *arguments], start_new_session=True)

    def ended(process: "subprocess.Popen[bytes]") -> None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(RELOAD_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    process = started()
    try:
        package = Path(__file__).parents[2]
        for _changes in watch(package, watch_filter=PythonFilter(), stop_event=stop, raise_interrupt=False):
            ended(process)
            process = started()
    finally:
        ended(process)
