"""Running a command to its exit code."""

import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from hotswap_stream.cli.terminal.exit_codes import CONFIGURATION as CONFIGURATION
from hotswap_stream.cli.terminal.exit_codes import FAILED as FAILED
from hotswap_stream.cli.terminal.exit_codes import INTERRUPTED as INTERRUPTED
from hotswap_stream.cli.terminal.exit_codes import NOT_AUTHENTICATED as NOT_AUTHENTICATED
from hotswap_stream.cli.terminal.exit_codes import REFUSED as REFUSED
from hotswap_stream.cli.terminal.next_steps import after_error, is_denied
from hotswap_stream.cli.terminal.waiting import waiting_shown
from hotswap_stream.errors import ConfigurationError, HotswapError, LogReplacedError

if TYPE_CHECKING:
    import asyncio

    from hotswap_stream.application.registry.registry import Registry
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.cli.planes.port import ControlPlane
    from hotswap_stream.settings import Settings

_Result = TypeVar("_Result")
NEEDS_CLUSTER = (
    "this command needs the cluster itself, and the context, or HOTSWAP_API_URL, names an API; choose a context of the "
    "cluster with --context, or set HOTSWAP_KAFKA_BOOTSTRAP_SERVERS"
)


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print one red line on standard error, and exit with the code of a failure."""
    typer.secho(f"error: {message}", err=True, fg="red")
    raise typer.Exit(code)


def try_next(command: str | None) -> None:
    """Print the next command to try on standard error, if there is one."""
    if command is not None:
        typer.secho(f"try: {command}", err=True)


def fail_with(error: HotswapError, code: int = FAILED) -> NoReturn:
    """Print what went wrong and what to try next, and exit.

    Args:
        error: Wrong settings, and callers who are denied, have exit codes of their own.
        code: The exit code of all else.
    """
    typer.secho(f"error: {error}", err=True, fg="red")
    try_next(after_error(error))
    if is_denied(error):
        code = NOT_AUTHENTICATED
    elif isinstance(error, ConfigurationError):
        code = CONFIGURATION
    raise typer.Exit(code) from None


def run(
    main: Callable[["Settings"], Coroutine[Any, Any, _Result]],
    *,
    quiet: bool = True,
    waiting_for: str | None = None,
    needs_cluster: bool = True,
    heeds_context: bool = True,
    loop_factory: "Callable[[], asyncio.AbstractEventLoop] | None" = None,
) -> _Result:
    """Run a command's coroutine with the settings of the environment; what goes wrong becomes one clear line.

    Args:
        main: Gets the settings.
        quiet: Log warnings only, so that a script reads nothing but what the command prints.
        waiting_for: What a person at the terminal is told after a second; None: the command prints meanwhile.
        needs_cluster: Whether an API in place of the cluster will not do.
        heeds_context: Whether the user's context says where to go; processes that serve go by their environment.
        loop_factory: Makes an event loop other than asyncio's own.

    Returns:
        What the coroutine returned.

    Raises:
        typer.Exit: It failed; the exit code is that of the failure.
    """
    import asyncio

    try:
        settings = prepared_settings(quiet=quiet, heeds_context=heeds_context)
        if quiet and needs_cluster and settings.api_url is not None and settings.kafka_bootstrap_servers is None:
            raise ConfigurationError(NEEDS_CLUSTER)
        with waiting_shown(waiting_for), asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main(settings))
    except LogReplacedError as error:
        fail_with(error, FAILED if quiet else CONFIGURATION)
    except HotswapError as error:
        fail_with(error)
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; it comes with: pip install 'hotswap-stream[all]'")
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def prepared_settings(*, quiet: bool, heeds_context: bool = True) -> "Settings":
    """Return the settings of the environment, with logging set up. ConfigurationError if one does not fit."""
    from hotswap_stream.cli.planes.contexts import context_environment
    from hotswap_stream.observability.logging import configure_logging
    from hotswap_stream.settings import load_settings, passed_over

    # Processes that serve take their place from their own environment alone, not from whoever starts them.
    settings = load_settings(context_environment() if quiet and heeds_context else None)
    if settings.api_ca_file is not None:
        from hotswap_stream.client.trust import trusted_ca

        trusted_ca.set(settings.api_ca_file)
    configure_logging("warning" if quiet and settings.log_level == "info" else settings.log_level, settings.log_format)
    if links := passed_over():
        import structlog

        structlog.get_logger(__name__).info(
            "service_links_passed_over", variables=sorted(links), advice="enableServiceLinks: false in the pod"
        )
    return settings


def on_registry(
    question: Callable[["Registry"], Awaitable[_Result]],
) -> Callable[["Settings"], Coroutine[Any, Any, _Result]]:
    """Return a coroutine function of the settings that runs `question` on the registry, read up to the log's end."""

    async def main(settings: "Settings") -> _Result:
        from hotswap_stream import bootstrap

        async with bootstrap.open_registry(settings) as registry:
            return await question(registry)

    return main


def run_on_plane(
    question: Callable[["ControlPlane"], Awaitable[_Result]], *, waiting_for: str | None = "asking"
) -> _Result:
    """Run a coroutine on the cluster or on an API, whichever the context or the environment chooses."""

    async def main(settings: "Settings") -> _Result:
        from hotswap_stream.cli.planes.opening import open_plane

        async with open_plane(settings) as plane:
            return await question(plane)

    return run(main, waiting_for=waiting_for, needs_cluster=False)


def run_by_api_or(
    main: Callable[["Settings"], Coroutine[Any, Any, _Result]],
    of_api: Callable[["ApiPlane"], Awaitable[_Result]],
    *,
    waiting_for: str | None = "asking",
) -> _Result:
    """Run a coroutine where the settings choose: one of them on an API, or the other on the cluster itself.

    Args:
        main: Gets the settings, where they name a cluster.
        of_api: Gets the API, where they name one in its place.
        waiting_for: What a person at the terminal is told after a second.
    """

    async def chosen(settings: "Settings") -> _Result:
        if settings.api_url is None or settings.kafka_bootstrap_servers is not None:
            return await main(settings)
        from hotswap_stream.cli.planes.http import open_api

        async with open_api(settings.api_url, settings.api_key) as api:
            return await of_api(api)

    return run(chosen, waiting_for=waiting_for, needs_cluster=False)


def run_on_cluster(question: Callable[["ControlPlane"], Awaitable[_Result]]) -> _Result:
    """Run a coroutine on the cluster itself."""

    async def main(settings: "Settings") -> _Result:
        from hotswap_stream.cli.planes.cluster import open_cluster

        async with open_cluster(settings) as plane:
            return await question(plane)

    return run(main, waiting_for="reading the registry log")


def interactive() -> bool:
    """Return whether a person sees standard output."""
    return sys.stdout.isatty()
