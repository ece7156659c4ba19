"""JSON requests through Kafka in one worker, next to bare msgspec on the same bytes in one process.

    python -m benchmarks.json_stream [REQUESTS]

The FFNN with requests of the Open Inference Protocol as JSON: 784 numbers as numpy writes them, 15 KB. The comparison
decodes each request into its typed form and encodes it again: nothing is read from Kafka, turned into tensors, computed
or checked. A second, harder one encodes an answer such as the worker's instead, which is much shorter.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from statistics import median

import msgspec

from benchmarks.serving_processes import served
from benchmarks.worker_rounds import DISTINCT, WorkerRounds, facts_of
from hotswap_events.inference.messages import InferRequest, InferResponse

ARCHITECTURE = "ffnn-784-32-32-32-10"
ROUNDS = 3
AIM = 0.5
BARE_SECONDS = 2.0


def _bare(bodies: Sequence[bytes], answer: InferResponse | None) -> float:
    """Return requests per second, decoded and answered. `None` as the answer: each request is its own."""
    decode, encode = msgspec.json.Decoder(InferRequest).decode, msgspec.json.Encoder().encode
    began, done = time.perf_counter(), 0
    while time.perf_counter() < began + BARE_SECONDS:
        for body in bodies:
            request = decode(body)
            encode(request if answer is None else answer)
        done += len(bodies)
    return done / (time.perf_counter() - began)


async def _measure(count: int) -> tuple[list[tuple[float, float, float]], dict[str, object]]:
    found: list[tuple[float, float, float]] = []
    async with served("ffnn", ARCHITECTURE) as stage:
        rounds = WorkerRounds(stage, json=True)
        await rounds.settle()
        bodies = list(rounds.bodies(DISTINCT))
        executors: set[str] = set()
        for _ in range(ROUNDS):
            await rounds.fill(count)
            counted = await rounds.answered(count)
            executors.add(str(facts_of(counted).executor))
            answer = msgspec.json.decode(counted.last.value() or b"", type=InferResponse)
            both = [await asyncio.to_thread(_bare, bodies, each) for each in (None, answer)]
            found.append((counted.per_s, both[0], both[1]))
    facts: dict[str, object] = {
        "requests": count,
        "request_bytes": len(bodies[0]),
        "executor": ", ".join(sorted(executors)),
    }
    return found, facts


def run(count: int = 30_000) -> list[dict[str, object]]:
    """Return medians of the rounds, answers/s."""
    found, facts = asyncio.run(_measure(count))
    results: list[dict[str, object]] = []
    for place, (name, compared_with) in enumerate(
        (
            ("json_stream", "bare msgspec: the request decoded and encoded again"),
            ("json_stream answer", "bare msgspec: the request decoded, an answer encoded"),
        ),
        start=1,
    ):
        ratio = median(each[0] / each[place] for each in found)
        results.append(
            {
                "name": name,
                "ours": round(median(each[0] for each in found)),
                "compared_with": compared_with,
                "comparison": round(median(each[place] for each in found)),
                "unit": "answers/s",
                "ratio": round(ratio, 3),
                "aim": f">= {AIM}",
                "holds": ratio >= AIM,
                **facts,
            }
        )
    return results


if __name__ == "__main__":
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2))
