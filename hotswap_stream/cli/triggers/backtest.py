"""`triggers backtest`: what another training policy would have started, and why."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.terminal.options import AsJson, ModelArgument, parse_as_of
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_table, refuse
from hotswap_stream.cli.terminal.running import run_by_api_or
from hotswap_stream.cli.triggers.policy_options import policy_of_file

if TYPE_CHECKING:
    from hotswap_stream.application.triggers.backtest import TriggerBacktest
    from hotswap_stream.application.triggers.view import TriggerRecord
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.settings import Settings

BACKTEST_SECONDS_MAX = 600.0
"""How long an API may read what was recorded."""
LOOKED_BACK = timedelta(days=1)


def backtest(
    model: ModelArgument,
    policy: Annotated[
        Path | None,
        typer.Option(
            help="A training policy as TOML or JSON. Default: the one that holds.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="RFC 3339. Default: a day before --to.", show_default=False),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="RFC 3339. Default: now.", show_default=False)
    ] = None,
    run_seconds: Annotated[float, typer.Option(help="How long each run is taken to go on.", min=0)] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Show what a training policy would have started on what was recorded, when, and why, beside what was started."""
    tried = None if policy is None else policy_of_file(policy)
    end = _time(until, "--to") or datetime.now(UTC)
    begin = _time(since, "--from") or end - LOOKED_BACK

    async def main(settings: "Settings") -> Any:
        from hotswap_events.commands import Refusal
        from hotswap_stream import bootstrap
        from hotswap_stream.application.triggers.backtest import backtest_triggers

        async with bootstrap.open_registry(settings) as registry, bootstrap.answer_lookup(settings) as answers:
            chosen = tried or registry.state(model).triggers.policy
            if chosen is None:
                return Refusal(
                    code="illegal-step", reason=f"{model!r} has no training policy; say which one to try, --policy FILE"
                )
            return await backtest_triggers(
                registry.log,
                bootstrap.recorded_history(settings),
                model,
                chosen,
                since=begin,
                until=end,
                answers=answers,
                run_seconds=run_seconds,
            )

    from hotswap_events.commands import Refusal

    async def of_api(api: "ApiPlane") -> Any:
        from msgspec import to_builtins

        from hotswap_stream.application.triggers.backtest import TriggerBacktest
        from hotswap_stream.client.http_calls import model_path

        body = {
            "policy": None if tried is None else to_builtins(tried),
            "since": begin,
            "until": end,
            "run_seconds": run_seconds,
        }
        path = f"{model_path(model)}/training-policy/backtest"
        return await api.asked(path, body, TriggerBacktest, seconds_max=BACKTEST_SECONDS_MAX)

    found = run_by_api_or(main, of_api, waiting_for="reading what was recorded")
    if isinstance(found, Refusal):
        raise refuse(found, as_json=as_json)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: "TriggerBacktest") -> None:
    print_facts(
        {
            "model": found.model_name,
            "from": found.since.isoformat(timespec="seconds"),
            "to": found.until.isoformat(timespec="seconds"),
            "records": found.records,
            "a run takes": f"{found.run_seconds:g} s",
            "would have started": sum(record.status == "fired" for record in found.trial),
            "was started": sum(record.status == "fired" for record in found.actual),
        }
    )
    print_table(
        ("policy", "at", "trigger", "what", "why"),
        (
            *(_row("tried", record) for record in found.trial),
            *(_row("as it was", record) for record in found.actual),
        ),
    )


def _row(policy: str, record: "TriggerRecord") -> tuple[Any, ...]:
    what = record.status if record.cause is None else f"{record.status}: {record.cause}"
    return policy, record.at.isoformat(timespec="seconds"), record.trigger, what, record.detail or record.reason


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    found = parse_as_of(text)
    if not isinstance(found, datetime):
        raise typer.BadParameter(f"{text!r} is no time; RFC 3339 is needed", param_hint=option)
    return found
