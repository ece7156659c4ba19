"""Request → answer at 1 and at 50 in flight, by topic and over HTTP, next to a bare aiokafka echo of the same bytes.

    python -m benchmarks.request_latency [REQUESTS]

The model is the FFNN (27,562 parameters, 3.1 KB requests) in one worker. The echo is one process that sends every
record back; nothing is decoded, computed, matched to a version or checked. Echo, topic and HTTP take turns.
"""

import asyncio
import json
import sys
from statistics import median

from benchmarks.bare_echo import EchoTarget
from benchmarks.serving_processes import Served, process, served, url_of
from hotswap_events.topics import TopicSpec
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.client.load.drive import LoadPlan
from hotswap_stream.client.load.session import LoadSubject, run_load
from hotswap_stream.client.load.tally import Latencies, LoadReport

ARCHITECTURE = "ffnn-784-32-32-32-10"
MODEL = "ffnn"
PARTITIONS = 4
IN_FLIGHT = (1, 50)
ROUNDS = 3
WARM_UP_REQUESTS = 500
BODY_BYTES = 784 * 4 + 64
P50_AIM, P99_AIM = 1.3, 1.5
ECHO_TOPICS = ("bench.echo-requests", "bench.echo-responses")

Key = tuple[str, int]


async def _by_echo(stage: Served, plan: LoadPlan) -> LoadReport:
    target = EchoTarget(str(stage.settings.kafka_bootstrap_servers), *ECHO_TOPICS, PARTITIONS, BODY_BYTES)
    await target.open()
    try:
        return await run_load(target, LoadSubject(model_name="echo"), plan, target_name="echo")
    finally:
        await target.close()


async def _measure(requests: int) -> dict[Key, list[Latencies]]:
    found: dict[Key, list[Latencies]] = {}
    async with served(MODEL, ARCHITECTURE, partitions=PARTITIONS) as stage:
        servers = str(stage.settings.kafka_bootstrap_servers)
        specs = [
            TopicSpec(name=name, partitions=PARTITIONS, cleanup_policy="delete", retention_ms=-1)
            for name in ECHO_TOPICS
        ]
        await ensure_topics(bootstrap.connection(stage.settings), specs)
        echo = (sys.executable, "-m", "benchmarks.bare_echo", servers, *ECHO_TOPICS, str(PARTITIONS))
        with (
            stage.command("worker", "--name", "w1"),
            stage.command("api", "--port", "0") as api,
            process(echo, stage.settings) as echoing,
        ):
            await stage.until_answered()
            url = await asyncio.to_thread(url_of, api)
            assert echoing.stdout is not None
            await asyncio.to_thread(echoing.stdout.readline)
            for in_flight in IN_FLIGHT:
                for number in range(ROUNDS + 1):
                    count = requests if number else WARM_UP_REQUESTS
                    plan = LoadPlan(concurrency=in_flight, requests=count, timeout_s=60)
                    for name, report in (
                        ("echo", await _by_echo(stage, plan)),
                        ("topic", await stage.by_topic(plan)),
                        ("HTTP", await stage.by_http(url, plan)),
                    ):
                        assert report.latency_ms is not None
                        assert report.succeeded == count, report
                        if number:
                            found.setdefault((name, in_flight), []).append(report.latency_ms)
    return found


def run(requests: int = 3_000) -> list[dict[str, object]]:
    """Return medians of the rounds, ms; the ratio is ours to the echo's, so smaller is better."""
    found = asyncio.run(_measure(requests))
    results: list[dict[str, object]] = []
    for in_flight in IN_FLIGHT:
        for way in ("topic", "HTTP"):
            for percentile, aim in (("p50", P50_AIM), ("p99", P99_AIM)):
                ours = [getattr(latency, percentile) for latency in found[way, in_flight]]
                echo = [getattr(latency, percentile) for latency in found["echo", in_flight]]
                ratio = median(mine / theirs for mine, theirs in zip(ours, echo, strict=True))
                results.append(
                    {
                        "name": f"request_latency {way} {in_flight} in flight {percentile}",
                        "ours": round(median(ours), 3),
                        "compared_with": "a bare aiokafka echo",
                        "comparison": round(median(echo), 3),
                        "unit": "ms",
                        "ratio": round(ratio, 3),
                        "aim": f"<= {aim}",
                        "holds": ratio <= aim,
                        "requests": requests,
                    }
                )
    return results


if __name__ == "__main__":
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2))
