"""What ends a command: SIGINT, SIGTERM and, where it is wished, the end of standard input.

Whoever starts a process and is killed with -9 can tell it nothing. The end of a pipe cannot be skipped, and is the same
on every system.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from hotswap_stream.cli.terminal.running import FAILED

if TYPE_CHECKING:
    import asyncio

END_SECONDS_MAX = 30.0
"""How long a command may take to end when it is told to."""
EndWithInput = Annotated[
    bool,
    typer.Option(
        "--end-with-input",
        help="End when standard input ends, too: as a pipe does when the program that holds it is gone.",
    ),
]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_READ_BYTES = 4_096


def stop_on_signals(*, end_seconds_max: float = END_SECONDS_MAX, with_input: bool = False) -> "asyncio.Event":
    """Return an event that SIGINT and SIGTERM set. Call it once, as the first thing a command does.

    Whatever the command waits for then, such as a broker that is gone, it ends: after `end_seconds_max`, or at once
    with a second signal.

    Args:
        end_seconds_max: How long it may take.
        with_input: Whether the end of standard input sets it, too.
    """
    import asyncio

    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def told() -> None:
        if stop.is_set():
            return
        stop.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        timer = threading.Timer(end_seconds_max, _give_up, (end_seconds_max,))
        timer.daemon = True
        timer.start()

    for number in _SIGNALS:
        loop.add_signal_handler(number, told)
    if with_input:

        def tell() -> None:
            with suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(told)

        when_input_ends(tell)
    return stop


def when_input_ends(call: Callable[[], object]) -> None:
    """Call once standard input has ended, in a thread of its own. What comes in before is thrown away."""

    def wait() -> None:
        with suppress(OSError):  # closed: it has ended
            while os.read(0, _READ_BYTES):
                pass
        call()

    threading.Thread(target=wait, name="end-of-input", daemon=True).start()


def end_at_once() -> NoReturn:
    """End the process, which has done all that it had to, and wait for none of its threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _give_up(seconds: float) -> None:
    sys.stderr.write(f"error: not ended {seconds:g} s after it was told to; what it still waited for is left\n")
    sys.stderr.flush()
    os._exit(FAILED)
