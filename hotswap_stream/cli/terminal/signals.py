"""Signals that end a command: SIGINT and SIGTERM, heeded whatever the command waits for."""

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from hotswap_stream.cli.terminal.running import FAILED

if TYPE_CHECKING:
    import asyncio

END_SECONDS_MAX = 30.0
"""How long a command may take to end when it is told to."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_on_signals(*, end_seconds_max: float = END_SECONDS_MAX) -> "asyncio.Event":
    """Return an event that SIGINT and SIGTERM set. Call it once, as the first thing a command does.

    Whatever the command waits for then, such as a broker that is gone, it ends: after `end_seconds_max`, or at once
    with a second signal.
    """
    import asyncio

    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def told() -> None:
        stop.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        timer = threading.Timer(end_seconds_max, _give_up, (end_seconds_max,))
        timer.daemon = True
        timer.start()

    for number in _SIGNALS:
        loop.add_signal_handler(number, told)
    return stop


def _give_up(seconds: float) -> None:
    sys.stderr.write(f"error: not ended {seconds:g} s after it was told to; what it still waited for is left\n")
    sys.stderr.flush()
    os._exit(FAILED)
