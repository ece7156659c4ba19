"""What every process says of itself."""

import platform
import time
from collections.abc import Iterator

import psutil

from hotswap_stream.observability import metrics as catalogue
from hotswap_stream.observability.metric_spec import Family, Source, single

_STARTED_S = time.time()


def memory_bytes() -> int:
    """Return the memory of this process."""
    return int(psutil.Process().memory_info().rss)


def process_families(
    *,
    release: str,
    process: Source,
    process_name: str,
    ready: bool,
    cpu_s: float | None = None,
    memory: int | None = None,
) -> Iterator[Family]:
    """Yield release, readiness, start, processor time and memory of this process.

    Args:
        release: Of hotswap-stream.
        process: What it is.
        process_name: Which one of its kind.
        ready: Whether it does its work.
        cpu_s: Processor time, where it is that of several processes; else this one's.
        memory: Bytes, in the same way.
    """
    labels = catalogue.BUILD_INFO.labelled(release, process, process_name, platform.python_version())
    yield Family(catalogue.BUILD_INFO, [(labels, 1)])
    yield single(catalogue.READY, int(ready))
    yield single(catalogue.PROCESS_START_TIME, round(_STARTED_S, 3))
    yield single(catalogue.PROCESS_CPU, time.process_time() if cpu_s is None else cpu_s)
    yield single(catalogue.PROCESS_MEMORY, memory_bytes() if memory is None else memory)
