"""`dataset`: rows for training, built of a model's requests and what turned out about them."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.planes.port import Question
from hotswap_stream.cli.terminal.commanding import command_fields
from hotswap_stream.cli.terminal.options import Actor, AsJson, AsOf, CommandId, ModelArgument, Reason
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_result, print_table
from hotswap_stream.cli.terminal.queries import ask
from hotswap_stream.cli.terminal.running import run
from hotswap_stream.cli.training.dataset_files import add, dataset_question

if TYPE_CHECKING:
    from hotswap_events.dataset import DatasetQuery, DatasetSplit, OffsetRange, Ranges
    from hotswap_stream.application.datasets.order import DatasetOrder
    from hotswap_stream.application.datasets.view import BuiltDataset, DatasetList, DatasetView
    from hotswap_stream.settings import Settings

NamedArgument = Annotated[str, typer.Argument(metavar="DATASET", help="Digest of the dataset, or a name of it.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Rows for training, built of a model's requests and what turned out about them, or from a file.",
        no_args_is_help=True,
    )
    group.command("build")(build)
    group.command("add")(add)
    group.command("list")(list_all)
    group.command("show")(show)
    group.command("export")(export)
    app.add_typer(group, name="dataset")
    app.command("run-dataset-build", hidden=True)(run_ordered)


def build(
    model: ModelArgument,
    actor: Actor,
    name: Annotated[
        str | None, typer.Option(help="The name stands for this dataset from now on.", show_default=False)
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(help="Digest or name of a dataset whose query is asked again, as it was.", show_default=False),
    ] = None,
    truth: Annotated[
        str,
        typer.Option(
            help="What of the feedback becomes the row's truth: label, value, reward, or items (a row for each chosen "
            "item)."
        ),
    ] = "label",
    version: Annotated[
        str | None,
        typer.Option(help="Whose inputs a request must have. Default: the active version's.", show_default=False),
    ] = None,
    offsets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARTITION:FIRST:UNTIL",
            help="Requests of a partition, from an offset up to and without another. Several times for several; "
            "default: all that is there.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Requests from this time on (UTC).", show_default=False)
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="Requests before this time (UTC).", show_default=False)] = None,
    feedback: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARTITION:FIRST:UNTIL",
            help="Feedback, likewise. Default: all that is there now.",
            show_default=False,
        ),
    ] = None,
    contradictions: Annotated[
        str,
        typer.Option(help="Where feedback contradicts itself: drop the row, or take the first or the last."),
    ] = "drop",
    label_seconds: Annotated[
        float, typer.Option(help="Feedback that came longer after its request is late, and not taken.", min=0.001)
    ] = 7 * 86_400.0,
    label: Annotated[list[int] | None, typer.Option(help="Only these classes.", min=0, show_default=False)] = None,
    by: Annotated[list[str] | None, typer.Option(help="Only feedback of these actors.", show_default=False)] = None,
    reward_min: Annotated[
        float | None, typer.Option(help="Only where a reward of at least this was given.", show_default=False)
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="BEGIN:END",
            help="Only a part of the requests, by the hash of their ids: 0:0.8 are four fifths, 0.8:1 the rest.",
            show_default=False,
        ),
    ] = None,
    split_seed: Annotated[str, typer.Option(help="Another seed makes other parts.")] = "",
    rows_max: Annotated[int, typer.Option(help="With more rows there is an error.", min=1)] = 1_000_000,
    reason: Reason = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Join requests with what is known about them, keep the rows as an artifact, and record it with its query.

    The same query gives the same digest for as long as the topics keep the records; no row of the validation set gets
    in.
    """
    import msgspec

    from hotswap_events.dataset import DatasetFilter
    from hotswap_stream.application.datasets.order import DatasetOrder

    fields = command_fields(model, actor=actor, reason=reason, command_id=command_id)
    where = DatasetFilter(labels=tuple(label or ()), actors=tuple(by or ()), reward_min=reward_min)
    order = DatasetOrder(
        dataset_name=name,
        like=like,
        truth=truth,  # type: ignore[arg-type]  # checked below
        model_version=version,
        ranges=_ranges(offsets, "--offsets"),
        since=_utc(since),
        until=_utc(until),
        feedback=_ranges(feedback, "--feedback"),
        contradictions=contradictions,  # type: ignore[arg-type]
        label_seconds_max=label_seconds,
        where=None if where == DatasetFilter() else where,
        split=_split(split, split_seed),
        rows_max=rows_max,
    )
    try:
        order = msgspec.convert(msgspec.to_builtins(order), DatasetOrder)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(str(error)) from error
    shown = sys.stderr.isatty() and not as_json
    built = run(lambda settings: _built(settings, order, fields, shown=shown), needs_cluster=False)
    if built.dataset is None or not as_json:
        print_result(built.result, as_json=as_json)
    if built.dataset is not None and as_json:
        print_json(built.dataset)
    elif built.dataset is not None:
        _print_view(built.dataset)


def list_all(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """List a model's datasets, newest first."""
    found = ask(_list_question(model), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(found)
        return
    print_table(
        ("dataset", "names", "rows", "bytes", "truth or file", "built", "by"),
        (
            (
                each.artifact_digest[:19],
                ", ".join(each.names) or "-",
                f"{each.rows:,}",
                f"{each.size_bytes:,}",
                each.source if each.query is None else each.query.truth,
                each.built_at.isoformat(" ", "seconds"),
                each.built_by,
            )
            for each in found.datasets
        ),
    )


def show(model: ModelArgument, dataset: NamedArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show a dataset: what it was made of, and what was left out."""
    found = ask(dataset_question(model, dataset), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(found)
    else:
        _print_view(found)


def export(
    model: ModelArgument,
    dataset: NamedArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="A file: .safetensors (the artifact as it is), .npz or .parquet.",
            dir_okay=False,
            show_default=False,
        ),
    ],
) -> None:
    """Write a dataset into a file that other programs read."""
    found = ask(dataset_question(model, dataset), as_of=None, as_json=False)

    async def main(settings: "Settings") -> int:
        from hotswap_stream import bootstrap

        return await bootstrap.export_dataset(settings, found.artifact_digest, output)

    size_bytes = run(main, needs_cluster=False)
    typer.echo(f"{found.rows:,} rows, {size_bytes:,} bytes, written to {output}")


def run_ordered() -> None:
    """Build the dataset ordered on standard input, and print what became of it; SIGTERM stops it."""

    async def main(settings: "Settings") -> "BuiltDataset":
        import asyncio

        import msgspec

        from hotswap_stream import bootstrap
        from hotswap_stream.application.datasets.children import OrderedBuild
        from hotswap_stream.cli.terminal.signals import stop_on_signals

        stop = stop_on_signals()
        text = await asyncio.to_thread(sys.stdin.buffer.readline)
        ordered = msgspec.json.decode(text, type=OrderedBuild)
        async with bootstrap.open_registry(settings, "api") as registry:
            building = asyncio.ensure_future(
                bootstrap.build_dataset(settings, registry, ordered.model_name, ordered.order, **ordered.command)
            )
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait({building, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not building.done():
                building.cancel()
            return await building

    print_json(run(main, heeds_context=False))


async def _built(settings: "Settings", order: "DatasetOrder", fields: dict[str, Any], *, shown: bool) -> "BuiltDataset":
    from hotswap_stream import bootstrap

    model, command = fields["model_name"], {name: value for name, value in fields.items() if name != "model_name"}
    if settings.api_url is not None and settings.kafka_bootstrap_servers is None:
        from hotswap_stream.cli.planes.http import open_api

        async with open_api(settings.api_url, settings.api_key) as api:
            return await api.build_dataset(model, order, command)

    def progress(requests: int, rows: int) -> None:
        if shown:
            sys.stderr.write(f"\r{requests:,} requests read, {rows:,} rows")

    async with bootstrap.open_registry(settings) as registry:
        try:
            return await bootstrap.build_dataset(settings, registry, model, order, on_progress=progress, **command)
        finally:
            if shown:
                sys.stderr.write("\n")


def _list_question(model: str) -> "Question[DatasetList]":
    from hotswap_stream.application.datasets.view import DatasetList, list_datasets

    return Question(
        lambda streams: list_datasets(streams, model), lambda api: api.get(f"/api/models/{model}/datasets", DatasetList)
    )


def _ranges(texts: "list[str] | None", option: str) -> "Ranges":
    from hotswap_events.dataset import OffsetRange

    found: list[OffsetRange] = []
    for text in texts or ():
        parts = text.split(":")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            raise typer.BadParameter(f"{text!r} is not as 3:0:1200 (partition, first, until)", param_hint=option)
        partition, first, until = map(int, parts)
        found.append(OffsetRange(partition=partition, first=first, until=until))
    return tuple(sorted(found, key=lambda each: each.partition))


def _split(text: str | None, seed: str) -> "DatasetSplit | None":
    from hotswap_events.dataset import DatasetSplit

    if text is None:
        return None
    begin, _, end = text.partition(":")
    try:
        return DatasetSplit(begin=float(begin), end=float(end), seed=seed)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not as 0:0.8", param_hint="--split") from None


def _utc(time: datetime | None) -> datetime | None:
    from datetime import UTC

    return time if time is None or time.tzinfo is not None else time.replace(tzinfo=UTC)


def _print_view(found: "DatasetView") -> None:
    query = found.query
    counts = {name: getattr(found.counts, name) for name in found.counts.__struct_fields__}
    print_facts(
        {
            "dataset": found.artifact_digest,
            "names": ", ".join(found.names) or "none",
            "built": f"{found.built_at.isoformat(' ', 'seconds')} by {found.built_by}",
            **({"file": found.source} if query is None else _made_of(query)),
            "bytes": found.size_bytes,
            **{name.replace("_", " "): count for name, count in counts.items() if count or name == "rows"},
        }
    )


def _made_of(query: "DatasetQuery") -> dict[str, str]:
    return {
        "truth": query.truth,
        "inputs": ", ".join(f"{each.name} {each.datatype} {list(each.shape)}" for each in query.inputs),
        "requests": _places(query.ranges),
        "feedback": _places(query.feedback),
        "validation set": query.excluded_set or "none was chosen",
    }


def _places(ranges: "tuple[OffsetRange, ...]") -> str:
    return ", ".join(f"{each.partition}:{each.first}:{each.until}" for each in ranges if each.until > each.first)
