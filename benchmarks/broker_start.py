"""Time from nothing to a serving broker: with the start cache, next to the same broker started plainly.

    python -m benchmarks.broker_start [RUNS]

Each run is a whole `EmbeddedKafka.start`: folder, format, ports, guard, JVM, election, registration, group coordinator.
The runs alternate, so what else the machine does falls on both alike. Memory is the JVM's resident set when it serves.
"""

import asyncio
import json
import logging
import statistics
import sys
import time

import psutil
import structlog

from hotswap_stream.broker import EmbeddedKafka

RUNS = 5
READY_S_MAX = 1.5
RESIDENT_MIB_MAX = 320


async def _start_once(*, use_start_cache: bool) -> tuple[float, float]:
    """Return the seconds until the broker served, and its resident set in MiB."""
    broker = EmbeddedKafka(use_start_cache=use_start_cache)
    started = time.perf_counter()
    async with broker:
        seconds = time.perf_counter() - started
        return seconds, psutil.Process(broker.nodes[0].pid).memory_info().rss / 2**20


async def _measure(runs: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    await EmbeddedKafka().prepare()
    cached, plain = [], []
    for _ in range(runs):
        plain.append(await _start_once(use_start_cache=False))
        cached.append(await _start_once(use_start_cache=True))
    return cached, plain


def run(runs: int = RUNS) -> list[dict[str, object]]:
    """Return medians over `runs` starts of each kind."""
    cached, plain = asyncio.run(_measure(runs))
    seconds, plain_seconds = (statistics.median(run[0] for run in kind) for kind in (cached, plain))
    resident, plain_resident = (statistics.median(run[1] for run in kind) for kind in (cached, plain))
    return [
        {
            "name": "broker ready",
            "ours": round(seconds, 2),
            "compared_with": "the same broker without the start cache",
            "comparison": round(plain_seconds, 2),
            "unit": "s",
            "ratio": round(plain_seconds / seconds, 2),
            "aim": f"at most {READY_S_MAX} s",
            "holds": seconds <= READY_S_MAX,
        },
        {
            "name": "broker memory when ready",
            "ours": round(resident),
            "compared_with": "the same broker without the start cache",
            "comparison": round(plain_resident),
            "unit": "MiB",
            "ratio": round(plain_resident / resident, 2),
            "aim": f"at most {RESIDENT_MIB_MAX} MiB",
            "holds": resident <= RESIDENT_MIB_MAX,
        },
    ]


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # JSON only
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2))
