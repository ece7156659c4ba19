"""`feedback`: say what an answer should have been, what was chosen of it, or how good it was."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.terminal.options import Actor, AsJson, ModelArgument
from hotswap_stream.cli.terminal.printing import print_json, refuse
from hotswap_stream.cli.terminal.running import run_by_api_or

if TYPE_CHECKING:
    from hotswap_events.commands import Refusal
    from hotswap_events.inference.observation import Feedback
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.settings import Settings

FILE_BYTES_MAX = 64 * 1024**2
ID_DIGITS_MAX = 19
"""Digits of an integer of 64 bits."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("feedback")(give)


def give(
    model: ModelArgument,
    actor: Actor,
    request_id: Annotated[
        str | None,
        typer.Option("--id", help="Id of the request; found among the newest answers only.", show_default=False),
    ] = None,
    request: Annotated[
        str | None,
        typer.Option(
            metavar="PARTITION:OFFSET", help="Place of the request, as its answer has it.", show_default=False
        ),
    ] = None,
    label: Annotated[int | None, typer.Option(help="Index of the true class.", min=0, show_default=False)] = None,
    reward: Annotated[
        float | None, typer.Option(help="How good the answer was: higher is better.", show_default=False)
    ] = None,
    value: Annotated[
        list[float] | None,
        typer.Option(
            help="The true number; several times where the answer holds several, in their order.", show_default=False
        ),
    ] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(
            help="What was chosen of what the answer ranks: the index of its score, or the item itself where the "
            "answer lists items. Several times for several.",
            show_default=False,
        ),
    ] = None,
    feedback_id: Annotated[
        str | None, typer.Option(help="Feedback with the same id counts once. Default: a fresh id.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="Many instead of one: a JSON object a line with request_partition and request_offset or request_id, "
            "and label, value, items or reward; '-' reads standard input.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what an answer should have been, what was chosen of it, or how good it was; days later is early enough."""
    one = {
        "request_id": request_id,
        "label": label,
        "reward": reward,
        "value": None if not value else value[0] if len(value) == 1 else value,
        "items": [_item(text) for text in item] if item else None,
        "feedback_id": feedback_id,
    }
    if file is not None and (request is not None or any(value is not None for value in one.values())):
        raise typer.BadParameter("a file has all of it in its lines; leave the other options out", param_hint="--file")
    records = _records(model, actor, [{**one, **_place(request)}] if file is None else _lines(file))

    async def main(settings: "Settings") -> "Refusal | None":
        from hotswap_events.commands import Refusal
        from hotswap_stream import bootstrap
        from hotswap_stream.application.observations.feedback import FEEDBACK_AT_ONCE_MAX, FeedbackRefusedError

        await bootstrap.ensure_control_topics(settings)
        written = 0
        async with bootstrap.feedback_log(settings) as log:
            try:
                for start in range(0, len(records), FEEDBACK_AT_ONCE_MAX):
                    await log.append(records[start : start + FEEDBACK_AT_ONCE_MAX])
                    written = start + FEEDBACK_AT_ONCE_MAX
            except FeedbackRefusedError as error:
                before = f"; the {written} before these were accepted" if written else ""
                return Refusal(code="invalid-value", reason=f"{error}{before}")
        return None

    async def of_api(api: "ApiPlane") -> "Refusal | None":
        from hotswap_stream.application.observations.feedback import FEEDBACK_AT_ONCE_MAX

        items = [_told_by_http(record) for record in records]
        for start in range(0, len(items), FEEDBACK_AT_ONCE_MAX):
            refusal = await api.take_feedback(model, items[start : start + FEEDBACK_AT_ONCE_MAX], actor)
            if refusal is not None:
                return refusal
        return None

    if (refusal := run_by_api_or(main, of_api)) is not None:
        raise refuse(refusal, as_json=as_json)
    if as_json:
        print_json({"accepted": len(records), "feedback_ids": [record.feedback_id for record in records]})
    else:
        typer.echo(f"{len(records)} accepted for {model}")


def _told_by_http(record: "Feedback") -> dict[str, Any]:
    """Return what a body says of one piece; the path says which model, and the key who."""
    import msgspec

    told: dict[str, Any] = msgspec.to_builtins(record)
    return {name: value for name, value in told.items() if name not in ("model_name", "actor")}


def _item(text: str) -> int | str:
    """Return the index or id that the text is; in a file, "7" in quotes is a text."""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= ID_DIGITS_MAX else text


def _place(request: str | None) -> dict[str, Any]:
    if request is None:
        return {}
    partition, separator, offset = request.partition(":")
    if not (separator and partition.isdecimal() and offset.isdecimal()):
        raise typer.BadParameter(f"{request!r} is not PARTITION:OFFSET, such as 3:41872", param_hint="--request")
    return {"request_partition": int(partition), "request_offset": int(offset)}


def _lines(file: Path) -> list[dict[str, Any]]:
    import msgspec

    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
        else:
            with file.open("rb") as stream:
                content = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}", param_hint="--file") from error
    if len(content) > FILE_BYTES_MAX:
        raise typer.BadParameter(f"{file} has more than {FILE_BYTES_MAX:,} bytes; split it", param_hint="--file")
    found = []
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line, type=dict[str, Any]))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise typer.BadParameter(f"line {number}: {error}", param_hint="--file") from error
    return found


def _records(model: str, actor: str, items: list[dict[str, Any]]) -> "list[Feedback]":
    import uuid
    from datetime import UTC, datetime

    import msgspec

    from hotswap_events.inference.observation import Feedback

    known = sorted(set(Feedback.__struct_fields__) - {"model_name", "actor"})
    records = []
    for number, item in enumerate(items, start=1):
        given = {name: value for name, value in item.items() if value is not None}
        fresh = {"feedback_id": uuid.uuid4().hex, "at": datetime.now(UTC)}
        if unread := sorted(set(given) - set(known)):
            raise typer.BadParameter(f"feedback {number}: {unread[0]!r} is not read; there are {', '.join(known)}")
        try:
            records.append(msgspec.convert({**fresh, **given, "model_name": model, "actor": actor}, Feedback))
        except msgspec.ValidationError as error:
            raise typer.BadParameter(f"feedback {number}: {error}") from error
    return records
