"""The command line in this process."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from typer.testing import CliRunner, Result

from hotswap_stream.cli.app import build_app

Cli = Callable[..., Result]
"""Run a command; `code` is the exit code it must end with (None: any), other keywords are settings of this one."""


@contextmanager
def command_line(variables: Mapping[str, str] | None = None) -> Iterator[Cli]:
    """Give a function that runs commands with these settings."""
    runner = CliRunner()

    def invoke(*arguments: str, code: int | None = 0, **overrides: str | None) -> Result:
        result = runner.invoke(build_app(), arguments, env={**(variables or {}), **overrides})
        assert code in (None, result.exit_code), (arguments, result.output, result.exception)
        return result

    try:
        yield invoke
    finally:
        # The command pointed the log at a stream that ended with it.
        structlog.reset_defaults()


def read_json(result: Result) -> Any:
    return json.loads(result.stdout)
