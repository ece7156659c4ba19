"""Doing a training run again, from its order in the log, and saying whether the same came of it."""

from typing import TYPE_CHECKING, Any

import typer
from msgspec import Struct

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.terminal.exit_codes import DONE, FAILED
from hotswap_stream.cli.terminal.printing import print_json, print_result, refuse
from hotswap_stream.cli.terminal.running import fail
from hotswap_stream.cli.training.following import followed
from hotswap_stream.cli.training.runs import requested

if TYPE_CHECKING:
    from hotswap_stream.application.training.view import TrainingRun
    from hotswap_stream.cli.planes.port import ControlPlane


class Repetition(Struct, frozen=True, kw_only=True):
    """A run that was done again."""

    run_id: str
    repeats: str
    """The run that it repeats."""
    model_version: str
    repeated_version: str
    """What came of that one."""
    artifact_digest: str
    repeated_digest: str
    equal: bool
    """Whether both are the same bytes."""


async def repeated(
    plane: "ControlPlane", fields: dict[str, Any], run_id: str, *, timeout: float | None = None, as_json: bool = False
) -> int:
    """Ask for the same again, wait for its end, and compare the artifacts; return the exit code: 1 if they differ.

    Args:
        plane: Where the log is.
        fields: Those common to all commands.
        run_id: The run to do again.
        timeout: How long to wait, in seconds; None: until it ends.
        as_json: How to print.
    """
    model = fields["model_name"]
    before = await _run(plane, model, run_id, as_json=as_json)
    if before.trainer is None:
        fail(f"{run_id} was started where it ran: its order is not in the log, so that it cannot be done again from it")
    if before.model_version is None:
        fail(f"{run_id} gave no version ({before.status}): there is nothing to compare with")
    command = requested(
        fields,
        before.trainer,
        parameters=before.parameters,
        datasets=before.datasets,
        after="nothing",
        run_id=None,
        retries=0,
        seconds_max=before.seconds_max,
    )
    result = await plane.send(command)
    if result.refusal is not None:
        print_result(result, as_json=as_json)
    if not as_json:
        typer.secho(f"{command.run_id} is asked for", err=True)
    code = await followed(plane, model, command.run_id, timeout=timeout, as_json=as_json, tells=not as_json)
    again = await _run(plane, model, command.run_id, as_json=as_json)
    if again.model_version is None:
        return code if code != DONE else FAILED
    digests = await _digests(plane, model)
    one, other = digests[again.model_version], digests[before.model_version]
    _tell(
        Repetition(
            run_id=command.run_id,
            repeats=run_id,
            model_version=again.model_version,
            repeated_version=before.model_version,
            artifact_digest=one,
            repeated_digest=other,
            equal=one == other,
        ),
        as_json=as_json,
    )
    return DONE if one == other else FAILED


def _tell(found: Repetition, *, as_json: bool) -> None:
    if as_json:
        print_json(found, named_by=("run_id",))
    elif found.equal:
        typer.secho(
            f"{found.model_version} is {found.repeated_version}, bit for bit: {found.artifact_digest}", fg="green"
        )
    else:
        typer.secho(
            f"{found.model_version} ({found.artifact_digest[:19]}…) differs from {found.repeated_version} "
            f"({found.repeated_digest[:19]}…)",
            fg="red",
        )


async def _run(plane: "ControlPlane", model: str, run_id: str, *, as_json: bool) -> "TrainingRun":
    from hotswap_events.commands import Refusal

    found = await plane.ask(questions.run(model, run_id))
    if isinstance(found, Refusal):
        raise refuse(found, as_json=as_json)
    return found


async def _digests(plane: "ControlPlane", model: str) -> dict[str, str]:
    from hotswap_events.commands import Refusal

    found = await plane.ask(questions.versions(model))
    if isinstance(found, Refusal):
        raise refuse(found)
    return {each.model_version: each.artifact.digest for each in found}
