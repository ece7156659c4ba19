"""What a process makes at its start lasts until its end: the garbage collector need not look through it.

Libraries bring hundreds of thousands of objects. Python's collector looks through all of them every now and then, and
everything else in the process stands still meanwhile: 0.1 s in a worker with torch, in the middle of answers.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def let_last() -> None:
    """Have everything that is there now last: the collector looks at what comes after it alone.

    What is freed by its last reference still is. Only garbage in circles that is there now stays.
    """
    gc.freeze()


@contextmanager
def lasting() -> Iterator[None]:
    """Let last what is there at the end of the block, and look through nothing within it: for imports."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        let_last()
        if was_on:
            gc.enable()
