"""`rollout status`: where a rollout stands, and, with `--watch`, how it ends."""

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.rollouts.evidence import RolloutId
from hotswap_stream.cli.terminal.exit_codes import DONE, NOT_PROMOTED, TIMED_OUT, WAITS_FOR_PERSON
from hotswap_stream.cli.terminal.options import AsJson, ModelArgument
from hotswap_stream.cli.terminal.printing import print_json, print_json_line, refuse
from hotswap_stream.cli.terminal.running import run_on_plane, try_next

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hotswap_events.commands import Refusal
    from hotswap_events.rollouts.evidence import RolloutEvidence
    from hotswap_events.rollouts.record import RolloutRecord
    from hotswap_stream.application.rollouts.view import RolloutList, RolloutReport
    from hotswap_stream.cli.planes.port import ControlPlane

LOOK_SECONDS = 0.5
Standing = Literal["moves", "waits", "promoted", "not-promoted"]


@dataclass(frozen=True, kw_only=True)
class RolloutStanding:
    """Where one rollout stands."""

    model_name: str
    rollout_id: str
    standing: Standing
    status: str
    said: str
    """In a few words."""
    legal: tuple[str, ...] = ()


def add_to(group: typer.Typer) -> None:
    """Add the command to the group of rollouts."""
    group.command("status")(status)


def status(
    model: ModelArgument,
    rollout: RolloutId = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on until it is over, or waits for a person; a line per change.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds of watching, at most.", min=0, show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say where a rollout stands. With --watch the exit code says how it ended.

    0: promoted, and kept. 5: it ended without that. 6: it goes on only when a person says so. 124: --timeout is over.
    """
    if timeout is not None and not watch:
        raise typer.BadParameter("only --watch takes time", param_hint="--timeout")

    async def watched(plane: "ControlPlane") -> int:
        from hotswap_events.commands import Refusal

        deadline_s = None if timeout is None else time.monotonic() + timeout
        told: RolloutStanding | None = None
        while True:
            found = await _standing(plane, model, rollout if told is None else told.rollout_id)
            if isinstance(found, Refusal):
                raise refuse(found, as_json=as_json)
            if found != told:
                _print(found, as_json=as_json, watched=watch)
                if not as_json and found.standing in ("moves", "waits"):
                    for line in evidence_lines(await plane.evidence(model, found.rollout_id)):
                        typer.echo(line)
            told = found
            if not watch or found.standing != "moves":
                return _code(found) if watch else DONE
            left_s = LOOK_SECONDS if deadline_s is None else deadline_s - time.monotonic()
            if left_s <= 0:
                typer.secho(f"{timeout:g} s are over; it goes on", err=True, fg="yellow")
                return TIMED_OUT
            await asyncio.sleep(min(LOOK_SECONDS, left_s))

    code = run_on_plane(watched, waiting_for=None)
    if code != DONE:
        raise typer.Exit(code)


async def _standing(plane: "ControlPlane", model: str, rollout_id: str | None) -> "RolloutStanding | Refusal":
    from hotswap_events.commands import Refusal

    found, report = await plane.ask(questions.rollouts(model)), await plane.ask(questions.rollout(model))
    if isinstance(found, Refusal):
        return found
    if isinstance(report, Refusal):
        return report
    return standing_of(found, report, rollout_id)


def standing_of(found: "RolloutList", report: "RolloutReport", rollout_id: str | None) -> "RolloutStanding | Refusal":
    """Return where a rollout stands.

    Args:
        found: The rollouts of the model, newest first.
        report: What goes on in it.
        rollout_id: The rollout; None: the one that goes on, or the last one.
    """
    from hotswap_events.commands import Refusal

    chosen = next((each for each in found.rollouts if rollout_id in (None, each.rollout_id)), None)
    if chosen is None:
        names = tuple(each.rollout_id for each in found.rollouts)
        reason = f"{found.model_name!r} has no rollout" + ("" if rollout_id is None else f" {rollout_id!r}")
        return Refusal(code="unknown-rollout", reason=reason, legal=names)
    goes_on = chosen.ended_at is None
    legal = report.legal if goes_on else ()
    standing: Standing
    if not goes_on:
        standing = "promoted" if chosen.status == "promoted" else "not-promoted"
    else:
        standing = "waits" if chosen.status == "paused" or "resume" in legal else "moves"
    return RolloutStanding(
        model_name=found.model_name,
        rollout_id=chosen.rollout_id,
        standing=standing,
        status=chosen.status,
        said=_said(chosen),
        legal=legal,
    )


def _said(rollout: "RolloutRecord") -> str:
    from hotswap_stream.application.descriptions.rollout import describe_step, percent

    arms = ", ".join(f"{arm.model_version} {percent(arm.weight)}" for arm in rollout.arms)
    steps, at = getattr(rollout.strategy, "steps", ()), rollout.step_index
    step = "" if at is None or at >= len(steps) else f", step {at + 1} of {len(steps)}: {describe_step(steps[at])}"
    cause = f" ({rollout.pause_cause})" if rollout.pause_cause else ""
    if rollout.ended_at is not None:
        kept = rollout.promoted_version or rollout.baseline_version
        return f"{rollout.status} at {rollout.ended_at:%H:%M:%S}Z: {kept} serves"
    return f"{rollout.status}{cause}: {arms}{step}"


def evidence_lines(shown: "Iterable[RolloutEvidence]") -> list[str]:
    """Return what each metric shows, in a line each: those that hurt first."""
    order = ("harmful", "undecided", "no-data", "passed")
    return [_evidence_line(each) for each in sorted(shown, key=lambda each: order.index(each.verdict))]


def _evidence_line(each: "RolloutEvidence") -> str:
    told = f"  {each.metric} of {each.model_version} {each.verdict.replace('-', ' ')}"
    if each.estimate is not None:
        against = f" against {each.baseline_version}" if each.compared_with == "baseline" else ""
        told += f": {each.estimate:+.4g}{against}"
    if each.lower is not None and each.upper is not None:
        told += f" [{each.lower:+.4g}, {each.upper:+.4g}]"
    if each.limit is not None:
        told += f", passes {'below' if each.lower_is_better else 'above'} {each.limit:+.4g}"
    return f"{told}; {each.answers:,} answers, {each.budget_used:.0%} of the budget"


def _print(found: RolloutStanding, *, as_json: bool, watched: bool) -> None:
    if as_json:
        (print_json_line if watched else print_json)(found)
        return
    colour = {"moves": None, "waits": "yellow", "promoted": "green", "not-promoted": "red"}[found.standing]
    typer.secho(f"{found.model_name} {found.rollout_id}: {found.said}", fg=colour)
    if found.standing == "waits":
        step = next((each for each in ("resume", "promote", "abort") if each in found.legal), "show")
        try_next(f"hotswap-stream rollout {step} {found.model_name}")


def _code(found: RolloutStanding) -> int:
    return {"promoted": DONE, "not-promoted": NOT_PROMOTED, "waits": WAITS_FOR_PERSON, "moves": DONE}[found.standing]
