"""`events`: the registry log, read from the log itself."""

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.printing import print_json_line
from hotswap_stream.cli.terminal.running import INTERRUPTED, run_on_plane

if TYPE_CHECKING:
    from hotswap_stream.application.registry.feed import EntryFilter, LogEntry
    from hotswap_stream.cli.planes.port import ControlPlane, EventSource

LIKENESS_MIN = 0.5
LAST_DEFAULT = 20
LAST_MAX = 100_000
PAGE_ENTRIES = 500
UNREADABLE_CHARACTERS_SHOWN = 120


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("events")(events)


def events(
    model: Annotated[str | None, typer.Option(help="Show only this model.", show_default=False)] = None,
    event_type: Annotated[
        str | None, typer.Option("--type", help="Show only this type, such as promoted.", show_default=False)
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            help=f"Show at most this many, the newest. [default: {LAST_DEFAULT}; with --from-offset all]",
            min=0,
            max=LAST_MAX,
            show_default=False,
        ),
    ] = None,
    from_offset: Annotated[
        int | None, typer.Option(help="Show records from this offset on.", min=0, show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document per line.")] = False,
) -> None:
    """Show the registry log: who did what, when and why. Records that count for no reader are marked void."""
    _check_type(event_type)

    async def shown(plane: "ControlPlane") -> None:
        from hotswap_stream.application.registry.feed import EntryFilter
        from hotswap_stream.cli.terminal.signals import stop_on_signals

        # Ctrl-C as an event: before Python 3.12 `asyncio.wait_for`, on which the Kafka client stands, now and then
        # swallows the cancellation that asyncio makes of it.
        stop = stop_on_signals() if follow else None
        source = await plane.event_source()
        wanted = EntryFilter(model_name=model, event_type=event_type)
        position = from_offset or 0
        if from_offset is None or last is not None:
            position, newest = await _newest(source, position, LAST_DEFAULT if last is None else last, wanted)
            for entry in newest:
                _print(entry, as_json=as_json)
        position = await _print_to_end(source, position, wanted, as_json=as_json)
        while stop is not None:
            if not await source.wait_for_change(position, stop):
                raise typer.Exit(INTERRUPTED)
            position = await _print_to_end(source, position, wanted, as_json=as_json)

    run_on_plane(shown, waiting_for=None)


def _check_type(event_type: str | None) -> None:
    """Refuse a type that no event of this release has: nothing would be printed, as if nothing had happened."""
    from hotswap_events.registry.events import EVENT_TYPES
    from hotswap_stream.application.registry.feed import OTHER_WORDS

    if event_type is None or event_type in EVENT_TYPES:
        return
    short = sorted({*(name.split(".")[2] for name in EVENT_TYPES), *OTHER_WORDS})
    if event_type not in short:
        nearest = get_close_matches(event_type, short, 2, LIKENESS_MIN)
        meant = f"did you mean {' or '.join(nearest)}? There" if nearest else "there"
        raise typer.BadParameter(f"there is no event type {event_type!r}; {meant} are {', '.join(short)}")


async def _newest(
    source: "EventSource", from_offset: int, last: int, wanted: "EntryFilter"
) -> "tuple[int, list[LogEntry]]":
    """Look from the end backwards, so that a long log is not read as a whole.

    Returns:
        The offset after the last record that was looked at, and the newest `last` entries that are wanted.
    """
    end = stop_at = source.end_offset
    found: list[LogEntry] = []
    while stop_at > from_offset and len(found) < last:
        start = max(from_offset, stop_at - PAGE_ENTRIES)
        position = start
        earlier: list[LogEntry] = []
        while position < stop_at:
            page = await source.page(position, limit=PAGE_ENTRIES, wanted=wanted)
            earlier += [entry for entry in page.entries if entry.offset < stop_at]
            position = page.next_offset
        found = earlier + found
        stop_at = start
    return end, found[len(found) - last :] if len(found) > last else found


def _print(entry: "LogEntry", *, as_json: bool) -> None:
    if as_json:
        print_json_line(entry, named_by=("offset",))
    else:
        typer.echo(_line(entry))


async def _print_to_end(source: "EventSource", position: int, wanted: "EntryFilter", *, as_json: bool) -> int:
    import asyncio

    while position < source.end_offset:
        page = await source.page(position, limit=PAGE_ENTRIES, wanted=wanted)
        for entry in page.entries:
            _print(entry, as_json=as_json)
        position = page.next_offset
        await asyncio.sleep(0)
    return position


def _line(entry: "LogEntry") -> str:
    import msgspec

    from hotswap_events.codec import REGISTRY_CODEC, UnreadableEvent
    from hotswap_stream.application.descriptions.event import describe

    event = REGISTRY_CODEC.decode(msgspec.json.encode(entry.event))
    if isinstance(event, UnreadableEvent):
        text = repr(entry.unreadable_text or entry.event)[:UNREADABLE_CHARACTERS_SHOWN]
    else:
        text = describe(event)
    line = f"{entry.offset:>6}  {text}"
    return line if entry.void_because is None else typer.style(f"{line}  VOID: {entry.void_because}", fg="red")
