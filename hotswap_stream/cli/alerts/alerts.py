"""`alerts`, `alert-policy`: what is watched, and what was above its threshold."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hotswap_stream.cli.alerts.files import (
    PolicyFile,
    RemovedRules,
    RuleTexts,
    alert_policy_of,
    changed_policy,
    parse_rule,
)
from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.terminal.commanding import CommandToSend, Fields, guarded, sends_command
from hotswap_stream.cli.terminal.options import AsJson, AsOf, ModelArgument
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_table
from hotswap_stream.cli.terminal.queries import ask

if TYPE_CHECKING:
    from hotswap_events.commands import CommandResult
    from hotswap_stream.application.alerts.view import AlertList, AlertView, ModelAlerts
    from hotswap_stream.cli.planes.port import ControlPlane


DIGITS_MAX = 8

Rule = Annotated[str, typer.Argument(metavar="RULE", help="Name of the alert's rule.")]
RaisedSequence = Annotated[
    int | None, typer.Option(help="Refuse unless it was raised there.", min=1, show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Add the groups."""
    alerts = typer.Typer(help="Alerts: what is above its threshold now, and what was.", no_args_is_help=True)
    alerts.command("list")(list_all)
    alerts.command("acknowledge")(acknowledge)
    alerts.command("snooze")(snooze)
    alerts.command("clear")(clear)
    app.add_typer(alerts, name="alerts")
    policy = typer.Typer(help="What a model is watched by.", no_args_is_help=True)
    policy.command("show")(show_policy)
    policy.command("set")(set_policy)
    app.add_typer(policy, name="alert-policy")


def list_all(
    model: Annotated[str | None, typer.Option(help="Only this model's.", show_default=False)] = None,
    severity: Annotated[
        Literal["warning", "critical"] | None, typer.Option(help="Only of this severity.", show_default=False)
    ] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Also the last 20 of each model that are over.")] = False,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """List the raised alerts, newest first; with --ended, also those that are over, after them."""
    found: AlertList | ModelAlerts
    if model is None:
        found = ask(questions.alerts(severity, ended=ended), as_of=as_of, as_json=as_json)
    else:
        found = ask(questions.model_alerts(model, severity, ended=ended), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(found, listed="alerts", named_by=("rule.name",))
    elif not found.alerts:
        typer.echo("no alert is raised" + (", and none ended lately" if ended else ""))
    else:
        _print_alerts(found.alerts, ended=ended)
    for each in () if as_json else found.snoozes:
        snoozed = each.snoozed
        why = f": {snoozed.reason}" if snoozed.reason else ""
        until = "" if snoozed.until is None else f" until {snoozed.until:%Y-%m-%d %H:%M:%SZ}"
        typer.echo(f"{each.rule_name} of {each.model_name} is snoozed by {snoozed.actor}{until}{why}")


@sends_command
def clear(
    fields: Fields,
    rule: Rule,
    raised_sequence: RaisedSequence = None,
    keep_away: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Do not raise it again before, though its cause holds.", min=0, max=3_600),
    ] = 300.0,
) -> CommandToSend:
    """End an alert by hand. Where its cause holds, it is raised again later: acknowledge or snooze such an alert."""
    from hotswap_events.alerts.commands import ClearAlert

    return ClearAlert(rule_name=rule, raised_sequence=raised_sequence, keep_away_seconds=keep_away, **fields)


@sends_command
def acknowledge(fields: Fields, rule: Rule, raised_sequence: RaisedSequence = None) -> CommandToSend:
    """Say that you know of a raised alert and care for it. It stays raised, with your name and --reason."""
    from hotswap_events.alerts.commands import AcknowledgeAlert

    return AcknowledgeAlert(rule_name=rule, raised_sequence=raised_sequence, **fields)


@sends_command
def snooze(
    fields: Fields,
    rule: Rule,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long: 30m, 2h, 1d.", show_default=False)
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="End the snooze that is on, instead.")] = False,
) -> CommandToSend:
    """Have webhooks told nothing of a rule's alerts for a while. They are raised, cleared and listed as ever."""
    from hotswap_events.alerts.commands import EndAlertSnooze, SnoozeAlert

    if (lasting is None) != end:
        raise typer.BadParameter("say for how long, --for 2h, or --end")
    if lasting is None:
        return EndAlertSnooze(rule_name=rule, **fields)
    return SnoozeAlert(rule_name=rule, seconds=_seconds(lasting), **fields)


def _seconds(text: str) -> float:
    """Return the seconds of `90s`, `30m`, `2h` or `1d`. BadParameter: it is none of these, or outside of the limits."""
    from hotswap_events.alerts.care import SNOOZE_SECONDS_MAX, SNOOZE_SECONDS_MIN

    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isascii() or not number.isdecimal() or len(number) > DIGITS_MAX:
        raise typer.BadParameter(f"--for {text!r}: a number and a unit are needed, such as 90s, 30m, 2h or 1d")
    seconds = float(int(number) * units[unit])
    if not SNOOZE_SECONDS_MIN <= seconds <= SNOOZE_SECONDS_MAX:
        raise typer.BadParameter(f"--for {text}: 60s to 30d are allowed")
    return seconds


def show_policy(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show the rules that hold: the model's own, or the default ones."""
    report = ask(questions.alert_policy(model), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(report)
        return
    from hotswap_stream.application.alerts.window import TOPIC_METRICS
    from hotswap_stream.application.descriptions.alert import describe_metric, describe_threshold

    print_facts({"model": report.model_name, "set": "no, the default holds" if report.is_default else "yes"})
    print_table(
        ("rule", "severity", "metric", "raised when", "window s", "at least", "for s", "clear s"),
        (
            (
                rule.name,
                rule.severity,
                describe_metric(rule),
                describe_threshold(rule),
                None if rule.metric in TOPIC_METRICS else rule.window_seconds,
                None if rule.metric in TOPIC_METRICS else rule.answers_min,
                rule.for_seconds,
                rule.clear_seconds,
            )
            for rule in report.policy.rules
        ),
    )


@sends_command
def set_policy(
    fields: Fields,
    file: PolicyFile = None,
    rule: RuleTexts = None,
    remove: RemovedRules = None,
    default: Annotated[bool, typer.Option("--default", help="Start from the default rules.")] = False,
) -> CommandToSend:
    """Change what is watched: a file replaces the whole policy, --rule changes one rule.

    --rule adds to the policy that holds, or changes it: a rule of the same name keeps what is not named. Alerts whose
    rule went or changed end with it.
    """
    if file is None and not rule and not remove and not default:
        raise typer.BadParameter("say what to watch: --file, --rule 'error-rate>5%', --remove RULE, or --default")
    if file is not None and default:
        raise typer.BadParameter("--file and --default exclude each other")
    changes = [parse_rule(text) for text in rule or ()]
    from_file = None if file is None else alert_policy_of(file)

    async def handling(plane: "ControlPlane") -> "CommandResult":
        from hotswap_events.alerts.commands import SetAlertPolicy
        from hotswap_stream.domain.state.alerts import DEFAULT_ALERT_POLICY

        base = DEFAULT_ALERT_POLICY if default else from_file
        if base is None:
            found = await plane.ask(questions.alert_policy(fields["model_name"]))
            known = guarded(found, fields)
            base = DEFAULT_ALERT_POLICY if known is None else known.policy
        return await plane.send(SetAlertPolicy(policy=changed_policy(base, changes, remove or ()), **fields))

    return handling


def _print_alerts(alerts: "tuple[AlertView, ...]", *, ended: bool) -> None:
    columns = ["model", "rule", "severity", "raised", "what", "version", "known to"]
    print_table(
        (*columns, "ended", "because") if ended else columns,
        (
            (
                alert.model_name,
                alert.rule.name,
                alert.rule.severity,
                alert.raised_at.isoformat(timespec="seconds"),
                alert.summary,
                alert.model_version,
                None if alert.acknowledged is None else alert.acknowledged.actor,
                *(
                    (
                        None if alert.ended_at is None else alert.ended_at.isoformat(timespec="seconds"),
                        alert.ended_because,
                    )
                    if ended
                    else ()
                ),
            )
            for alert in alerts
        ),
    )
