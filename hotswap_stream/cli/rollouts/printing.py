"""Rollouts on the terminal."""

from typing import TYPE_CHECKING

import typer

from hotswap_stream.cli.terminal.printing import print_facts, print_table

if TYPE_CHECKING:
    from hotswap_events.rollouts.record import RolloutRecord
    from hotswap_stream.application.rollouts.view import RolloutList, RolloutReport, TrafficSplit


def print_report(report: "RolloutReport") -> None:
    """Print what goes on in a model."""
    rollout = report.rollout
    if rollout is None:
        typer.echo(f"no rollout of {report.model_name} goes on")
    else:
        _print_rollout(rollout)
    _print_traffic(report.traffic)
    if report.on_success is not None:
        typer.echo(report.on_success)
    print_facts({"legal": report.legal})


def _print_rollout(rollout: "RolloutRecord") -> None:
    from hotswap_stream.application.descriptions.rollout import describe_step, describe_strategy

    steps = getattr(rollout.strategy, "steps", ())
    at = rollout.step_index
    print_facts(
        {
            "rollout": rollout.rollout_id,
            "status": rollout.status + (f" ({rollout.pause_cause})" if rollout.pause_cause else ""),
            "strategy": describe_strategy(rollout.strategy),
            "step": None if at is None else f"{at} of {len(steps)}",
            "waiting for": None if at is None or at >= len(steps) else describe_step(steps[at]),
            "candidates": rollout.candidates,
            "baseline": rollout.baseline_version,
            "promoted": rollout.promoted_version,
            "since": rollout.phase_started_at.isoformat(timespec="seconds"),
            "started": rollout.started_at.isoformat(timespec="seconds"),
            "salt": rollout.salt,
        }
    )
    if rollout.analyses:
        last = rollout.analyses[-1]
        print_table(
            ("metric", "version", "outcome", "value", "baseline", "lower", "upper", "count"),
            (
                (
                    entry.metric,
                    entry.model_version,
                    entry.outcome,
                    entry.value,
                    entry.baseline_value,
                    entry.lower,
                    entry.upper,
                    entry.count,
                )
                for entry in last.evidence
            ),
            optional=("count", "lower", "upper"),
            title=f"last analysis: {last.outcome}",
        )


def _print_traffic(split: "TrafficSplit") -> None:
    from hotswap_stream.application.descriptions.rollout import percent

    # What only shadows is an arm without a share, too; that it answers 0 % would say it twice.
    answering = [arm for arm in split.arms if arm.weight or arm.model_version not in split.shadows]
    rows = [(arm.model_version, percent(arm.weight), "answers") for arm in answering]
    rows += [(name, percent(split.shadow_share), "shadows") for name in split.shadows]
    print_table(("version", "share", "does"), rows, title="traffic")
    if split.fleet_share or split.fleet_workers:
        part = [f"{percent(split.fleet_share)} of the workers"] if split.fleet_share else []
        typer.echo(f"on {' and '.join([*part, *split.fleet_workers])}: the candidate")


def print_rollouts(found: "RolloutList") -> None:
    """Print rollouts as a table."""
    from hotswap_stream.application.descriptions.rollout import describe_strategy

    print_table(
        ("rollout", "status", "strategy", "candidates", "baseline", "started", "ended"),
        (
            (
                rollout.rollout_id,
                rollout.status,
                describe_strategy(rollout.strategy),
                rollout.candidates,
                rollout.baseline_version,
                f"{rollout.started_at:%Y-%m-%d %H:%M:%S}Z",
                None if rollout.ended_at is None else f"{rollout.ended_at:%Y-%m-%d %H:%M:%S}Z",
            )
            for rollout in found.rollouts
        ),
        optional=("started", "candidates"),
    )
