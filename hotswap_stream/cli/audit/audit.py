"""`audit`: check the log, acknowledge what is wrong with it, export it, and show the registry as it was."""

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.audit.reproduce import reproduce
from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.registry.models import print_model, print_models
from hotswap_stream.cli.terminal.options import Actor, AsJson, AsOf, Reason, parse_seal
from hotswap_stream.cli.terminal.printing import print_json, print_table, refuse
from hotswap_stream.cli.terminal.queries import ask
from hotswap_stream.cli.terminal.running import FAILED, fail, on_registry, run_by_api_or

if TYPE_CHECKING:
    from hotswap_stream.application.audit.expected import Expected
    from hotswap_stream.application.audit.findings import AuditReport, Finding
    from hotswap_stream.application.registry.registry import Registry
    from hotswap_stream.cli.planes.http import ApiPlane


READ_SECONDS_MAX = 600.0
"""How long an API may take to read the whole log."""
_HEX = re.compile(r"[0-9a-f]{1,64}")


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Check the log, export it, look back, compute answers again.", no_args_is_help=True)
    group.command("verify")(verify)
    group.command("acknowledge")(acknowledge)
    group.command("export")(export)
    group.command("show")(show)
    group.command("reproduce")(reproduce)
    app.add_typer(group, name="audit")


def verify(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="The export to check. Default: the log itself.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail also for notices.")] = False,
    expect_head: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STREAM=DIGEST",
            help="Fail unless the stream holds an event with this digest, or with these first 12 characters of one; "
            "several times for several.",
            show_default=False,
        ),
    ] = None,
    expect_seal: Annotated[
        str | None,
        typer.Option(
            metavar="SEAL",
            help="Fail unless the log, or the export, begins with what had this seal before.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the log and name what was changed, dropped or reordered; exit code 1 if anything was, or if it is empty.

    Records that never extended a chain are listed, and so is what somebody acknowledged; neither fails.
    """
    from hotswap_stream.application.audit.expected import Expected

    expected = Expected(_heads(expect_head or []), parse_seal(expect_seal))
    if file is not None:
        report = _verified(file, expected)
    else:

        async def of_api(api: "ApiPlane") -> "AuditReport":
            # Checked here, on a copy: the API's word for it would be worth nothing.
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "log"
                await _download(api, copy)
                return _verified(copy, expected)

        on = on_registry(lambda registry: _verify_log(registry, expected))
        report = run_by_api_or(on, of_api, waiting_for="reading the registry log")
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if not report.ok or (strict and report.notices):
        raise typer.Exit(FAILED)


def acknowledge(
    offset: Annotated[int, typer.Argument(metavar="OFFSET", help="Offset of what `audit verify` found.", min=0)],
    digest: Annotated[
        str,
        typer.Option(
            help="Digest of the record there, as `audit verify` prints it, or its first 12 characters; "
            "'none' where there is no record.",
            show_default=False,
        ),
    ],
    actor: Actor,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Write into the log that you know of a finding: `audit verify` lists it from then on, and does not fail for it."""
    from uuid import uuid4

    from hotswap_events.commands import Refusal
    from hotswap_events.log_stream import FindingAcknowledged

    said: dict[str, Any] = {"actor": actor, "reason": reason, "command_id": str(uuid4())}

    async def on(registry: "Registry") -> FindingAcknowledged:
        from hotswap_stream.application.audit.audit import acknowledge as write

        return await write(registry, offset=offset, digest=digest, **said)

    async def of_api(api: "ApiPlane") -> "FindingAcknowledged | Refusal":
        body = {"offset": offset, "digest": digest}
        return await api.done("/api/log/acknowledge", body, said, FindingAcknowledged, seconds_max=READ_SECONDS_MAX)

    written = run_by_api_or(on_registry(on), of_api, waiting_for="reading the registry log")
    if not isinstance(written, FindingAcknowledged):
        raise refuse(written, as_json=as_json)
    if as_json:
        print_json(written)
    else:
        typer.secho(f"offset {written.offset}: {written.damage}: {written.detail} - acknowledged", fg="green")


def _heads(texts: list[str]) -> dict[str, str]:
    """Return the digests by stream. BadParameter for what is no `STREAM=DIGEST`."""
    from hotswap_stream.application.audit.expected import DIGEST_CHARACTERS_MIN

    found: dict[str, str] = {}
    for text in texts:
        stream, separator, digest = text.rpartition("=")
        if not separator or not stream or not _HEX.fullmatch(digest) or len(digest) < DIGEST_CHARACTERS_MIN:
            raise typer.BadParameter(
                f"{text!r} is not STREAM=DIGEST with {DIGEST_CHARACTERS_MIN} to 64 hexadecimal digits, as `audit "
                "verify` prints them",
                param_hint="--expect-head",
            )
        found[stream] = digest
    return found


def _verified(file: Path, expected: "Expected") -> "AuditReport":
    from hotswap_stream.application.audit.audit import verify_export

    try:
        with file.open("rb") as export_file:
            return verify_export(export_file, expected)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")


async def _verify_log(registry: "Registry", expected: "Expected") -> "AuditReport":
    from hotswap_stream.application.audit.audit import verify_log

    return await verify_log(registry.log, expected)


def _print_report(report: "AuditReport") -> None:
    for known in report.acknowledged:
        why = f": {known.reason}" if known.reason else ""
        typer.secho(f"acknowledged by {known.actor}{why}: {known.finding}", err=True, fg="yellow")
    for notice in report.notices:
        typer.secho(f"notice: {_named(notice)}", err=True, fg="yellow")
    if report.notices_total > len(report.notices):
        typer.secho(f"… and {report.notices_total - len(report.notices)} more notices", err=True, fg="yellow")
    for finding in report.findings:
        typer.secho(f"broken: {_named(finding)}", err=True, fg="red")
    counts = f"{report.records} records: {report.applied} valid, {report.conflicts} lost to another writer"
    if report.first is not None:
        typer.secho(f"{counts}; the first broken place is {report.first}", err=True, fg="red")
        return
    if not report.records:
        typer.secho("the log is empty: there is nothing that could hold", err=True, fg="red")
        return
    known_of = f", but for {len(report.acknowledged)} acknowledged" if report.acknowledged else ""
    typer.secho(f"{counts}; every stream's chain holds{known_of}", fg="green")
    print_table(
        ("model", "events", "last offset", "head digest"),
        ((name, head.sequence, head.offset, head.digest) for name, head in sorted(report.heads.items())),
    )
    typer.echo(f"seal {report.seal}")


def _named(finding: "Finding") -> str:
    """Return the finding with what `audit acknowledge` asks for."""
    return f"{finding} (digest {finding.digest or 'none'})"


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", dir_okay=False)],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if there is one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the log to a file, one sealed line per record, that `audit verify` can check anywhere."""
    if file.exists() and not force:
        raise typer.BadParameter(f"{file} exists; use --force to overwrite it", param_hint="FILE")

    # Renamed at the end: a file of that name is always a whole export.
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")

    async def on(registry: "Registry") -> tuple[int, str]:
        from hotswap_stream.application.audit.audit import export_log

        with partial.open("wb") as export_file:
            written = await export_log(registry.log, export_file)
        return written.records, written.sha256

    async def of_api(api: "ApiPlane") -> tuple[int, str]:
        from hotswap_stream.application.audit.export import whole_export

        await _download(api, partial)
        with partial.open("rb") as export_file:
            return whole_export(export_file)

    try:
        records, seal = run_by_api_or(on_registry(on), of_api, waiting_for="reading the registry log")
        partial.replace(file)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")
    finally:
        partial.unlink(missing_ok=True)
    if as_json:
        print_json({"file": str(file), "records": records, "sha256": seal})
    else:
        typer.echo(f"{records} records in {file}; seal {seal}")


async def _download(api: "ApiPlane", into: Path) -> None:
    with into.open("wb") as export_file:
        await api.downloaded("/api/log/export", export_file)


def show(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Show only this model, in full.", show_default=False)
    ] = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Show the registry as it was after an offset of the log, or at a time; without --as-of, as it is."""
    if model is not None:
        state = ask(questions.model(model), as_of=as_of, as_json=as_json)
        if as_json:
            print_json(state)
        else:
            print_model(state)
        return
    found = ask(questions.models(), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(found)
    else:
        print_models(found)
