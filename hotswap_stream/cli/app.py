"""All commands, from a list of modules."""

from functools import cache
from importlib import import_module
from typing import Annotated

import typer

from hotswap_stream import __version__
from hotswap_stream.cli.planes.chosen import chosen
from hotswap_stream.cli.sections import Sectioned, WholeSentences
from hotswap_stream.cli.terminal.exit_codes import SHORT
from hotswap_stream.cli.terminal.forms import with_forms

COMMAND_MODULES = (
    "status",
    "top.command",
    "page",
    "why",
    "processes.up",
    "processes.watch",
    "demo",
    "training.train",
    "training.runs",
    "training.evaluate",
    "training.validation_sets",
    "training.datasets",
    "training.retention",
    "training.ordered_run",
    "triggers.triggers",
    "training.trainers",
    "training.trainer_process",
    "registry.models",
    "registry.versions",
    "registry.register",
    "registry.publish",
    "mlflow",
    "registry.export",
    "drift",
    "registry.lifecycle",
    "registry.tags",
    "serving",
    "artifacts.heuristic",
    "rollouts.rollout",
    "feedback",
    "artifacts.cleanup",
    "artifacts.environments",
    "alerts.alerts",
    "registry.events",
    "audit.audit",
    "processes.worker",
    "keys.commands",
    "keys.acls",
    "fleet",
    "plugins",
    "processes.healthy",
    "processes.doctor",
    "windows",
    "webhooks",
    "loadtest.loadtest",
    "processes.broker",
    "registry.known_logs",
    "context",
    "processes.reset",
    "processes.api",
    "processes.api_processes",
    "processes.topics",
)
"""Modules of this package with a function `add_to(app)`. They import nothing heavy at their top. The order of the
help is that of the sections."""

EPILOG = (
    "Commands go where --context, or the current context, says; HOTSWAP_KAFKA_BOOTSTRAP_SERVERS (a cluster), "
    "HOTSWAP_TOPIC_PREFIX (the environment on it) and HOTSWAP_API_URL (an API) in the environment win. "
    f"Exit codes: {SHORT}."
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hotswap-stream {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the release and exit.", callback=_show_version, is_eager=True)
    ] = False,
    chosen_context: Annotated[
        str | None,
        typer.Option("--context", metavar="NAME", help="Where to go, as `context add` named it.", show_default=False),
    ] = None,
) -> None:
    """Models served from Kafka topics: every registry change is an event, and weights swap when it arrives."""
    from hotswap_stream.settings import environment_variables

    chosen.set(chosen_context)
    if environment_variables().get("NO_COLOR"):  # as no-color.org says: anything but nothing
        context.color = False


@cache
def build_app() -> typer.Typer:
    """Return the application with every command."""
    app = typer.Typer(
        name="hotswap-stream",
        cls=Sectioned,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        # Plain help: with rich it takes twice as long, and `--help` must be quick.
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=EPILOG,
    )
    app.callback()(_root)
    for name in COMMAND_MODULES:
        import_module(f"hotswap_stream.cli.{name}").add_to(app)
    _finish(app)
    return app


def _finish(app: typer.Typer) -> None:
    """Give every command that prints documents all forms of output, and show whole sentences in the help of groups."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = with_forms(command.callback)
    for group in app.registered_groups:
        group.cls = WholeSentences
        inner = group.typer_instance
        if inner is None:
            continue
        if inner.registered_callback is not None and inner.registered_callback.callback is not None:
            inner.registered_callback.callback = with_forms(inner.registered_callback.callback)
        _finish(inner)
