"""`events`: the registry log, read from the log itself."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.printing import print_json_line
from hotswap_stream.cli.terminal.running import INTERRUPTED, run

if TYPE_CHECKING:
    import asyncio

    from hotswap_stream.application.registry.feed import EntryFilter, EventFeed, LogEntry
    from hotswap_stream.application.registry.registry import Registry
    from hotswap_stream.settings import Settings

LAST_DEFAULT = 20
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
        int, typer.Option(help="Number of records at the log's end to look through.", min=0)
    ] = LAST_DEFAULT,
    from_offset: Annotated[
        int | None, typer.Option(help="Show records from this offset on instead.", min=0, show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document per line.")] = False,
) -> None:
    """Show the registry log: who did what, when and why. Records that count for no reader are marked void."""

    async def main(settings: "Settings") -> None:
        from hotswap_stream import bootstrap
        from hotswap_stream.application.registry.feed import EntryFilter, EventFeed
        from hotswap_stream.cli.terminal.signals import stop_on_signals

        # Ctrl-C as an event: before Python 3.12 `asyncio.wait_for`, on which the Kafka client stands, now and then
        # swallows the cancellation that asyncio makes of it.
        stop = stop_on_signals() if follow else None
        async with bootstrap.open_registry(settings) as registry:
            feed = EventFeed(registry)
            wanted = EntryFilter(model_name=model, event_type=event_type)
            position = max(0, feed.end_offset - last) if from_offset is None else from_offset
            position = await _print_to_end(feed, position, wanted, as_json=as_json)
            while stop is not None:
                if await _stopped_before_change(registry, stop):
                    raise typer.Exit(INTERRUPTED)
                position = await _print_to_end(feed, position, wanted, as_json=as_json)

    run(main)


async def _stopped_before_change(registry: "Registry", stop: "asyncio.Event") -> bool:
    """Wait for the next record or for Ctrl-C. LogUnavailableError when the log is no longer followed."""
    import asyncio

    change, stopping = asyncio.ensure_future(registry.wait_for_change()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({change, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            return True
        change.result()
        return False
    finally:
        for task in (change, stopping):
            task.cancel()
        await asyncio.gather(change, stopping, return_exceptions=True)


async def _print_to_end(feed: "EventFeed", position: int, wanted: "EntryFilter", *, as_json: bool) -> int:
    import asyncio

    while position < feed.end_offset:
        page = await feed.page(position, limit=PAGE_ENTRIES, wanted=wanted)
        for entry in page.entries:
            if as_json:
                print_json_line(entry)
            else:
                typer.echo(_line(entry))
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
