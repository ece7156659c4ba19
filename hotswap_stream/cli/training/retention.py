"""`retention`: how long the requests and answers of a model are kept."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.planes.port import Question
from hotswap_stream.cli.terminal.commanding import Fields, sends_command
from hotswap_stream.cli.terminal.options import AsJson, AsOf, ModelArgument
from hotswap_stream.cli.terminal.printing import print_facts, print_json
from hotswap_stream.cli.terminal.queries import ask

if TYPE_CHECKING:
    from hotswap_events.commands import AnyCommand
    from hotswap_stream.application.datasets.view import RetentionReport


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="How long the requests and answers of a model are kept.", no_args_is_help=True)
    group.command("set")(set_retention)
    group.command("show")(show)
    app.add_typer(group, name="retention")


@sends_command
def set_retention(
    fields: Fields,
    seconds: Annotated[int, typer.Option(help="How long, at least; from 60 s.", min=60)] = 7 * 86_400,
    partition_bytes: Annotated[
        int | None,
        typer.Option(
            help="How many bytes of each partition, about; from 16 MiB. Default: any size.",
            min=16 * 1024**2,
            show_default=False,
        ),
    ] = None,
) -> "AnyCommand":
    """Keep requests and answers so long from now on; the agents tell the topics, and the broker deletes the rest.

    Datasets and answers computed again reach back no further.
    """
    from hotswap_events.commands import SetRequestRetention
    from hotswap_events.dataset import RequestRetention

    retention = RequestRetention(seconds=seconds, partition_bytes=partition_bytes)
    return SetRequestRetention(retention=retention, **fields)


def show(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show how long requests and answers are kept."""

    def question() -> "Question[RetentionReport]":
        from hotswap_stream.application.datasets.view import RetentionReport, find_retention

        return Question(
            lambda streams: find_retention(streams, model),
            lambda api: api.get(f"/api/models/{model}/retention", RetentionReport),
        )

    report = ask(question(), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(report)
        return
    from hotswap_stream.application.descriptions.dataset import retention_text

    default = " (the default)" if report.is_default else ""
    print_facts({"model": model, "kept": f"{retention_text(report.retention)}{default}"})
