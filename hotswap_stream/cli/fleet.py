"""`fleet`: which worker holds which versions, and whether all serve the one in production."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json, print_table, refuse
from hotswap_stream.cli.terminal.running import run_on_plane

if TYPE_CHECKING:
    from hotswap_stream.application.inference.fleet import FleetWorker, ModelFleet


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fleet")(fleet)


def fleet(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Only this model.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Show the workers: which versions each holds in which state, and whether the whole fleet serves the active one."""
    from hotswap_events.commands import Refusal

    found = run_on_plane(lambda plane: plane.fleets(model), waiting_for="listening to the workers")
    if isinstance(found, Refusal):
        raise refuse(found, as_json=as_json)
    if as_json:
        print_json(found if model is None else found[0])
        return
    for each in found:
        print_fleet(each)


def print_fleet(fleet: "ModelFleet") -> None:
    """Print one model: a sentence, then its workers, then what is not known about them."""
    from msgspec.structs import asdict

    from hotswap_stream.application.inference.lacking import lacked_text

    if fleet.active_version is None:
        verdict = "no version is in production"
    elif not fleet.live_workers:
        verdict = f"no live worker; {fleet.active_version} is in production"
    elif fleet.whole_fleet_serves_active:
        verdict = f"the whole fleet serves {fleet.active_version}"
    else:
        verdict = f"{fleet.serving_active_workers} of {fleet.live_workers} workers serve {fleet.active_version}"
    typer.echo(f"{fleet.model_name}: {verdict}")
    if fleet.workers:
        print_table(
            ("worker", "live", "serves", "versions", "partitions", "heard of"),
            (
                (
                    worker.worker,
                    "yes" if worker.live else "no",
                    worker.serving_version,
                    _versions(worker),
                    worker.partitions,
                    f"{worker.silent_seconds:.1f} s ago",
                )
                for worker in fleet.workers
            ),
            optional=("partitions", "heard of"),
        )

    for worker in fleet.workers:
        lost = {name: count for name, count in asdict(worker.observations_lost).items() if count}
        if lost:
            told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in lost.items())
            typer.echo(f"{worker.worker}: its observations are incomplete since it started: {told}")
        if worker.live and worker.trouble is not None:
            typer.echo(f"{worker.worker}: {worker.trouble}")
        if worker.live and worker.advice is not None:
            typer.echo(f"{worker.worker}: to be mended: {worker.advice}")
        if worker.live:
            _print_plugins(worker)
    for lacked in fleet.lacked_plugins:
        typer.secho(lacked_text(lacked), fg="yellow")


def _print_plugins(worker: "FleetWorker") -> None:
    """Print what the worker has: kinds of artifacts, and code of the user's own."""
    from hotswap_stream.application.inference.lacking import plugin_text

    if worker.kinds:
        has = ", ".join((*worker.kinds, *(plugin_text(each) for each in worker.plugins if each.error is None)))
        typer.echo(f"{worker.worker}: has {has}")
    for broken in (each for each in worker.plugins if each.error is not None):
        typer.echo(f"{worker.worker}: cannot use {plugin_text(broken)}: {broken.error}")


def _versions(worker: "FleetWorker") -> str:
    return ", ".join(
        f"{name} {version.state}" + (f" ({version.error})" if version.error else "")
        for name, version in sorted(worker.versions.items())
    )
