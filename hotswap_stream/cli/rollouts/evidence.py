"""`rollout report` and `rollout backtest`: what a rollout's evidence says, to its own policy and to another one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.terminal.drawing import PlotFile, draw
from hotswap_stream.cli.terminal.options import AsJson, ModelArgument, parse_as_of
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_table, refuse
from hotswap_stream.cli.terminal.running import run_by_api_or

if TYPE_CHECKING:
    from datetime import datetime

    from hotswap_events.rollouts.strategy import RolloutPolicy
    from hotswap_stream.application.rollouts.backtest.backtest import BacktestReport, BacktestSide
    from hotswap_stream.application.rollouts.report.arms import RateShown
    from hotswap_stream.application.rollouts.report.report import ExperimentReport
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.settings import Settings

BACKTEST_SECONDS_MAX = 600.0
"""How long an API may read what was recorded."""
RolloutId = Annotated[
    str | None,
    typer.Option(
        "--rollout", help="The rollout, such as r3. Default: the one that goes on, or the last one.", show_default=False
    ),
]
When = Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339.", show_default=False)]


def add_to(group: typer.Typer) -> None:
    """Add both commands to the group of rollouts."""
    group.command("report")(report)
    group.command("backtest")(backtest)


def report(
    model: ModelArgument,
    rollout: RolloutId = None,
    plot: PlotFile = None,
    as_json: AsJson = False,
) -> None:
    """Show how the arms do: counts, success, latency, what feedback told, lift with its interval, and advice."""

    async def main(settings: "Settings") -> Any:
        from hotswap_stream import bootstrap
        from hotswap_stream.application.rollouts.report.history import experiment_report

        async with bootstrap.open_registry(settings) as registry, bootstrap.answer_lookup(settings) as answers:
            history = bootstrap.recorded_history(settings)
            return await experiment_report(registry.fold.streams, model, history, rollout_id=rollout, answers=answers)

    async def of_api(api: "ApiPlane") -> Any:
        from hotswap_stream.application.rollouts.report.report import ExperimentReport
        from hotswap_stream.client.http_calls import model_path

        return await api.get(f"{model_path(model)}/rollout/report", ExperimentReport, {"rollout_id": rollout})

    found = _answered(run_by_api_or(main, of_api, waiting_for="reading what was recorded"), as_json)
    if plot is not None:
        from hotswap_stream.application.rollouts.report.plot import experiment_svg

        draw(experiment_svg(found), plot)
    if as_json:
        print_json(found)
    else:
        _print_experiment(found)
        if plot is not None:
            typer.echo(f"drawn into {plot}")


def backtest(
    model: ModelArgument,
    policy: Annotated[
        Path,
        typer.Option(
            help="A rollout policy as TOML or JSON: the file of a strategy, of which [policy] is read.",
            exists=True,
            dir_okay=False,
        ),
    ],
    rollout: RolloutId = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TIME", help="Rollouts that began then or later (RFC 3339).", show_default=False
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="Use what was recorded until then (RFC 3339).", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what another policy would have decided, when, and at what cost in bad answers."""
    tried = _policy(policy)
    begin, end = (
        None if text is None else _time(text, option) for text, option in ((since, "--from"), (until, "--to"))
    )

    async def main(settings: "Settings") -> Any:
        from hotswap_stream import bootstrap
        from hotswap_stream.application.rollouts.backtest.backtest import backtest_rollouts

        async with bootstrap.open_registry(settings) as registry, bootstrap.answer_lookup(settings) as answers:
            return await backtest_rollouts(
                registry.log,
                bootstrap.recorded_history(settings),
                model,
                tried,
                rollout_id=rollout,
                since=begin,
                until=end,
                answers=answers,
            )

    async def of_api(api: "ApiPlane") -> Any:
        from msgspec import Struct, to_builtins

        from hotswap_stream.application.rollouts.backtest.backtest import BacktestReport
        from hotswap_stream.client.http_calls import model_path

        class Reports(Struct):
            reports: tuple[BacktestReport, ...]

        body = {"policy": to_builtins(tried), "rollout_id": rollout, "since": begin, "until": end}
        path = f"{model_path(model)}/rollout/backtest"
        answer = await api.asked(path, body, Reports, seconds_max=BACKTEST_SECONDS_MAX)
        return answer.reports if isinstance(answer, Reports) else answer

    read = run_by_api_or(main, of_api, waiting_for="reading what was recorded")
    found: tuple[BacktestReport, ...] = _answered(read, as_json)
    if as_json:
        print_json(found)
        return
    for each in found:
        _print_backtest(each)


def _answered(found: Any, as_json: bool) -> Any:
    from hotswap_events.commands import Refusal

    if isinstance(found, Refusal):
        raise refuse(found, as_json=as_json)
    return found


def _time(text: str | None, option: str) -> "datetime | None":
    if text is None:
        return None
    when = parse_as_of(text)
    if isinstance(when, int):
        raise typer.BadParameter(f"{text} is no time; one such as 2026-01-31T12:00:00Z is needed", param_hint=option)
    return when


def _policy(file: Path) -> "RolloutPolicy":
    from hotswap_events.rollouts.strategy import RolloutPolicy
    from hotswap_stream.cli.terminal.documents import converted, read_document
    from hotswap_stream.domain.rollouts.limits import wrong_rollout_policy

    document = read_document(file, {"strategy", "policy", *RolloutPolicy.__struct_fields__})
    policy: RolloutPolicy = converted(document.get("policy", document), RolloutPolicy, where=str(file))
    from hotswap_events.rollouts.strategy import CanaryStrategy

    if wrong := wrong_rollout_policy(policy, CanaryStrategy(weight=0)):
        raise typer.BadParameter(f"{file}: {wrong}", param_hint="--policy")
    return policy


def _print_experiment(found: "ExperimentReport") -> None:
    print_facts(
        {
            "rollout": f"{found.rollout_id} ({found.status})",
            "strategy": found.strategy,
            "started": found.started_at.isoformat(timespec="seconds"),
            "read to": None if found.read_to is None else found.read_to.isoformat(timespec="seconds"),
            "feedback": found.feedback,
            "ended": None if found.decision is None else found.decision.at.isoformat(timespec="seconds"),
            "decision" if found.decision else "advice": found.because
            if found.decision
            else f"{found.advice}: {found.because}",
        }
    )
    print_table(
        (
            "version",
            "arm",
            "share",
            "requests",
            "answered well",
            "compute ms",
            "p95",
            "accuracy",
            "reward",
            "agreement",
        ),
        (
            (
                arm.model_version,
                arm.arm,
                f"{arm.weight / 100:g} %",
                arm.requests,
                _shown(arm.success_rate),
                None if arm.compute_ms_mean is None else f"{arm.compute_ms_mean:.2f}",
                None if arm.compute_ms_p95 is None else f"{arm.compute_ms_p95:.2f}",
                _shown(arm.accuracy),
                None if arm.reward is None else f"{arm.reward.mean:.4f}",
                _shown(arm.agreement),
            )
            for arm in found.arms
        ),
        title="arms",
    )
    told = [(arm, figure) for arm in found.arms for figure in arm.by_feedback.values()]
    if told:
        print_table(
            ("metric", "version", "arm", "mean", "from", "to", "unit", "better", "count"),
            (
                (
                    figure.name,
                    arm.model_version,
                    arm.arm,
                    f"{figure.value:.6g}",
                    None if figure.lower is None else f"{figure.lower:.6g}",
                    None if figure.upper is None else f"{figure.upper:.6g}",
                    figure.unit,
                    figure.better,
                    figure.count,
                )
                for arm, figure in sorted(told, key=lambda each: each[1].name)
            ),
            title="by feedback",
        )
    print_table(
        ("metric", "version", "difference", "from", "to", "relative", "better", "p worse", "p better", "decides"),
        (
            (
                lift.metric,
                lift.model_version,
                f"{lift.difference:+.4f}",
                None if lift.lower is None else f"{lift.lower:+.4f}",
                None if lift.upper is None else f"{lift.upper:+.4f}",
                None if lift.relative is None else f"{lift.relative:+.2%}",
                lift.better,
                f"{lift.p_worse:.2g}",
                f"{lift.p_better:.2g}",
                "yes" if lift.decides else "no",
            )
            for lift in found.lifts
        ),
        title="lift",
    )


def _shown(rate: "RateShown | None") -> str | None:
    return None if rate is None else f"{rate.rate:.4f} [{rate.lower:.3f}, {rate.upper:.3f}]"


def _print_backtest(found: "BacktestReport") -> None:
    print_facts(
        {
            "rollout": found.rollout_id,
            "candidates": found.candidates,
            "baseline": found.baseline_version,
            "records": found.records,
        }
    )
    sides: tuple[tuple[str, BacktestSide], ...] = (("as it was", found.actual), ("by this policy", found.trial))
    print_table(
        ("", "outcome", "after s", "candidate's requests", "failed", "extra", "labels", "wrong", "extra wrong"),
        (
            (
                name,
                side.outcome,
                None if side.seconds is None else f"{side.seconds:.0f}",
                side.cost.requests,
                side.cost.failed,
                f"{side.cost.extra_failed:+.1f}",
                side.cost.labelled,
                side.cost.wrong,
                f"{side.cost.extra_wrong:+.1f}",
            )
            for name, side in sides
        ),
    )
    for name, side in sides:
        print_table(
            ("time", "decided", "reason"),
            ((each.at.isoformat(timespec="seconds"), each.decided, each.reason) for each in side.decisions),
            title=name,
        )
