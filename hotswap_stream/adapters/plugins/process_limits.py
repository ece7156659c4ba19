"""What the process of a runtime may take, set by the process for itself: the system holds it from there on."""

import math
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIZES_ALLOWED = 4
"""How many times a runtime may hold its artifact beside the limit on memory, as a trial may."""


def limit_memory(bytes_max: int, artifact_bytes: int) -> None:
    """Let this process ask for no more memory than this, beside its artifact, from here on; 0: as much as there is.

    On Linux that is what it may write to: neither files that are mapped nor the addresses that a GPU's driver reserves.
    """
    if bytes_max:
        kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
        _, hard = resource.getrlimit(kind)
        most = _within(bytes_max + SIZES_ALLOWED * artifact_bytes, hard)
        resource.setrlimit(kind, (most, most))


@contextmanager
def limited_cpu(seconds_max: int) -> Iterator[None]:
    """End this process by SIGXCPU if it takes more processor time in the block, over all threads; 0: no limit."""
    if not seconds_max:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    # Rounded up: the system counts whole seconds.
    most = _within(math.ceil(time.process_time()) + seconds_max, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (most, hard))
    try:
        yield
    finally:
        # Between passes it may do what it likes: threads of its own are not charged to the next request.
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _within(most: int, hard: int) -> int:
    return most if hard == resource.RLIM_INFINITY else min(most, hard)
