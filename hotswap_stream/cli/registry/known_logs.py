"""`registry`: which log this machine knows, accepting another one, and putting an export back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.options import AsJson, parse_seal
from hotswap_stream.cli.terminal.printing import print_facts, print_json
from hotswap_stream.cli.terminal.running import FAILED, fail, fail_with, prepared_settings, run

if TYPE_CHECKING:
    from hotswap_stream.application.audit.restoring import Restored
    from hotswap_stream.application.log.identity import SeenLog
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="The registry log as this machine knows it.", no_args_is_help=True)
    group.command("known")(known)
    group.command("accept")(accept)
    group.command("restore")(restore)
    app.add_typer(group, name="registry")


def known(as_json: AsJson = False) -> None:
    """Show which log this machine remembers; no broker is asked. Exit code 1 if it remembers none."""
    from hotswap_stream import bootstrap
    from hotswap_stream.errors import HotswapError

    try:
        memory = bootstrap.log_memory(prepared_settings(quiet=True))
    except HotswapError as error:
        fail_with(error)
    seen = None if memory is None else memory.recall()
    if seen is None or memory is None:
        fail("this machine remembers no registry log of this environment")
    if as_json:
        print_json(seen)
    else:
        print_facts({**_facts(seen), "kept in": str(memory.path)})


def accept(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False, as_json: AsJson = False
) -> None:
    """Accept the registry log that is there, though another one, or more of it, was seen before.

    A missing log is made, empty. What was remembered is forgotten; the topics are left as they are.
    """
    if not yes and not typer.confirm("Take the registry log that is there for the right one?"):
        typer.echo("nothing was changed")
        raise typer.Exit(FAILED)

    async def main(settings: "Settings") -> "tuple[SeenLog | None, SeenLog | None]":
        from hotswap_stream import bootstrap

        return await bootstrap.accept_log(settings)

    before, now = run(main)
    if as_json:
        print_json({"before": before, "now": now})
        return
    typer.echo(f"before: {before or 'no log'}")
    typer.echo(f"now: {now or 'no log'}")


def restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `audit export` wrote.", exists=True, dir_okay=False)
    ],
    expect_seal: Annotated[
        str | None,
        typer.Option(
            metavar="SEAL", help="The seal that `audit export` printed; fail if it is another.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put an export back into an empty registry log: the same records, offsets and times, so the same seal.

    The export is checked first, and what was written is read back. Stop all other processes of the environment before.
    One that was broken off goes on where it stood; one that is done writes nothing. The topic may hold nothing else.
    """
    seal = parse_seal(expect_seal)

    async def main(settings: "Settings") -> "tuple[Restored, SeenLog | None]":
        from hotswap_stream import bootstrap

        with file.open("rb") as export:
            return await bootstrap.restore_log(settings, export, seal)

    restored, seen = run(main)
    if as_json:
        print_json(restored)
    else:
        typer.echo(f"{restored.records} records, {restored.written} of them written now; seal {restored.seal}")
    if seen is not None:
        typer.secho(
            f"this machine remembers {seen}, and more of it, or another: if the restored one is meant, say so with "
            "`hotswap-stream registry accept`",
            err=True,
            fg="yellow",
        )


def _facts(seen: "SeenLog") -> dict[str, object]:
    return {"identity": seen.identity, "seen": str(seen)}
