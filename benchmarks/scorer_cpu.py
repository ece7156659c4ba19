"""Processor time for each answer: the worker's, beside the JVM's and beside a client that only moves the bytes.

    python -m benchmarks.scorer_cpu [REQUESTS]

As `ffnn_stream`, but what is measured is the processor time of the whole process, in user and system mode, and not how
long it took: what else runs on the machine changes that little. Each is run twice, on many requests and on few, and the
time of the shorter run is taken off the longer one's, so that starting up counts for nobody.
"""

import asyncio
import json
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from torch import nn

from benchmarks.ffnn_stream import ARCHITECTURE, MOVED, PARTITIONS, RAW_OUT, is_running, raw_values
from benchmarks.kstreams_peer import PeerMissingError, build_peer, scoring, write_onnx
from benchmarks.serving_processes import process, served
from benchmarks.streams import Stream
from benchmarks.worker_rounds import WorkerRounds
from hotswap_events.topics import TopicSpec
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.adapters.torch.modules.architectures import build_module

ROUNDS = 3
FEW_SHARE = 0.1
JVM_AIM = 0.2
RAW = "bench.raw-{}"
"""By number of requests: the JVM begins at the beginning of its topic."""


class Used:
    """Processor seconds by program and number of requests."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, int], list[float]] = {}

    @contextmanager
    def counting(self, program: str, requests: int) -> Iterator[None]:
        """Count what child processes take that begin and end in the block."""
        before = _children_s()
        yield
        self._seconds.setdefault((program, requests), []).append(_children_s() - before)

    def microseconds(self, program: str, few: int, many: int) -> list[float]:
        """Return the microseconds that one request more costs, by round."""
        pairs = zip(self._seconds.get((program, few), []), self._seconds.get((program, many), []), strict=True)
        return [1e6 * (longer - shorter) / (many - few) for shorter, longer in pairs]


def _children_s() -> float:
    """Processor time of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _measure(few: int, many: int) -> Used:
    used = Used()
    try:
        class_path = await asyncio.to_thread(build_peer)
    except PeerMissingError as error:
        class_path = None
        print(error, file=sys.stderr, flush=True)
    async with served("ffnn", ARCHITECTURE, partitions=PARTITIONS) as stage:
        servers = str(stage.settings.kafka_bootstrap_servers)
        names = (MOVED, RAW_OUT, RAW.format(few), RAW.format(many))
        specs = [
            TopicSpec(name=name, partitions=PARTITIONS, cleanup_policy="delete", retention_ms=-1) for name in names
        ]
        await ensure_topics(bootstrap.connection(stage.settings), specs)
        rounds = WorkerRounds(stage)
        moved, raw_out = Stream(servers, MOVED, PARTITIONS), Stream(servers, RAW_OUT, PARTITIONS)
        await rounds.settle()

        async def ours_and_mover(requests: int) -> None:
            starts = await rounds.fill(requests)
            with used.counting("ours", requests):
                counted = await rounds.answered(requests)
            places = (str(len(counted.last.value() or b"")), *map(str, starts))
            command = (sys.executable, "-m", "benchmarks.bare_mover", servers, rounds.requests.topic, MOVED, *places)
            ends = moved.ends()
            with used.counting("mover", requests), process(command, stage.settings) as moving:
                await asyncio.to_thread(moved.count, ends, requests, lambda: is_running(moving))

        async def jvm(requests: int, class_path: str, model: Path) -> None:
            ends = raw_out.ends()
            with (
                used.counting("jvm", requests),
                scoring(class_path, servers, RAW.format(requests), RAW_OUT, model) as it,
            ):
                await asyncio.to_thread(raw_out.count, ends, requests, lambda: is_running(it))

        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "ffnn.onnx"
            module = build_module(ARCHITECTURE, {})
            assert isinstance(module, nn.Sequential)
            write_onnx(module, model)
            if class_path is not None:
                for requests in (few, many):
                    raw_in = Stream(servers, RAW.format(requests), PARTITIONS)
                    await asyncio.to_thread(raw_in.fill, raw_values(requests))
            for _ in range(ROUNDS):
                for requests in (few, many):
                    await ours_and_mover(requests)
                    if class_path is not None:
                        await jvm(requests, class_path, model)
    return used


def run(count: int = 200_000) -> list[dict[str, object]]:
    """Return medians of the rounds, µs; ratios are ours to the other's, so smaller is better."""
    few = int(FEW_SHARE * count)
    used = asyncio.run(_measure(few, count))
    ours = used.microseconds("ours", few, count)
    results: list[dict[str, object]] = []
    for program, compared_with, aim in (
        ("jvm", "Kafka Streams with ONNX Runtime, batch 1, on the JVM", JVM_AIM),
        ("mover", "the same client moving the same bytes with no model", None),
    ):
        theirs = used.microseconds(program, few, count)
        if not theirs:
            continue
        ratio = median(mine / other for mine, other in zip(ours, theirs, strict=True))
        results.append(
            {
                "name": f"scorer_cpu {program}",
                "ours": round(median(ours), 2),
                "compared_with": compared_with,
                "comparison": round(median(theirs), 2),
                "unit": "µs of processor time an answer",
                "ratio": round(ratio, 3),
                "aim": "-" if aim is None else f"<= {aim}",
                "holds": aim is None or ratio <= aim,
                "requests": count,
            }
        )
    return results


if __name__ == "__main__":
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2))
