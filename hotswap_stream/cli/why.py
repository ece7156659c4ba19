"""`why`: which version gave an answer, and which event chose it."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.completion import complete_models
from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_facts, print_json
from hotswap_stream.cli.terminal.running import run_on_plane

if TYPE_CHECKING:
    from hotswap_stream.application.audit.explanation import ExplainedAnswer


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("why")(why)


def why(
    request: Annotated[
        str, typer.Argument(metavar="REQUEST", help="Id of the request, or, with --model, its PARTITION:OFFSET.")
    ],
    model: Annotated[
        str | None,
        typer.Option(help="The model that was asked.", show_default=False, autocompletion=complete_models),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which version gave an answer, which event chose that version, by whom and why, and how to compute it again.

    By id the newest answers of each model are looked through; by place all that are kept.
    """
    place = _place(request) if model is not None else None
    found = run_on_plane(lambda plane: plane.explained(request, place, model), waiting_for="looking for the answer")
    if as_json:
        print_json(found)
    else:
        _print(found)


def _place(request: str) -> tuple[int, int] | None:
    partition, separator, offset = request.partition(":")
    is_place = separator and partition.isascii() and partition.isdecimal() and offset.isascii() and offset.isdecimal()
    return (int(partition), int(offset)) if is_place else None


def _print(found: "ExplainedAnswer") -> None:
    arm, chosen_by, window = found.arm, found.chosen_by, found.window
    print_facts(
        {
            "model": found.model_name,
            "request": f"partition {found.request_partition}, offset {found.request_offset}",
            "request id": found.request_id,
            "answered": f"{found.answered_at.isoformat(timespec='seconds')} by {found.worker}",
            "answer": _answer(found),
            "window": None if window is None else f"{window.steps} of {window.needed} steps of its series",
            "version": found.model_version or "none was chosen",
            "because": found.because.replace("-", " "),
            "stands in for": found.stands_in_for,
            "arm": None if arm is None else f"{arm.role} of {arm.rollout_id}, {arm.weight / 100:g} % of the traffic",
            "chosen by": None if chosen_by is None else f"offset {chosen_by.offset}: {chosen_by.words}",
            "who": None if chosen_by is None else chosen_by.actor,
            "why": None if chosen_by is None else chosen_by.reason,
            "weights": found.artifact_digest,
            "follows the log": None if found.follows_the_log is None else "yes" if found.follows_the_log else "NO",
            "compute again": found.compute_again,
            "alerts now": "; ".join(found.alerts) or None,
        }
    )


def _answer(found: "ExplainedAnswer") -> str:
    if found.ok:
        return "an answer"
    return ": ".join(part for part in ("an error", found.error_code, found.error) if part)
