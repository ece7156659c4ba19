"""Several processes of the API behind one port, kept running; and the command that each of them is."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hotswap_stream.cli.terminal.running import run

if TYPE_CHECKING:
    import asyncio

    from hotswap_stream.application.processes.supervision import ProcessSpec, ProcessStatus, Supervisor
    from hotswap_stream.settings import Settings

PROCESSES_MAX = 64
READY_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 12.0
"""Less than whoever keeps the command itself running waits for its end."""
EXTRA_SECONDS = 5.0
COMMAND = "run-api-process"


def add_to(app: typer.Typer) -> None:
    """Add the command of each process, hidden from the help: it is no command for people."""
    app.command(COMMAND, hidden=True)(run_api_process)


def run_api_process(number: int, folder: Path) -> None:
    """Serve the API as one of several processes that share its port until SIGTERM."""

    async def main(settings: "Settings") -> None:
        from structlog.contextvars import bind_contextvars

        from hotswap_stream import bootstrap
        from hotswap_stream.application.processes.lasting import let_last
        from hotswap_stream.home.api_members import ApiMember
        from hotswap_stream.observability.standing_still import ended_if_standing_still

        bind_contextvars(api_process=number)
        member = ApiMember(folder, number, settings.api_processes)
        async with ended_if_standing_still():
            await bootstrap.serve_api(settings, member=member, on_started=lambda _url: let_last())

    run(main, quiet=False, loop_factory=new_event_loop)


def new_event_loop() -> "asyncio.AbstractEventLoop":
    """Return an event loop of the kind that the API runs on."""
    from hotswap_stream.application.processes import event_loop

    return event_loop.new_event_loop()


def check_processes(processes: int) -> None:
    """Raise ConfigurationError where the API cannot have so many processes here."""
    from hotswap_stream.errors import ConfigurationError
    from hotswap_stream.home.shared_port import can_be_shared

    if not 1 <= processes <= PROCESSES_MAX:
        raise ConfigurationError(f"HOTSWAP_API_PROCESSES is {processes}; 1 to {PROCESSES_MAX} are possible")
    if processes > 1 and not can_be_shared():
        raise ConfigurationError(
            f"HOTSWAP_API_PROCESSES is {processes}: only Linux spreads the connections of a port over processes; "
            "elsewhere start several APIs behind a proxy"
        )


async def keep_api_processes(settings: "Settings", on_started: Callable[[str], None]) -> None:
    """Keep them running until SIGINT or SIGTERM; all end together then.

    Args:
        settings: The environment to serve, with the number of processes.
        on_started: Called with the URL when all of them listen.

    Raises:
        ConfigurationError: The port is taken, the folder for temporary files has too long a name, or a process found
            that a setting does not fit.
        SupervisionError: A process did not start, or ended again and again.
    """
    import asyncio
    import tempfile

    from hotswap_stream.application.processes.supervision import Supervisor
    from hotswap_stream.cli.terminal.signals import stop_on_signals
    from hotswap_stream.home.api_members import check_folder
    from hotswap_stream.home.shared_port import http_url, reserved_port

    stop = stop_on_signals(end_seconds_max=STOP_SECONDS_MAX + EXTRA_SECONDS)
    with (
        tempfile.TemporaryDirectory(prefix="hotswap-api-") as folder,
        reserved_port(settings.api_host, settings.api_port) as port,
    ):
        check_folder(Path(folder), settings.api_processes)
        supervisor = Supervisor(_specs(settings, Path(folder), port), on_change=_show, together=True)
        keeping = asyncio.create_task(_keep(supervisor, partial(on_started, http_url(*_where(settings, port)))))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()
        finally:
            stopping.cancel()
            keeping.cancel()
            await asyncio.wait({keeping})
            await supervisor.stop()


def _where(settings: "Settings", port: int) -> tuple[str, int, str]:
    return settings.api_host, port, "http" if settings.api_tls_certificate_file is None else "https"


async def _keep(supervisor: "Supervisor", on_started: Callable[[], None]) -> None:
    from hotswap_stream.application.processes.supervision import EXIT_CONFIGURATION, SupervisionError
    from hotswap_stream.errors import ConfigurationError

    try:
        await supervisor.start()
        on_started()
        failed = await supervisor.wait_failed()
        raise SupervisionError(f"process {failed.name!r} ended with exit code {failed.exit_code} again and again")
    except SupervisionError as error:
        if any(status.exit_code == EXIT_CONFIGURATION for status in supervisor.statuses()):
            raise ConfigurationError(f"{error}; what it wrote above says why") from error
        raise


def _specs(settings: "Settings", folder: Path, port: int) -> "list[ProcessSpec]":
    import msgspec

    from hotswap_stream.application.processes.supervision import ProcessSpec
    from hotswap_stream.home.api_members import asked
    from hotswap_stream.settings import child_environment

    environment = child_environment(msgspec.structs.replace(settings, api_port=port))

    async def ready(number: int) -> bool:
        return await asked(folder, number, "/readyz") is not None

    return [
        ProcessSpec(
            name=f"api-{number}",
            argv=[sys.executable, "-m", "hotswap_stream.cli", COMMAND, str(number), str(folder)],
            env=environment,
            ready=partial(ready, number),
            ready_seconds_max=READY_SECONDS_MAX,
            stop_seconds_max=STOP_SECONDS_MAX,
        )
        for number in range(1, settings.api_processes + 1)
    ]


def _show(status: "ProcessStatus") -> None:
    if status.state in ("restarting", "failed"):
        typer.secho(f"{status.name}: {status.state} after exit code {status.exit_code}", fg="yellow", err=True)
