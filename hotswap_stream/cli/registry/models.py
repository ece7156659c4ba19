"""`models`: what is registered and what is in production."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.registry.versions import print_versions
from hotswap_stream.cli.terminal.options import AsJson, AsOf, ModelArgument, Stage
from hotswap_stream.cli.terminal.printing import NO_MODELS, print_facts, print_json, print_table
from hotswap_stream.cli.terminal.queries import ask
from hotswap_stream.cli.terminal.running import run_on_plane

if TYPE_CHECKING:
    from hotswap_events.registry.state import RegistryState
    from hotswap_stream.application.registry.queries import ModelSummary


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Models and what is in production.", no_args_is_help=False)
    group.callback(invoke_without_command=True)(models)
    group.command("show")(show)
    app.add_typer(group, name="models")


def models(context: typer.Context, stage: Stage = None, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """List the models. With --stage, only those that have a version in that stage."""
    if context.invoked_subcommand is not None:
        return

    every = ask(questions.models(), as_of=as_of, as_json=as_json)
    found = [model for model in every if stage is None or stage in model.versions_by_stage]
    if as_json:
        print_json(found)
    else:
        print_models(found)


def print_models(found: "Iterable[ModelSummary]") -> None:
    """Print models as a table."""
    print_table(
        ("model", "active", "answers", "former", "alerts", "versions", "stages", "sequence", "offset"),
        (
            (
                model.model_name,
                model.active_version,
                "(disabled)" if model.disabled else model.answered_by,
                model.former_version,
                model.alerts_raised or None,
                model.versions_total,
                model.versions_by_stage,
                model.sequence,
                model.offset,
            )
            for model in found
        ),
        optional=("offset", "sequence", "stages", "former", "versions"),
        empty=NO_MODELS,
    )


def show(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show one model: what is in production, where a rollback would go, its newest versions, what workers lack."""
    state = ask(questions.model(model), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(state)
    else:
        print_model(state)
        if as_of is None:
            _print_lacked(model)


def _print_lacked(model_name: str) -> None:
    """Print which code of the user's own its versions need and workers lack, as the workers said last."""
    from hotswap_events.commands import Refusal
    from hotswap_stream.application.inference.lacking import lacked_plugins, lacked_text

    fleets = run_on_plane(lambda plane: plane.fleets(model_name, listens=False))
    if isinstance(fleets, Refusal):
        return
    for lacked in lacked_plugins(worker for fleet in fleets for worker in fleet.workers if worker.live):
        typer.secho(lacked_text(lacked), fg="yellow")


def _put_there_by(state: "RegistryState") -> str | None:
    """Return who put the active version into production, and who let a rollout's analysis do so."""
    for version in state.versions:
        if version.model_version == state.active_version and version.deployed_by is not None:
            approved = f", approved by {version.approved_by}" if version.approved_by else ""
            return f"{version.deployed_by}{approved}"
    return None


def print_model(state: "RegistryState") -> None:
    """Print one model: facts, then versions."""
    print_facts(
        {
            "model": state.model_name,
            "active version": state.active_version or "none",
            "in production since offset": state.active_offset,
            "put there by": _put_there_by(state),
            "disabled": (state.disabled_reason or "yes") if state.disabled else None,
            "answered by": None if state.answered_by == state.active_version else state.answered_by or "nothing",
            "circuits": {circuit.model_version: circuit.position for circuit in state.circuits},
            "alerts": tuple(f"{alert.rule.name} ({alert.rule.severity})" for alert in state.alerts),
            "a rollback goes to": state.former_version or "nowhere",
            "rollout": None if state.rollout is None else f"{state.rollout.rollout_id}, {state.rollout.status}",
            "tags": state.tags,
            "aliases": state.aliases,
            "versions": state.versions_total,
            "sequence": state.sequence,
            "offset": state.offset,
            "changed": state.updated_at.isoformat(timespec="seconds"),
            "head digest": state.head_digest,
            "unknown event": state.unknown_event_type,
        }
    )
    print_versions(state.versions)
