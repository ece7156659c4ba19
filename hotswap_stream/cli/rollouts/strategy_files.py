"""The strategy and the policy of a rollout, from options and from a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.terminal.documents import converted, read_document

if TYPE_CHECKING:
    from hotswap_events.rollouts.strategy import RolloutPolicy, Strategy

StrategyFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        help="Strategy and policy as TOML or JSON: tables [strategy] and [policy].",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Canary = Annotated[
    str | None,
    typer.Option(
        "--canary", metavar="SHARE", help="Canary for a share of the users: 5% or 500 (of 10,000).", show_default=False
    ),
]
Shadow = Annotated[
    str | None,
    typer.Option("--shadow", metavar="SHARE", help="Shadow a share of the requests: 100%.", show_default=False),
]
AbArm = Annotated[
    list[str] | None, typer.Option("--ab", metavar="VERSION=SHARE", help="An arm of an A/B test; repeat for more.")
]
Fixed = Annotated[
    str | None,
    typer.Option(
        "--fixed", metavar="VERSION", help="Everybody gets this version, without a promotion.", show_default=False
    ),
]
FleetShare = Annotated[
    str | None,
    typer.Option("--fleet", metavar="SHARE", help="A share of the workers, by their names.", show_default=False),
]
FleetWorker = Annotated[
    list[str] | None, typer.Option("--fleet-worker", metavar="WORKER", help="A worker by name; repeat for more.")
]
Steps = Annotated[
    str | None,
    typer.Option(
        "--steps",
        metavar="STEPS",
        help="Progressive, such as '5%,analysis,25%,pause:60,100%,pause'; pause and analysis take seconds.",
        show_default=False,
    ),
]


def parse_weight(text: str) -> int:
    """Return `5%` or `500` as ten-thousandths. typer.BadParameter for anything else."""
    number = text.strip().removesuffix("%").strip()
    try:
        weight = float(number) * 100 if text.strip().endswith("%") else int(number)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a share: 5% or 500 (of 10,000)") from None
    if not 0 <= weight <= 10_000 or weight != round(weight):
        raise typer.BadParameter(f"{text!r} is not a share: 0% to 100% in steps of 0.01%, or 0 to 10000")
    return round(weight)


def parse_steps(text: str) -> list[dict[str, Any]]:
    """Return `5%,analysis,pause:60` as steps. typer.BadParameter for a word that is none."""
    steps: list[dict[str, Any]] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, _, seconds = word.partition(":")
        if name not in ("pause", "analysis"):
            steps.append({"step": "set_weight", "weight": parse_weight(word)})
            continue
        step: dict[str, Any] = {"step": name}
        if seconds:
            try:
                step["duration_seconds"] = int(seconds)
            except ValueError:
                raise typer.BadParameter(f"{word!r}: whole seconds are needed, as in {name}:60") from None
        steps.append(step)
    return steps


def strategy_of(
    *,
    file: Path | None = None,
    canary: str | None = None,
    shadow: str | None = None,
    ab: list[str] | None = None,
    fixed: str | None = None,
    fleet: str | None = None,
    fleet_worker: list[str] | None = None,
    steps: str | None = None,
) -> "tuple[Strategy, RolloutPolicy | None]":
    """Return the one strategy that the options name, and the file's policy if it has one.

    Raises:
        typer.BadParameter: There is none or more than one, or one does not fit.
    """
    from hotswap_events.rollouts.strategy import RolloutPolicy, Strategy

    given: list[dict[str, Any]] = []
    if canary is not None:
        given.append({"kind": "canary", "weight": parse_weight(canary)})
    if shadow is not None:
        given.append({"kind": "shadow", "sample_share": parse_weight(shadow)})
    if ab:
        given.append({"kind": "ab", "arms": [_arm(each) for each in ab]})
    if fixed is not None:
        given.append({"kind": "fixed", "model_version": fixed})
    if fleet is not None or fleet_worker:
        given.append({"kind": "fleet", "share": parse_weight(fleet or "0"), "workers": list(fleet_worker or ())})
    if steps is not None:
        given.append({"kind": "progressive", "steps": parse_steps(steps)})
    policy: RolloutPolicy | None = None
    if file is not None:
        document = read_document(file, {"strategy", "policy"})
        if "strategy" in document:
            given.append(document["strategy"])
        if "policy" in document:
            policy = converted(document["policy"], RolloutPolicy, where=f"{file}: policy")
    if len(given) != 1:
        raise typer.BadParameter(
            "name one strategy: --canary, --shadow, --ab, --fixed, --fleet, --steps, or --file with [strategy]"
            + (f"; {len(given)} were given" if given else "")
        )
    strategy: Strategy = converted(given[0], Strategy, where=str(file) if file else "strategy")
    return strategy, policy


def _arm(text: str) -> dict[str, Any]:
    version, separator, share = text.partition("=")
    if not separator or not version:
        raise typer.BadParameter(f"{text!r} is not VERSION=SHARE", param_hint="--ab")
    return {"model_version": version, "weight": parse_weight(share)}
