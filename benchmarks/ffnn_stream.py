"""Answers of one worker to requests that wait in Kafka, next to Kafka Streams with ONNX Runtime, and to no model.

    python -m benchmarks.ffnn_stream [REQUESTS]

The FFNN (27,562 parameters), 3.1 KB of msgpack with ids, four partitions, answers with all their facts; answers per
second from 10 % to 100 % of the answers, counted by the same program for all. The JVM reads raw tensors and writes raw
scores, one record after the other. The mover is the worker's Kafka client alone: it reads the same requests and writes
answers of the same size with the same headers. They take turns, each with the machine to itself.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from torch import nn

from benchmarks.kstreams_peer import PeerMissingError, build_peer, scoring, write_onnx
from benchmarks.serving_processes import process, served
from benchmarks.streams import Stream
from benchmarks.worker_rounds import DISTINCT, WorkerRounds, facts_of
from hotswap_events.topics import TopicSpec
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.adapters.torch.modules.architectures import build_module

ARCHITECTURE = "ffnn-784-32-32-32-10"
FEATURES = 784
PARTITIONS = 4
ROUNDS = 3
JVM_AIM, MOVER_AIM = 5.0, 0.6
MOVED, RAW_IN, RAW_OUT = "bench.moved", "bench.raw-requests", "bench.raw-responses"


class _Rates:
    def __init__(self) -> None:
        self.ours: list[float] = []
        self.mover: list[float] = []
        self.jvm: list[float] = []
        self.executors: set[str | None] = set()
        self.answer_bytes = 0
        self.jvm_missing: str | None = None


def is_running(started: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> bool:
    """Return whether a process has not ended."""
    return started.poll() is None


async def _measure(count: int) -> _Rates:
    rates = _Rates()
    try:
        class_path = await asyncio.to_thread(build_peer)
    except PeerMissingError as error:
        class_path, rates.jvm_missing = None, str(error)
        print(error, file=sys.stderr, flush=True)
    async with served("ffnn", ARCHITECTURE, partitions=PARTITIONS) as stage:
        servers = str(stage.settings.kafka_bootstrap_servers)
        await ensure_topics(
            bootstrap.connection(stage.settings),
            [
                TopicSpec(name=name, partitions=PARTITIONS, cleanup_policy="delete", retention_ms=-1)
                for name in (MOVED, RAW_IN, RAW_OUT)
            ],
        )
        rounds = WorkerRounds(stage)
        moved, raw_in, raw_out = (Stream(servers, name, PARTITIONS) for name in (MOVED, RAW_IN, RAW_OUT))
        await rounds.settle()
        if class_path is not None:
            await asyncio.to_thread(raw_in.fill, raw_values(count))

        async def ours() -> None:
            counted = await rounds.answered(count)
            rates.ours.append(counted.per_s)
            rates.executors.add(facts_of(counted).executor)
            rates.answer_bytes = len(counted.last.value() or b"")

        async def mover(starts: list[int]) -> None:
            places = (str(rates.answer_bytes), *map(str, starts))
            command = (sys.executable, "-m", "benchmarks.bare_mover", servers, rounds.requests.topic, MOVED, *places)
            ends = moved.ends()
            with process(command, stage.settings) as moving:
                counted = await asyncio.to_thread(moved.count, ends, count, lambda: is_running(moving))
            rates.mover.append(counted.per_s)

        async def jvm(class_path: str, model: Path) -> None:
            ends = raw_out.ends()
            with scoring(class_path, servers, RAW_IN, RAW_OUT, model) as started:
                counted = await asyncio.to_thread(raw_out.count, ends, count, lambda: is_running(started))
            rates.jvm.append(counted.per_s)

        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "ffnn.onnx"
            module = build_module(ARCHITECTURE, {})
            assert isinstance(module, nn.Sequential)
            write_onnx(module, model)
            for _ in range(ROUNDS):
                starts = await rounds.fill(count)
                await ours()
                await mover(starts)
                if class_path is not None:
                    await jvm(class_path, model)
    return rates


def raw_values(count: int) -> list[bytes]:
    """Return raw tensors, as the JVM reads them."""
    random = np.random.default_rng(0)
    distinct = [random.random(FEATURES, dtype=np.float32).tobytes() for _ in range(DISTINCT)]
    return [distinct[number % DISTINCT] for number in range(count)]


def run(count: int = 200_000) -> list[dict[str, object]]:
    """Return medians of the rounds, answers/s."""
    rates = asyncio.run(_measure(count))
    executors = ", ".join(sorted(str(name) for name in rates.executors))
    facts: dict[str, object] = {"requests": count, "executor": executors, "answer_bytes": rates.answer_bytes}
    mover = "the same client moving the same bytes with no model"
    results = [_result("ffnn_stream mover", mover, rates.ours, rates.mover, MOVER_AIM, facts)]
    if rates.jvm:
        jvm = "Kafka Streams with ONNX Runtime, batch 1, on the JVM"
        results.append(_result("ffnn_stream jvm", jvm, rates.ours, rates.jvm, JVM_AIM, facts))
    return results


def _result(
    name: str, compared_with: str, ours: list[float], theirs: list[float], aim: float, facts: dict[str, object]
) -> dict[str, object]:
    ratio = median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return {
        "name": name,
        "ours": round(median(ours)),
        "compared_with": compared_with,
        "comparison": round(median(theirs)),
        "unit": "answers/s",
        "ratio": round(ratio, 3),
        "aim": f">= {aim}",
        "holds": ratio >= aim,
        **facts,
    }


if __name__ == "__main__":
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2))
