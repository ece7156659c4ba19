"""`disable`, `enable`, `circuit`, `serving-policy`: what stands between the active version and its callers."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.terminal.commanding import CommandToSend, Fields, guarded, sends_command
from hotswap_stream.cli.terminal.options import AsJson, AsOf, ModelArgument
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_table
from hotswap_stream.cli.terminal.queries import ask

if TYPE_CHECKING:
    from hotswap_events.commands import AnyCommand, CommandResult
    from hotswap_stream.application.serving.view import ServingView
    from hotswap_stream.cli.planes.port import ControlPlane

CircuitVersion = Annotated[
    str | None, typer.Argument(metavar="[VERSION]", help="The version. Default: the active one.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Add the commands and groups."""
    app.command("disable")(disable)
    app.command("enable")(enable)
    circuit = typer.Typer(
        help="Circuits: stop a failing version from answering, and let it answer again.", no_args_is_help=True
    )
    circuit.command("show")(show)
    circuit.command("open")(open_circuit)
    circuit.command("probe")(probe)
    circuit.command("reset")(reset)
    app.add_typer(circuit, name="circuit")
    policy = typer.Typer(
        help="When circuits open and close, and what answers while they are open.", no_args_is_help=True
    )
    policy.command("show")(show_policy)
    policy.command("set")(set_policy)
    app.add_typer(policy, name="serving-policy")


@sends_command
def disable(fields: Fields) -> CommandToSend:
    """Switch a model off: every request gets an error answer, at once and everywhere."""
    from hotswap_events.serving.commands import DisableModel

    return DisableModel(**fields)


@sends_command
def enable(fields: Fields) -> CommandToSend:
    """Switch a model on again."""
    from hotswap_events.serving.commands import EnableModel

    return EnableModel(**fields)


def show(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show which version answers and why, and the circuits."""
    view = _view(model, as_of=as_of, as_json=as_json)
    if as_json:
        print_json(view)
        return
    print_facts(
        {
            "model": view.model_name,
            "active version": view.active_version or "none",
            "answered by": view.answered_by or f"nothing ({view.refused_because})",
            "stands in for": view.fallback_for,
            "probed": view.probed,
            "chosen at offset": view.route_offset,
            "fallback": view.fallback_version or "none",
            "disabled": (view.disabled_reason or "yes") if view.disabled else None,
        }
    )
    print_table(
        ("version", "circuit", "since sequence", "opened", "cause", "openings"),
        (
            (
                circuit.model_version,
                circuit.position,
                circuit.since_sequence,
                None if circuit.opened_at is None else circuit.opened_at.isoformat(timespec="seconds"),
                circuit.opened_cause,
                circuit.openings,
            )
            for circuit in view.circuits
        ),
    )


@sends_command
def open_circuit(
    fields: Fields,
    version: CircuitVersion = None,
    without_fallback: Annotated[
        bool,
        typer.Option("--without-fallback", help="Also where nothing takes over: callers get errors."),
    ] = False,
) -> CommandToSend:
    """Stop a version from answering; its fallback takes over. Refused where there is none, unless you say so."""
    from hotswap_events.serving.commands import OpenCircuit

    return _of_active(OpenCircuit, version, fields, without_fallback=without_fallback)


@sends_command
def probe(fields: Fields, version: CircuitVersion = None) -> CommandToSend:
    """Half-open a circuit now: some requests go to the version as probes."""
    from hotswap_events.serving.commands import HalfOpenCircuit

    return _of_active(HalfOpenCircuit, version, fields)


@sends_command
def reset(fields: Fields, version: CircuitVersion = None) -> CommandToSend:
    """Close a circuit by hand: the version answers again at once."""
    from hotswap_events.serving.commands import CloseCircuit

    return _of_active(CloseCircuit, version, fields)


def show_policy(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show the policy that holds: the model's own, or the default."""
    view = _view(model, as_of=as_of, as_json=as_json)
    if as_json:
        print_json(view.policy)
        return
    from msgspec.structs import asdict

    facts = {name: "none" if value is None else value for name, value in asdict(view.policy).items()}
    print_facts(
        {"model": view.model_name, "set": "no, the default holds" if view.policy_is_default else "yes", **facts}
    )


@sends_command
def set_policy(
    fields: Fields,
    error_rate_max: Annotated[
        float | None, typer.Option(help="Open the circuit above this share of failures, 0 to 1.", show_default=False)
    ] = None,
    latency_ms_max: Annotated[
        float | None,
        typer.Option(help="Milliseconds after which an answer counts as slow; 0: never.", show_default=False),
    ] = None,
    slow_share_max: Annotated[
        float | None,
        typer.Option(help="Open the circuit above this share of slow answers, 0 to 1.", show_default=False),
    ] = None,
    window_seconds: Annotated[
        float | None, typer.Option(help="Age of the oldest answer that counts, in seconds.", show_default=False)
    ] = None,
    window_answers_max: Annotated[
        int | None, typer.Option(help="Number of answers that count, at most.", show_default=False)
    ] = None,
    answers_min: Annotated[
        int | None, typer.Option(help="Number of answers below which nothing is decided.", show_default=False)
    ] = None,
    open_seconds: Annotated[
        float | None, typer.Option(help="Seconds until an open circuit is half-open.", show_default=False)
    ] = None,
    probes: Annotated[
        int | None, typer.Option(help="Number of probes that must pass to close it.", show_default=False)
    ] = None,
    probe_share: Annotated[
        float | None, typer.Option(help="Share of the requests that are probes.", show_default=False)
    ] = None,
    fallback: Annotated[
        Literal["former", "version", "none"] | None,
        typer.Option(help="What answers while the circuit is open.", show_default=False),
    ] = None,
    fallback_version: Annotated[
        str | None, typer.Option(help="The version that answers then; implies --fallback version.", show_default=False)
    ] = None,
    batch_size_max: Annotated[
        int | None,
        typer.Option(help="Requests per forward pass, at most; 0: as the worker is set.", show_default=False),
    ] = None,
    batch_wait_ms_max: Annotated[
        float | None, typer.Option(help="Milliseconds that a batch waits for more requests.", show_default=False)
    ] = None,
) -> CommandToSend:
    """Change the policy; what is not named stays as it is."""
    changes = {
        "slow_share_max": slow_share_max,
        "window_seconds": window_seconds,
        "window_answers_max": window_answers_max,
        "answers_min": answers_min,
        "open_seconds": open_seconds,
        "probes": probes,
        "probe_share": probe_share,
        "batch_wait_ms_max": batch_wait_ms_max,
    }
    changed: dict[str, object] = {name: value for name, value in changes.items() if value is not None}
    if error_rate_max is not None:
        changed["error_rate_max"] = None if error_rate_max == 1 else error_rate_max
    if latency_ms_max is not None:
        changed["latency_ms_max"] = latency_ms_max or None
    if batch_size_max is not None:
        changed["batch_size_max"] = batch_size_max or None
    if fallback_version is not None:
        changed |= {"fallback": fallback or "version", "fallback_version": fallback_version}
    elif fallback is not None:
        changed["fallback"] = fallback
        if fallback != "version":
            changed["fallback_version"] = None
    if not changed:
        raise typer.BadParameter("name at least one thing to change, such as --error-rate-max 0.2")

    async def handling(plane: "ControlPlane") -> "CommandResult":
        from msgspec.structs import replace

        from hotswap_events.serving.commands import SetServingPolicy
        from hotswap_stream.domain.state.circuits import DEFAULT_SERVING_POLICY

        found = await plane.ask(questions.serving(fields["model_name"]))
        known = guarded(found, fields)
        policy = replace(DEFAULT_SERVING_POLICY if known is None else known.policy, **changed)
        return await plane.send(SetServingPolicy(policy=policy, **fields))

    return handling


def _view(model: str, *, as_of: str | None, as_json: bool) -> "ServingView":
    return ask(questions.serving(model), as_of=as_of, as_json=as_json)


def _of_active(command_type: type, version: str | None, fields: Fields, **own: bool) -> CommandToSend:
    """Return the command for the version, or for the one that is active."""
    if version is not None:
        made: AnyCommand = command_type(model_version=version, **own, **fields)
        return made

    async def handling(plane: "ControlPlane") -> "CommandResult":
        from hotswap_events.commands import Refusal

        found = await plane.ask(questions.model(fields["model_name"]))
        named = None if isinstance(found, Refusal) else found.active_version
        # What is no name is refused, with the legal steps.
        return await plane.send(command_type(model_version=named or "none-is-active", **own, **fields))

    return handling
