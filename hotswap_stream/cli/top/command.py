"""`top`: what serves and how it does, as it happens."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json_line
from hotswap_stream.cli.terminal.running import interactive, run_by_api_or

if TYPE_CHECKING:
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.cli.top.view import TopView
    from hotswap_stream.settings import Settings

Changes = AsyncGenerator[None, None]
DRAWN_SECONDS = 0.25
"""Not more often: nobody reads faster."""
LOOK_SECONDS = 1.0


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("top")(top)


def top(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Only this model.", show_default=False)] = None,
    changes_max: Annotated[
        int | None, typer.Option("--changes", help="End after this number of changes.", min=1, show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Watch all models live: rates, waits, errors, rollouts and their evidence, training, the log; q or Ctrl-C ends.

    By an API one stream brings all that changes; on a cluster it is looked at each second. With --json, and where
    nobody sees it, a line of JSON for each change.
    """
    from hotswap_stream.cli.top.view import TopView

    view = TopView(model)

    async def of_api(api: "ApiPlane") -> None:
        from hotswap_stream.cli.planes.live import live_messages

        async def changes() -> AsyncGenerator[None, None]:
            async with aclosing(live_messages(api)) as messages:
                async for message in messages:
                    if view.take(message.event, message.data):
                        yield

        await _shown(view, changes(), changes_max, as_json=as_json or not interactive())

    async def main(settings: "Settings") -> None:
        from hotswap_stream.cli.planes.cluster import open_cluster
        from hotswap_stream.cli.status import overview_of

        async with open_cluster(settings) as plane:

            async def changes() -> AsyncGenerator[None, None]:
                while True:
                    view.take_overview(await overview_of(plane, model, as_json=as_json))
                    yield
                    await asyncio.sleep(LOOK_SECONDS)

            await _shown(view, changes(), changes_max, as_json=as_json or not interactive())

    run_by_api_or(main, of_api, waiting_for=None)


async def _shown(
    view: "TopView", changes: AsyncGenerator[None, None], changes_max: int | None, *, as_json: bool
) -> None:
    """Show each change, until Ctrl-C, `q`, or the number of changes asked for."""
    left = asyncio.Event()

    async def followed() -> None:
        seen = 0
        async with aclosing(changes):
            async for _ in changes:
                seen += 1
                if as_json:
                    print_json_line(view.document())
                if seen == changes_max:
                    return

    following = asyncio.create_task(followed())
    ends: set[asyncio.Task[object]] = {following, asyncio.create_task(left.wait())}
    try:
        if as_json:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        else:
            with _keys(left), _screen() as draw:
                while not any(end.done() for end in ends):
                    draw(view.drawn())
                    await asyncio.wait(ends, timeout=DRAWN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
    if following.done() and not following.cancelled() and (error := following.exception()) is not None:
        raise error


@contextmanager
def _screen() -> Iterator[Callable[[Any], None]]:
    from rich.live import Live

    with Live(screen=True, auto_refresh=False) as live:
        yield lambda drawn: live.update(drawn, refresh=True)


@contextmanager
def _keys(left: asyncio.Event) -> Iterator[None]:
    """Have `q` end it, where keys can be read one by one."""
    try:
        import termios
        import tty
    except ImportError:  # no such terminals here: Ctrl-C ends it
        yield
        return
    if not sys.stdin.isatty():
        yield
        return
    number, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)

    def pressed() -> None:
        if sys.stdin.read(1) in ("q", "Q", ""):
            left.set()

    loop.add_reader(number, pressed)
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)
