"""`rollout`: how a new version earns its traffic."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.rollouts import evidence as rollout_evidence
from hotswap_stream.cli.rollouts import status as rollout_status
from hotswap_stream.cli.rollouts.printing import print_report, print_rollouts
from hotswap_stream.cli.rollouts.strategy_files import (
    AbArm,
    Canary,
    Fixed,
    FleetShare,
    FleetWorker,
    Shadow,
    Steps,
    StrategyFile,
    strategy_of,
)
from hotswap_stream.cli.terminal.commanding import (
    CommandToSend,
    Fields,
    command_fields,
    sends_command,
    sends_command_with,
)
from hotswap_stream.cli.terminal.options import (
    Actor,
    AllowSignatureChange,
    AsJson,
    AsOf,
    CommandId,
    ExpectedSequence,
    ModelArgument,
    Reason,
)
from hotswap_stream.cli.terminal.printing import print_json
from hotswap_stream.cli.terminal.queries import ask

if TYPE_CHECKING:
    from hotswap_events.rollouts.strategy import RolloutPolicy

RolloutId = Annotated[
    str | None, typer.Option("--rollout", help="Refuse unless this rollout goes on, such as r3.", show_default=False)
]
Step = Annotated[
    int | None,
    typer.Option("--step", help="Refuse unless it is at this step; the first is 0.", min=0, show_default=False),
]
Candidates = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CANDIDATE]...", help="Versions to try; more than one only for shadows."),
]
Forced = Annotated[bool, typer.Option("--force", help="Candidates need not have passed validation.")]
BakeSeconds = Annotated[
    int | None,
    typer.Option(
        help="Seconds after the promotion in which harm leads back to the former version.", min=0, show_default=False
    ),
]
AutoPromote = Annotated[
    bool | None,
    typer.Option(
        "--auto-promote/--no-auto-promote",
        help="Promote at success without a person, if a metric looks at the answers.",
    ),
]
OnOperational = Annotated[
    bool | None,
    typer.Option(
        "--promote-on-operational/--no-promote-on-operational",
        help="Promote at success although no metric would notice if all answers were wrong.",
    ),
]
AfterShadow = Annotated[
    bool | None,
    typer.Option("--promote-after-shadow/--no-promote-after-shadow", help="Promote at the success of a shadow."),
]
AutoArchive = Annotated[
    bool | None, typer.Option("--auto-archive/--no-auto-archive", help="Archive the candidates of an aborted rollout.")
]


def rollout_fields(
    model: ModelArgument,
    actor: Actor,
    rollout: RolloutId = None,
    step: Step = None,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
) -> Fields:
    """Return the fields of all commands, and which rollout and step are meant."""
    fields = command_fields(model, actor, reason, expected_sequence, command_id)
    return {**fields, "rollout_id": rollout, "step_index": step}


on_rollout = sends_command_with(rollout_fields)


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Rollouts: how a new version earns its traffic.", no_args_is_help=True)
    for command in (start, show, advance, pause, resume, promote, abort):
        group.command(command.__name__)(command)
    group.command("set-strategy")(set_strategy)
    group.command("list")(list_all)
    rollout_status.add_to(group)
    rollout_evidence.add_to(group)
    app.add_typer(group, name="rollout")


@sends_command
def start(
    fields: Fields,
    candidates: Candidates = None,
    file: StrategyFile = None,
    canary: Canary = None,
    shadow: Shadow = None,
    ab: AbArm = None,
    fixed: Fixed = None,
    fleet: FleetShare = None,
    fleet_worker: FleetWorker = None,
    steps: Steps = None,
    salt: Annotated[
        str | None, typer.Option(help="The same salt chooses the same users again.", show_default=False)
    ] = None,
    bake_seconds: BakeSeconds = None,
    auto_promote: AutoPromote = None,
    auto_archive: AutoArchive = None,
    promote_on_operational: OnOperational = None,
    promote_after_shadow: AfterShadow = None,
    forced: Forced = False,
    allow_signature_change: AllowSignatureChange = False,
) -> CommandToSend:
    """Try versions against the one in production."""
    from hotswap_events.rollouts.commands import StartRollout
    from hotswap_events.rollouts.strategy import DEFAULT_ROLLOUT_POLICY

    strategy, policy = strategy_of(
        file=file,
        canary=canary,
        shadow=shadow,
        ab=ab,
        fixed=fixed,
        fleet=fleet,
        fleet_worker=fleet_worker,
        steps=steps,
    )
    return StartRollout(
        strategy=strategy,
        candidates=tuple(candidates or ()),
        policy=_with(
            policy or DEFAULT_ROLLOUT_POLICY,
            bake_seconds=bake_seconds,
            auto_promote=auto_promote,
            auto_archive=auto_archive,
            promote_on_operational=promote_on_operational,
            promote_after_shadow=promote_after_shadow,
        ),
        salt=salt,
        forced=forced,
        allow_signature_change=allow_signature_change,
        **fields,
    )


@on_rollout
def set_strategy(
    fields: Fields,
    candidates: Candidates = None,
    file: StrategyFile = None,
    canary: Canary = None,
    shadow: Shadow = None,
    ab: AbArm = None,
    fixed: Fixed = None,
    fleet: FleetShare = None,
    fleet_worker: FleetWorker = None,
    steps: Steps = None,
    forced: Forced = False,
    allow_signature_change: AllowSignatureChange = False,
) -> CommandToSend:
    """Continue the rollout by another strategy, or with another share. Users who were in stay in."""
    from hotswap_events.rollouts.commands import ChangeStrategy

    strategy, policy = strategy_of(
        file=file,
        canary=canary,
        shadow=shadow,
        ab=ab,
        fixed=fixed,
        fleet=fleet,
        fleet_worker=fleet_worker,
        steps=steps,
    )
    return ChangeStrategy(
        strategy=strategy,
        candidates=tuple(candidates or ()),
        policy=policy,
        forced=forced,
        allow_signature_change=allow_signature_change,
        **fields,
    )


@on_rollout
def advance(fields: Fields) -> CommandToSend:
    """Go to the next step of a progressive rollout; after the last one the candidate is promoted."""
    from hotswap_events.rollouts.commands import AdvanceRollout

    return AdvanceRollout(**fields)


@on_rollout
def pause(fields: Fields) -> CommandToSend:
    """Let the rollout stand still, with the traffic split as it is."""
    from hotswap_events.rollouts.commands import PauseRollout

    return PauseRollout(**fields)


@on_rollout
def resume(fields: Fields) -> CommandToSend:
    """Let a paused rollout go on; it leaves a step that pauses until somebody resumes."""
    from hotswap_events.rollouts.commands import ResumeRollout

    return ResumeRollout(**fields)


@on_rollout
def promote(
    fields: Fields,
    version: Annotated[
        str | None,
        typer.Argument(metavar="[CANDIDATE]", help="Which candidate, where there are several.", show_default=False),
    ] = None,
    forced: Annotated[bool, typer.Option("--force", help="Promote it even if it has not passed validation.")] = False,
) -> CommandToSend:
    """Put the candidate into production and end the rollout; while it bakes, keep the version."""
    from hotswap_events.rollouts.commands import PromoteRollout

    return PromoteRollout(model_version=version, forced=forced, **fields)


@on_rollout
def abort(
    fields: Fields,
    archive: Annotated[
        bool | None,
        typer.Option("--archive/--no-archive", help="Archive the candidates, or not. Default: what the policy says."),
    ] = None,
) -> CommandToSend:
    """Give all traffic back to the baseline; while it bakes, roll back to it."""
    from hotswap_events.rollouts.commands import AbortRollout

    return AbortRollout(archive=archive, **fields)


def show(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show what goes on: the rollout with its evidence, the split of the traffic, and the possible commands."""
    report = ask(questions.rollout(model), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(report)
    else:
        print_report(report)


def list_all(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """List the rollout that goes on and the last 20 that ended, newest first."""
    found = ask(questions.rollouts(model), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(found, listed="rollouts")
    else:
        print_rollouts(found)


def _with(policy: "RolloutPolicy", **asked: Any) -> "RolloutPolicy":
    """Return the policy with what the options change."""
    import msgspec

    return msgspec.structs.replace(policy, **{name: value for name, value in asked.items() if value is not None})
