"""`demo`: the main job, from training to rollouts that end by themselves, under a stream of requests."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hotswap_stream.cli.terminal.running import FAILED, run

if TYPE_CHECKING:
    from hotswap_stream.cli.demo.report import DemoReport
    from hotswap_stream.settings import Settings

Part = Literal["promotion", "rollback", "rollouts", "publish", "all"]

_ROLLOUTS = ("shadow", "canary", "progressive")
PARTS: dict[str, tuple[str, ...]] = {
    "promotion": ("first_version", "second_version"),
    "rollback": ("first_version", "bad_version", "damaged_version"),
    "rollouts": ("first_version", *_ROLLOUTS),
    "publish": ("first_version", "published_model"),
    # The version that the emergency takes out of production has to earn its way back.
    "all": (
        "first_version",
        "second_version",
        "bad_version",
        "damaged_version",
        "emergency",
        *_ROLLOUTS,
        "published_model",
    ),
}


def demo(
    part: Annotated[Part, typer.Option(help="Which acts to play.")] = "all",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.", show_default=False)
    ] = None,
    rate: Annotated[
        float,
        typer.Option(help="Requests per second; rollouts take the longer the fewer they are.", min=1.0, max=2_000.0),
    ] = 100.0,
    pause: Annotated[bool, typer.Option("--pause", help="Wait for Enter between the acts.")] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Keep logs, artifacts and the broker's data in this folder.", show_default=False)
    ] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="Leave all running at the end, to look at it in the browser, until Ctrl-C.")
    ] = False,
) -> None:
    """Train on real digits, serve them from Kafka, swap weights under a stream of requests. Exit code 1: it failed."""

    async def main(settings: "Settings") -> "DemoReport":
        from hotswap_stream.cli.demo.play import home_folder, isolated, play

        async with home_folder(folder) as home:
            return await play(isolated(settings, home), PARTS[part], rate=rate, pause=pause, stay=stay)

    from hotswap_stream.cli.demo.report import print_report, write_report

    folder = None if keep is None else keep.absolute()
    report = run(main, heeds_context=False)
    typer.echo()
    print_report(report)
    if json_file is not None:
        write_report(report, json_file)
        typer.echo(f"the same as JSON: {json_file}")
    if not report.held:
        raise typer.Exit(FAILED)
