"""The CNN through Kafka in one worker with one torch thread, next to eager torch and the chosen executor without Kafka.

    python -m benchmarks.cnn_stream [REQUESTS]

1.2 M parameters, 28×28, raw tensors with ids, requests that wait in Kafka; answers per second from 10 % to 100 % of the
answers. The comparison: the same weights in one process without Kafka, in one thread, in full batches of the worker's
size: torch as it is, and the executor that the worker's answers name. They take turns.
"""

import asyncio
import json
import sys
import time
from statistics import median

from benchmarks.executors import inputs_of
from benchmarks.serving_processes import served
from benchmarks.worker_rounds import WorkerRounds, facts_of
from hotswap_stream import bootstrap
from hotswap_stream.adapters.torch.executors.loaded_model import TorchLoadedModel
from hotswap_stream.adapters.torch.executors.loader import TorchModelLoader

ARCHITECTURE = "cnn-28"
ROUNDS = 3
EAGER_AIM, EXECUTOR_AIM = 2.5, 0.92
BARE_SECONDS = 3.0


def _rows_per_s(model: TorchLoadedModel, rows: int) -> float:
    inputs = inputs_of(model, rows)
    model.infer(inputs)
    began, passes = time.perf_counter(), 0
    while time.perf_counter() < began + BARE_SECONDS:
        model.infer(inputs)
        passes += 1
    return rows * passes / (time.perf_counter() - began)


async def _measure(count: int) -> tuple[list[tuple[float, float, float]], str]:
    """Return the rates of each round (ours, eager, the executor), and the executor's name."""
    found: list[tuple[float, float, float]] = []
    async with served("cnn", ARCHITECTURE) as stage:
        rounds = WorkerRounds(stage)
        executor = str((await rounds.settle()).executor)
        loader = TorchModelLoader(
            bootstrap.artifact_store(stage.settings), config=bootstrap.executor_config(stage.settings)
        )
        try:
            eager = await loader.load_exactly(stage.artifact.digest, "eager")
            chosen = await loader.load_exactly(stage.artifact.digest, executor)
            rows = stage.settings.batch_size_max
            for _ in range(ROUNDS):
                await rounds.fill(count)
                counted = await rounds.answered(count)
                assert facts_of(counted).executor == executor, "the worker chose another executor"
                bare = [await asyncio.to_thread(_rows_per_s, model, rows) for model in (eager, chosen)]
                found.append((counted.per_s, bare[0], bare[1]))
        finally:
            loader.close()
    return found, executor


def run(count: int = 50_000) -> list[dict[str, object]]:
    """Return medians of the rounds, answers/s."""
    found, executor = asyncio.run(_measure(count))
    facts: dict[str, object] = {"requests": count, "executor": executor}
    ours, eager, chosen = ([each[place] for each in found] for place in range(3))
    return [
        _result("cnn_stream eager", "torch eager, full batches, without Kafka", ours, eager, EAGER_AIM, facts),
        _result("cnn_stream executor", f"{executor}, full batches, without Kafka", ours, chosen, EXECUTOR_AIM, facts),
    ]


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
