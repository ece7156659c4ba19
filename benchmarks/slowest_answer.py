"""The slowest answer at half of what a worker can do, without any swap, for a small and a 300 MB model.

    python -m benchmarks.slowest_answer [SECONDS]

The comparison is the same worker whose garbage collector looks through all that the process has imported, as Python's
does by default, in turns. Times are from handing a request over to its answer in the log, by the clock of this machine.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping

from msgspec import Struct

from benchmarks.serving_processes import Served, process, served
from benchmarks.swap import FIRST_REQUESTS, LARGE, LOAD_SHARE, SMALL, capacity, until_quiet
from benchmarks.swap_traffic import Result, Traffic, percentile
from benchmarks.worker_rounds import WorkerRounds
from hotswap_stream.application.artifacts.manifest import Argument

SECONDS = 20.0
TURNS = 2
SETTLE_SECONDS = 3.0
"""Before a turn: the worker has imported, loaded and tried everything by then."""
TIMES_AIM = 5.0
_UNFROZEN = "import gc; gc.freeze = lambda: None; from hotswap_stream.cli import main; main()"
"""The same worker, as Python's collector has it by default."""


class _Turn(Struct, frozen=True):
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    gap_ms: float
    answers: int


async def _turn(stage: Served, rounds: WorkerRounds, rate: float, start: tuple[str, ...], seconds: float) -> _Turn:
    settings, manifest = stage.settings, stage.manifest
    starts = rounds.requests.ends(), rounds.answers.ends()
    servers, partitions = str(settings.kafka_bootstrap_servers), str(rounds.requests.partitions)
    load = (servers, rounds.requests.topic, partitions, str(rate), manifest.architecture)
    with process((sys.executable, *start, "worker", "--name", "w1"), settings) as worker:
        before = rounds.answers.ends()
        rounds.requests.fill(rounds.bodies(settings.request_partitions), rounds.headers)
        await asyncio.to_thread(
            rounds.answers.count, before, settings.request_partitions, lambda: worker.poll() is None
        )
        load_process = (sys.executable, "-m", "benchmarks.paced_load", *load, json.dumps(dict(manifest.arguments)))
        with process(load_process, settings):
            await asyncio.to_thread(rounds.answers.count, rounds.answers.ends(), 1, lambda: worker.poll() is None)
            await asyncio.sleep(SETTLE_SECONDS)
            began = time.time() * 1_000
            await asyncio.sleep(seconds)
            ended = time.time() * 1_000
        await until_quiet(rounds)
    traffic = await asyncio.to_thread(Traffic, rounds.requests, rounds.answers, *starts)
    took = [answer.at_ms - answer.asked_ms for answer in traffic.between(began, ended)]
    return _Turn(
        percentile(took, 0.5), percentile(took, 0.99), max(took), traffic.longest_gap_ms(began, ended), len(took)
    )


async def _measure(
    architecture: str, arguments: Mapping[str, Argument], seconds: float
) -> tuple[list[_Turn], list[_Turn], float]:
    async with served("slowest", architecture, arguments) as stage:
        rounds = WorkerRounds(stage)
        await rounds.settle(FIRST_REQUESTS)
        rate = LOAD_SHARE * await capacity(rounds)
        ours: list[_Turn] = []
        theirs: list[_Turn] = []
        for _ in range(TURNS):
            ours.append(await _turn(stage, rounds, rate, ("-m", "hotswap_stream.cli"), seconds))
            theirs.append(await _turn(stage, rounds, rate, ("-c", _UNFROZEN), seconds))
    return ours, theirs, rate


def _row(name: str, ours: list[_Turn], theirs: list[_Turn], rate: float) -> Result:
    times = [turn.slowest_ms / max(1.0, turn.p99_ms) for turn in ours]
    return {
        "name": f"slowest answer at half load, {name}",
        "ours": max(turn.slowest_ms for turn in ours),
        "compared_with": "the same with the collector looking through everything",
        "comparison": max(turn.slowest_ms for turn in theirs),
        "unit": "ms",
        "ratio": round(max(times), 2),
        "aim": f"slowest <= {TIMES_AIM} x p99",
        "holds": max(times) <= TIMES_AIM,
        "p50": max(turn.p50_ms for turn in ours),
        "p99": max(turn.p99_ms for turn in ours),
        "longest_gap": max(turn.gap_ms for turn in ours),
        "comparison_p50": max(turn.p50_ms for turn in theirs),
        "comparison_p99": max(turn.p99_ms for turn in theirs),
        "comparison_longest_gap": max(turn.gap_ms for turn in theirs),
        "answers": sum(turn.answers for turn in ours),
        "load_per_s": round(rate),
    }


def run(seconds: float = SECONDS) -> list[Result]:
    """Return a row for each model; the ratio is that of the slowest answer to the p99 of its turn."""
    return [
        _row("small", *asyncio.run(_measure(*SMALL, seconds))),
        _row("300 MB", *asyncio.run(_measure(*LARGE, seconds))),
    ]


if __name__ == "__main__":
    print(json.dumps(run(*(float(argument) for argument in sys.argv[1:2])), indent=2))
