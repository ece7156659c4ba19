"""Answers of one worker by magika's graph, next to ONNX Runtime alone, which magika itself computes with.

    python -m benchmarks.magika_stream [REQUESTS]

The graph as the package ships it: 2,048 bytes of a file in, 214 scores out. Requests are one row of msgpack each that
wait in Kafka, four partitions; answers with all their facts. ONNX Runtime computes as many rows in batches of 64, one
thread, with nothing to read or write. They take turns. Twice: requests in batches, as the operator may ask for, and one
by one, which registration chooses by itself, because a row's last bits depend on the rows beside it. One row takes
about ten milliseconds.
"""

import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path

import magika
import numpy as np
import onnxruntime

from benchmarks.library_turns import Turns, turns
from benchmarks.serving_processes import broker_settings
from hotswap_stream import bootstrap
from hotswap_stream.application.artifacts.manifest import Batching
from hotswap_stream.application.artifacts.trial import ModelOptions

GRAPH = Path(magika.__file__).parent / "models" / "standard_v3_3" / "model.onnx"
BATCH_ROWS = 64
BYTES = 2_048
PARTITIONS = 4
AIM = 0.8
OPTIONS: dict[str, Batching | None] = {"magika_stream": "rows", "magika_stream_one_by_one": None}


def run(count: int = 1_000) -> list[dict[str, object]]:
    """Return the medians of the rounds, rows/s."""
    return [
        asyncio.run(_measure(batching, count)).row(
            name, f"ONNX Runtime alone, batches of {BATCH_ROWS} rows in memory", AIM, count
        )
        for name, batching in OPTIONS.items()
    ]


async def _measure(batching: Batching | None, count: int) -> Turns:
    async with broker_settings(PARTITIONS) as settings:
        content, _tried = await bootstrap.imported_model(settings, GRAPH, {}, ModelOptions(batching=batching))
        return await turns(settings, content, count, partial(_library_rate, count))


def _library_rate(count: int) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(GRAPH), options, providers=["CPUExecutionProvider"])
    rows = {"bytes": np.random.default_rng(0).integers(0, 256, (BATCH_ROWS, BYTES)).astype(np.int32)}
    session.run(None, rows)
    began = time.perf_counter()
    for _ in range(0, count, BATCH_ROWS):
        session.run(None, rows)
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2))
