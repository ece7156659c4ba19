"""Running a command to its exit code: 0 done, 1 failed, 3 refused."""

import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from hotswap_stream.errors import ConfigurationError, HotswapError, LogReplacedError

if TYPE_CHECKING:
    import asyncio

    from hotswap_stream.application.registry.registry import Registry
    from hotswap_stream.settings import Settings

FAILED = 1
REFUSED = 3
CONFIGURATION = 78
"""Exit code of the commands that run until they are stopped: starting them again cannot help."""
INTERRUPTED = 130

_Result = TypeVar("_Result")


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print one red line on standard error, and exit with the code of a failure."""
    typer.secho(f"error: {message}", err=True, fg="red")
    raise typer.Exit(code)


def run(
    main: Callable[["Settings"], Coroutine[Any, Any, _Result]],
    *,
    quiet: bool = True,
    loop_factory: "Callable[[], asyncio.AbstractEventLoop] | None" = None,
) -> _Result:
    """Run a command's coroutine with the settings of the environment; what goes wrong becomes one clear line.

    Args:
        main: Gets the settings.
        quiet: Log warnings only, so that a script reads nothing but what the command prints.
        loop_factory: Makes an event loop other than asyncio's own.

    Returns:
        What the coroutine returned.

    Raises:
        typer.Exit: It failed; the exit code is that of the failure.
    """
    import asyncio

    try:
        settings = prepared_settings(quiet=quiet)
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main(settings))
    except ConfigurationError as error:
        fail(str(error), FAILED if quiet else CONFIGURATION)
    except LogReplacedError as error:
        fail(str(error), FAILED if quiet else CONFIGURATION)
    except HotswapError as error:
        fail(str(error))
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; it comes with: pip install 'hotswap-stream[all]'")
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def prepared_settings(*, quiet: bool) -> "Settings":
    """Return the settings of the environment, with logging set up. ConfigurationError if one does not fit."""
    from hotswap_stream.observability.logging import configure_logging
    from hotswap_stream.settings import load_settings, passed_over

    settings = load_settings()
    configure_logging("warning" if quiet and settings.log_level == "info" else settings.log_level, settings.log_format)
    if links := passed_over():
        import structlog

        structlog.get_logger(__name__).info(
            "service_links_passed_over", variables=sorted(links), advice="enableServiceLinks: false in the pod"
        )
    return settings


def run_on_registry(question: Callable[["Registry"], Awaitable[_Result]]) -> _Result:
    """Run a coroutine on the registry, read up to the log's end."""

    async def main(settings: "Settings") -> _Result:
        from hotswap_stream import bootstrap

        async with bootstrap.open_registry(settings) as registry:
            return await question(registry)

    return run(main)


def interactive() -> bool:
    """Return whether a person sees standard output."""
    return sys.stdout.isatty()
