"""`validation-policy` and `cleanup`: what a version must reach to get in, and how long its artifact stays."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.artifacts.policy_files import validation_policy_of
from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.terminal.commanding import CommandToSend, Fields, command_fields, sends_command
from hotswap_stream.cli.terminal.options import Actor, AsJson, AsOf, ModelArgument, Reason
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_table, refuse
from hotswap_stream.cli.terminal.queries import ask
from hotswap_stream.cli.terminal.running import run_by_api_or

if TYPE_CHECKING:
    from hotswap_stream.application.artifacts.cleanup import CleanUpReport
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The gates that versions of a model must pass.", no_args_is_help=True)
    group.command("show")(show_policy)
    group.command("get", hidden=True)(show_policy)
    group.command("set")(set_policy)
    app.add_typer(group, name="validation-policy")
    app.command("cleanup")(cleanup)


def show_policy(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show the policy that holds for a model."""
    report = ask(questions.validation_policy(model), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(report)
        return
    policy = report.policy
    print_facts(
        {
            "model": model,
            "policy": "the default" if report.is_default else "set for this model",
            "passes from active minus": policy.pass_margin,
            "fails below active minus": policy.fail_margin,
            "first version passes from": policy.first_accuracy_min,
        }
    )
    if policy.gates:
        print_table(
            ("figure", "better", "threshold", "margin", "relative margin", "otherwise"),
            (
                (gate.figure, gate.better, gate.threshold, gate.margin, gate.relative, gate.otherwise)
                for gate in policy.gates
            ),
            title="gates",
        )


@sends_command
def set_policy(
    fields: Fields,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="TOML or JSON: pass_margin, fail_margin, first_accuracy_min, gates.",
            exists=True,
            dir_okay=False,
        ),
    ],
) -> CommandToSend:
    """Set the policy that verdicts on versions of this model follow from now on."""
    from hotswap_events.commands import SetValidationPolicy

    return SetValidationPolicy(policy=validation_policy_of(file), **fields)


def cleanup(
    actor: Actor,
    keep: Annotated[int, typer.Option(help="Number of the newest versions to keep.", min=0)],
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Default: all models.", show_default=False)
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this, only say what would be done.")] = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Delete artifacts that nothing needs. Kept: the newest, and all that was in production or is tried or staged."""
    from hotswap_events.commands import Refusal
    from hotswap_stream.application.artifacts.cleanup import CleanUpReport

    def fields_of(name: str) -> "dict[str, Any]":
        return command_fields(name, actor=actor, reason=reason, command_id=None)

    async def main(settings: "Settings") -> "list[CleanUpReport | Refusal]":
        from hotswap_stream import bootstrap
        from hotswap_stream.application.artifacts.cleanup import clean_up

        store = bootstrap.artifact_store(settings)
        async with bootstrap.open_registry(settings) as registry:
            names = [model] if model is not None else sorted(registry.fold.streams)
            reports = []
            for name in names:
                fields = fields_of(name)
                fields.pop("model_name")
                reports.append(await clean_up(registry, store, name, keep=keep, apply=apply, **fields))
            return reports

    async def of_api(api: "ApiPlane") -> "list[CleanUpReport | Refusal]":
        from hotswap_stream.client.http_calls import model_path

        body = {"keep": keep, "apply": apply}
        names = [model]
        if model is None:
            every = await api.ask(questions.models())
            if isinstance(every, Refusal):
                return [every]
            names = [each.model_name for each in every]
        return [
            await api.done(f"{model_path(name)}/cleanup", body, fields_of(name), CleanUpReport, seconds_max=600)
            for name in names
            if name is not None
        ]

    reports = run_by_api_or(main, of_api, waiting_for="looking for what is not needed")
    done: list[CleanUpReport] = []
    for report in reports:
        if not isinstance(report, CleanUpReport):
            raise refuse(report, as_json=as_json)
        done.append(report)
    if as_json:
        print_json(done)
    else:
        _print_reports(done, apply=apply)


def _print_reports(reports: "list[CleanUpReport]", *, apply: bool) -> None:
    rows = [
        (
            entry.model_name,
            entry.model_version,
            entry.artifact_digest[:19],
            entry.size_bytes,
            entry.kept_because or ("deleted" if apply else "would be deleted"),
        )
        for report in reports
        for entry in (*report.kept, *report.deleted)
    ]
    print_table(("model", "version", "artifact", "bytes", "why"), rows)
    freed_bytes = sum(report.freed_bytes for report in reports)
    count = sum(len(report.deleted) for report in reports)
    for report in reports:
        for refusal in report.refused:
            typer.secho(f"kept: {refusal}", fg="yellow")
        for held in report.held:
            typer.secho(f"in the store still: {held.artifact_digest[:19]}: {held.because}", fg="yellow")
    if apply:
        typer.secho(f"{count} deleted, {freed_bytes:,} bytes", fg="green")
    else:
        typer.echo(f"{count} would be deleted, {freed_bytes:,} bytes; --apply does it")
