"""`windows`: how far the windows of a model's series are filled."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json, print_table, refuse
from hotswap_stream.cli.terminal.running import run_by_api_or

if TYPE_CHECKING:
    from hotswap_stream.application.windows.view import ModelWindows
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.settings import Settings

WINDOWS_SHOWN_MAX = 10_000
PAGE_MAX = 1_000
"""The largest page that an API gives."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("windows")(windows)


def windows(
    model: Annotated[str, typer.Argument(help="Name of the model.", show_default=False)],
    after: Annotated[
        str | None, typer.Option(help="Show only keys that come after this one.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=WINDOWS_SHOWN_MAX, help="Show at most this number of series.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show the series of a model that takes windows of steps: the steps that are kept, and whether they are enough."""

    async def main(settings: "Settings") -> "ModelWindows":
        from hotswap_events.commands import Refusal
        from hotswap_stream import bootstrap
        from hotswap_stream.application.registry.queries import find_model
        from hotswap_stream.application.windows.view import model_windows

        async with bootstrap.open_registry(settings) as registry:
            refusal = find_model(registry.fold.streams, model)
            if isinstance(refusal, Refusal):
                raise refuse(refusal, as_json=as_json)
            active = registry.state(model).active
            reader = bootstrap.window_reader(settings)
            folds = await reader.read(model)
            manifest = None
            if active is not None and folds:
                manifest = (await bootstrap.artifact_store(settings).fetch(active.artifact.digest)).manifest
            return model_windows(model, folds, manifest, reader.homes, after=after, limit=limit)

    async def of_api(api: "ApiPlane") -> "ModelWindows":
        from msgspec.structs import replace

        from hotswap_events.commands import Refusal
        from hotswap_stream.application.windows.view import ModelWindows, WindowStatus
        from hotswap_stream.client.http_calls import model_path

        found: tuple[WindowStatus, ...] = ()
        last = after
        while True:
            query = {"after_key": last, "limit": min(PAGE_MAX, limit - len(found))}
            page = await api.get(f"{model_path(model)}/windows", ModelWindows, query)
            if isinstance(page, Refusal):
                raise refuse(page, as_json=as_json)
            found = (*found, *page.windows)
            if len(found) >= limit or len(page.windows) < PAGE_MAX:
                return replace(page, windows=found)
            last = page.windows[-1].key

    found = run_by_api_or(main, of_api)
    if as_json:
        print_json(found, listed="windows", named_by=("key",))
        return
    gone = f"; {found.evicted} made room for others" if found.evicted else ""
    if not found.total:
        typer.echo(f"{found.model_name}: no series yet{gone}; requests to a version that takes windows bring them")
        return
    typer.echo(f"{found.model_name}: {found.ready} of {found.total} series have enough steps{gone}")
    if found.split:
        typer.echo(
            f"{found.split} series lie in several partitions, and their windows do not fill: producers hash keys in "
            "different ways; set one partitioner for all, for librdkafka partitioner=murmur2_random"
        )
    if found.windows:
        also = ("also in",) if found.split else ()
        print_table(
            ("key", "partition", *also, "steps", "needed", "ready"),
            (
                (
                    each.key,
                    each.partition,
                    *(", ".join(map(str, each.also_in)) or None for _ in also),
                    each.steps,
                    each.needed,
                    "yes" if each.ready else "no",
                )
                for each in found.windows
            ),
        )
