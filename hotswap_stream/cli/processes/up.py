"""`up`: everything on one machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.running import run
from hotswap_stream.cli.terminal.signals import END_SECONDS_MAX, EndWithInput, stop_on_signals

if TYPE_CHECKING:
    from hotswap_stream.application.processes.supervision import ProcessStatus
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    workers: Annotated[int, typer.Option(help="Number of inference workers.", min=0, max=64)] = 1,
    trainers: Annotated[
        int | None,
        typer.Option(
            help="Number of runners of training runs. Default: 1 where this machine has a trainer.",
            min=0,
            max=16,
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port of the API. Default: HOTSWAP_API_PORT.", min=1, max=65_535, show_default=False),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Host of the API. Default: HOTSWAP_API_HOST.", show_default=False)
    ] = None,
    temporary: Annotated[bool, typer.Option("--temporary", help="Delete the broker's data at the end.")] = False,
    watch: Annotated[
        Path | None,
        typer.Option(help="A folder whose files start training runs, as `watch` says.", file_okay=False, exists=True),
    ] = None,
    watch_model: Annotated[str, typer.Option(help="Whose runs they start.")] = "digits",
    watch_trainer: Annotated[
        str, typer.Option(help="What trains that model, where it has no training policy.")
    ] = "image-classifier",
    end_with_input: EndWithInput = False,
) -> None:
    """Run everything until Ctrl-C: broker (unless one is configured), agents, workers, runners, API.

    What dies is started again.
    """

    async def main(settings: "Settings") -> None:
        import msgspec

        from hotswap_stream import bootstrap
        from hotswap_stream.cli.processes.stack import log_folder, running_stack, wait_for_end
        from hotswap_stream.errors import HotswapError

        settings = msgspec.structs.replace(
            settings, api_port=port or settings.api_port, api_host=host or settings.api_host
        )
        bootstrap.check_api_settings(settings)
        more = [] if watch is None else [["watch", watch_model, str(watch.absolute()), "--trainer", watch_trainer]]
        runners = _has_trainers(settings) if trainers is None else trainers
        # Each process gets its time to end, one after the other, and the broker last.
        seconds_max = END_SECONDS_MAX * (workers + runners + len(more) + 3)
        stop = stop_on_signals(end_seconds_max=seconds_max, with_input=end_with_input)
        async with running_stack(
            settings, workers=workers, trainers=runners, temporary=temporary, on_change=_show, more=more
        ) as stack:
            await _show_first_key(stack.settings)
            typer.echo(
                f"Kafka on {stack.settings.kafka_bootstrap_servers}, page and API on {stack.api_url} "
                f"(`hotswap-stream open`; operations: {stack.api_url}/schema), logs in {log_folder(settings)}\n"
                f"In another terminal, in this folder: {_first_step(runners)}; Ctrl-C here stops everything"
            )
            failed = await wait_for_end(stack, stop)
            if failed is not None:
                raise HotswapError(
                    f"{failed.name} ended with exit code {failed.exit_code} again and again; "
                    f"its log is {log_folder(settings) / failed.name}.log"
                )

    run(main, heeds_context=False)


def _first_step(runners: int) -> str:
    """Return what somebody may do first: without torch nothing trains here."""
    return "hotswap-stream train digits" if runners else "hotswap-stream publish MODEL FILE.onnx"


async def _show_first_key(settings: "Settings") -> None:
    from hotswap_stream import bootstrap
    from hotswap_stream.cli.terminal.options import os_user

    if (to := bootstrap.open_to(settings)) is not None:
        typer.secho(
            f"The API is open to {to} (HOTSWAP_API_OPEN): no key is needed, and no actor is sure",
            fg="yellow",
        )
        return
    key = await bootstrap.first_key(settings, os_user())
    if key is None:
        typer.echo("The API needs a key; `hotswap-stream keys list` shows which there are, `keys create` makes another")
    else:
        typer.echo(f"The first key of the API, shown this once:\n    export HOTSWAP_API_KEY={key.token}")


def _show(status: "ProcessStatus") -> None:
    if status.state in ("restarting", "failed"):
        typer.secho(f"{status.name}: {status.state} after exit code {status.exit_code}", fg="yellow", err=True)


def _has_trainers(settings: "Settings") -> int:
    """Return 1 where this machine has a trainer, else 0."""
    from importlib.util import find_spec

    named = (settings.trainer_commands, settings.trainer_webhooks, settings.trainer_jobs)
    return int(find_spec("torch") is not None or any(named))
