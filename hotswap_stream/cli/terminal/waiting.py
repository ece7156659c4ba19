"""A line on standard error for whoever waits at a terminal for longer than a second."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SHOWN_AFTER_SECONDS = 1.0
BETWEEN_SECONDS = 0.5
_CLEAR = "\r\x1b[2K"


@contextmanager
def waiting_shown(what: str | None) -> Iterator[None]:
    """Say inside the block what is waited for, and for how long; only on a terminal, and not below a second.

    Args:
        what: In a few words; None: nothing is said.
    """
    if what is None or not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    teller = threading.Thread(target=_tell, args=(what, over), name="waiting", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _tell(what: str, over: threading.Event) -> None:
    started_s, told = time.monotonic(), False
    wait_s = SHOWN_AFTER_SECONDS
    while not over.wait(wait_s):
        wait_s, told = BETWEEN_SECONDS, True
        sys.stderr.write(f"{_CLEAR}{what} … {time.monotonic() - started_s:.0f} s")
        sys.stderr.flush()
    if told:
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()
