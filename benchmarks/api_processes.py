"""Two API processes behind one port, next to one: requests for each second of processor time, and by the clock.

    python -m benchmarks.api_processes [REQUESTS]

What one process answers is bound by its processor time, so two answer twice as much where there are cores for them, if
each takes as much for a request as one alone does: `scale` is 2 × the time of one alone / the time with two. That holds
on a busy machine, too. By the clock it shows only where clients, worker and broker leave two cores to them. The
model is the FFNN (27,562 parameters, 3.1 KB requests), 50 requests in flight for each process; both take turns. With 50
for two, each sends half as much at a time, and Kafka's share of each request grows: 275 µs beside 205, scale 1.5.
"""

import asyncio
import json
import os
import sys
from statistics import median

import psutil

from benchmarks.serving_processes import Served, served, url_of
from hotswap_stream.client.load.drive import LoadPlan

ARCHITECTURE = "ffnn-784-32-32-32-10"
MODEL = "ffnn"
PARTITIONS = 8
CONCURRENCY = 50
ROUNDS = 5
WARM_UP_REQUESTS = 1_000
SCALE_AIM = 1.7
CORES_NEEDED = 6
"""Two for the processes, and one each for the worker, the broker, the client and all else."""

Turn = tuple[float, float]
"""Microseconds of processor time for a request, answers a second."""


def _processor_s(pid: int) -> float:
    """Processor time so far of a command and of all that it started."""
    command = psutil.Process(pid)
    times = [each.cpu_times() for each in (command, *command.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


async def _turn(stage: Served, number: int, pid: int, url: str, requests: int) -> Turn:
    before_s = _processor_s(pid)
    report = await stage.by_http(url, LoadPlan(concurrency=number * CONCURRENCY, requests=requests, timeout_s=60))
    assert report.succeeded == requests, report
    return 1e6 * (_processor_s(pid) - before_s) / requests, report.succeeded_per_s


async def _measure(requests: int) -> dict[int, list[Turn]]:
    found: dict[int, list[Turn]] = {1: [], 2: []}
    async with served(MODEL, ARCHITECTURE, partitions=PARTITIONS) as stage:
        with (
            stage.command("worker", "--name", "w1"),
            stage.command("api", "--port", "0", "--processes", "1") as one,
            stage.command("api", "--port", "0", "--processes", "2") as two,
        ):
            await stage.until_answered()
            places = {number: (api.pid, await asyncio.to_thread(url_of, api)) for number, api in ((1, one), (2, two))}
            for number, place in places.items():
                await _turn(stage, number, *place, WARM_UP_REQUESTS)
            for _ in range(ROUNDS):
                for number, place in places.items():
                    found[number].append(await _turn(stage, number, *place, requests))
    return found


def run(requests: int = 5_000) -> list[dict[str, object]]:
    """Return medians of the rounds; the ratios are of each round's pair."""
    found = asyncio.run(_measure(requests))
    pairs = list(zip(found[1], found[2], strict=True))
    scale = median(2 * one[0] / two[0] for one, two in pairs)
    by_clock = median(two[1] / one[1] for one, two in pairs)
    cores = os.cpu_count() or 1
    return [
        {
            "name": "api_processes scale, by processor time",
            "ours": round(median(two[0] for two in found[2])),
            "compared_with": "one process",
            "comparison": round(median(one[0] for one in found[1])),
            "unit": "µs of processor time a request",
            "ratio": round(scale, 3),
            "aim": f">= {SCALE_AIM}",
            "holds": scale >= SCALE_AIM,
            "requests": requests,
        },
        {
            "name": "api_processes scale, by the clock",
            "ours": round(median(two[1] for two in found[2])),
            "compared_with": "one process",
            "comparison": round(median(one[1] for one in found[1])),
            "unit": "answers/s",
            "ratio": round(by_clock, 3),
            "aim": f">= {SCALE_AIM}" if cores >= CORES_NEEDED else "-",
            "holds": by_clock >= SCALE_AIM or cores < CORES_NEEDED,
            "requests": requests,
            "cores": cores,
        },
    ]


if __name__ == "__main__":
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2))
