"""`triggers`: what starts training runs, and what has started them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.planes import trigger_questions as questions
from hotswap_stream.cli.terminal.commanding import CommandToSend, Fields, guarded, sends_command
from hotswap_stream.cli.terminal.options import AsJson, AsOf, ModelArgument
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_table
from hotswap_stream.cli.terminal.queries import ask
from hotswap_stream.cli.triggers.backtest import backtest
from hotswap_stream.cli.triggers.policy_options import (
    After,
    Cooldown,
    Cron,
    Datasets,
    Drift,
    Files,
    Parameters,
    PolicyFile,
    Quality,
    Rows,
    Timezone,
    Trainer,
    changed,
    parameters_of,
    policy_of_file,
)

if TYPE_CHECKING:
    from hotswap_events.commands import CommandResult
    from hotswap_stream.application.triggers.view import TriggerRecord
    from hotswap_stream.cli.planes.port import ControlPlane


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    triggers = typer.Typer(help="What starts training runs: schedule, drift, quality, data.", no_args_is_help=True)
    triggers.command("list")(list_all)
    triggers.command("show")(show)
    triggers.command("set")(set_policy)
    triggers.command("fire")(fire)
    triggers.command("history")(history)
    triggers.command("backtest")(backtest)
    app.add_typer(triggers, name="triggers")


def list_all(as_of: AsOf = None, as_json: AsJson = False) -> None:
    """List the models that have a training policy, with what happened last."""
    found = ask(questions.triggers(), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(found, listed="models", named_by=("model_name",))
        return
    print_table(
        ("model", "starts by", "trainer", "run on", "last", "at"),
        (
            (
                each.model_name,
                ", ".join(each.triggers) or "nothing",
                each.trainer,
                each.run_on,
                None if each.last is None else f"{each.last.trigger} {each.last.status}",
                None if each.last is None else each.last.at.isoformat(timespec="seconds"),
            )
            for each in found.models
        ),
    )


def show(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show what starts training runs of a model, when the schedule comes next, and what keeps runs from starting."""
    found = ask(questions.model_triggers(model), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(found)
        return
    policy = found.policy
    if policy is None:
        typer.echo(f"{model} has no training policy: nothing starts by itself. Set one with `triggers set`")
        return
    from datetime import UTC, datetime

    from hotswap_stream.application.descriptions.training import after_text
    from hotswap_stream.domain.triggers.calendar import frozen_until, next_time

    now = datetime.now(UTC)
    following = None if policy.schedule is None else next_time(policy.schedule, now)
    until = frozen_until(policy.freeze, now)
    print_facts(
        {
            "model": model,
            "starts by": ", ".join(found.triggers) or "nothing",
            "trainer": policy.trainer,
            "parameters": ", ".join(f"{name}={value}" for name, value in policy.parameters.items()) or None,
            "datasets": ", ".join(policy.datasets) or None,
            "after": after_text(policy.after),
            "cooldown": f"{policy.cooldown_seconds:g} s",
            "runs a day": f"at most {policy.runs_per_day_max}",
            "schedule next": None if following is None else following.isoformat(timespec="seconds"),
            "frozen until": None if until is None else until.isoformat(timespec="seconds"),
            "run on": found.run_on,
            "version on its way": found.version_on_way,
            "best quality": None
            if found.peak is None
            else f"{found.peak.metric} {found.peak.value:.4g} of {found.peak.model_version}",
            "fired": ", ".join(f"{name} {count}" for name, count in found.fired.items()) or "never",
        }
    )


def history(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """List what fired and what was suppressed, newest first; the last 100."""
    found = ask(questions.model_triggers(model), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(found.history)
        return
    print_table(
        ("at", "trigger", "what", "run", "status", "why", "by"),
        (_row(record) for record in found.history),
    )


def _row(record: "TriggerRecord") -> tuple[Any, ...]:
    return (
        record.at.isoformat(timespec="seconds"),
        record.trigger,
        record.status if record.cause is None else f"{record.status}: {record.cause}",
        record.run_id,
        record.run_status,
        record.detail or record.reason,
        record.actor,
    )


@sends_command
def set_policy(
    fields: Fields,
    file: PolicyFile = None,
    trainer: Trainer = None,
    parameter: Parameters = None,
    dataset: Datasets = None,
    cron: Cron = None,
    timezone: Timezone = None,
    drift: Drift = None,
    quality: Quality = None,
    rows: Rows = None,
    files: Files = None,
    cooldown: Cooldown = None,
    after: After = None,
    none: Annotated[bool, typer.Option("--none", help="Nothing starts by itself any more.")] = False,
) -> CommandToSend:
    """Change what starts training runs: a file replaces the whole policy, options change what they name.

    With a new model's name it begins the model, without versions.
    """
    options = {
        "trainer": trainer,
        "parameters": parameters_of(parameter),
        "datasets": dataset or None,
        "cron": cron,
        "timezone": timezone,
        "drift": drift,
        "quality": quality,
        "rows": rows,
        "files": files,
        "cooldown": cooldown,
        "after": after,
    }
    any_option = any(value is not None for value in options.values())
    if none + any_option + (file is not None) == 0 or (none and (any_option or file is not None)):
        raise typer.BadParameter("say what starts runs: --file, options such as --cron, or --none alone")
    from_file = None if file is None else policy_of_file(file)

    async def handling(plane: "ControlPlane") -> "CommandResult":
        from hotswap_events.training.triggers import SetTrainingPolicy

        if none or (from_file is not None and not any_option):
            return await plane.send(SetTrainingPolicy(policy=from_file, **fields))
        base = from_file
        if base is None:
            found = await plane.ask(questions.model_triggers(fields["model_name"]))
            known = guarded(found, fields)
            base = None if known is None else known.policy
        return await plane.send(SetTrainingPolicy(policy=changed(base, options), **fields))

    return handling


@sends_command
def fire(
    fields: Fields,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Digest or name of one, besides the policy's; repeat.", show_default=False)
    ] = None,
    override: Annotated[
        bool, typer.Option("--override", help="Past cooldown, budget and freeze; with a --reason.")
    ] = False,
) -> CommandToSend:
    """Start a training run by the model's policy, by hand. The same --command-id never starts two."""
    from datetime import UTC, datetime

    from hotswap_events.training.triggers import FireTrigger

    return FireTrigger(trigger="hand", at=datetime.now(UTC), datasets=tuple(dataset or ()), override=override, **fields)
