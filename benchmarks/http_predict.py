"""HTTP predict through Kafka, next to a bare ASGI micro-batcher with eager torch on the same HTTP server.

    python -m benchmarks.http_predict [REQUESTS]

The CNN (1.2 M parameters, 28×28), raw tensors, 64 requests at once. The product's requests go through API, Kafka,
worker and back, and its answers carry where they come from; the comparison is one process that only computes. They
take turns, each with the machine to itself.
"""

import asyncio
import json
import sys
from statistics import median

from benchmarks.serving_processes import process, served, url_of
from hotswap_stream.client.load.drive import LoadPlan
from hotswap_stream.client.load.tally import LoadReport

ARCHITECTURE = "cnn-28"
MODEL = "cnn"
CONCURRENCY = 64
ROUNDS = 3
AIM = 1.0
WARM_UP_REQUESTS = 1_000


async def _measure(requests: int) -> tuple[list[LoadReport], list[LoadReport]]:
    plan = LoadPlan(concurrency=CONCURRENCY, requests=requests, timeout_s=60)
    warm_up = LoadPlan(concurrency=CONCURRENCY, requests=WARM_UP_REQUESTS, timeout_s=60)
    ours, bare = list[LoadReport](), list[LoadReport]()
    async with served(MODEL, ARCHITECTURE) as stage:
        batcher = (sys.executable, "-m", "benchmarks.bare_batcher", ARCHITECTURE)
        with (
            stage.command("worker", "--name", "w1"),
            stage.command("api", "--port", "0") as api,
            process(batcher, stage.settings) as other,
        ):
            await stage.until_answered()
            urls = await asyncio.to_thread(url_of, api), await asyncio.to_thread(url_of, other)
            for url in urls:
                await stage.by_http(url, warm_up)
            for _ in range(ROUNDS):
                ours.append(await stage.by_http(urls[0], plan))
                bare.append(await stage.by_http(urls[1], plan))
    return ours, bare


def run(requests: int = 10_000) -> list[dict[str, object]]:
    """Return medians of the rounds, answers/s."""
    ours, bare = asyncio.run(_measure(requests))
    ratio = median(mine.succeeded_per_s / theirs.succeeded_per_s for mine, theirs in zip(ours, bare, strict=True))
    return [
        {
            "name": "http_predict",
            "ours": round(median(report.succeeded_per_s for report in ours)),
            "compared_with": "a bare ASGI micro-batcher with eager torch",
            "comparison": round(median(report.succeeded_per_s for report in bare)),
            "unit": "answers/s",
            "ratio": round(ratio, 3),
            "aim": f">= {AIM}",
            "holds": ratio >= AIM,
            "concurrency": CONCURRENCY,
            "requests": requests,
            "p50_ms": median(_p50(report) for report in ours),
            "comparison_p50_ms": median(_p50(report) for report in bare),
        }
    ]


def _p50(report: LoadReport) -> float:
    assert report.latency_ms is not None
    return report.latency_ms.p50


if __name__ == "__main__":
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2))
