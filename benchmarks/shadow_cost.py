"""What a shadow costs those who wait for the primary's answers: p99 with it on, beside p99 with it off.

    python -m benchmarks.shadow_cost [SECONDS]

One worker, the FFNN, an open loop at a rate well below saturation, by topic. The shadow is a second version of the
same architecture and sees all requests. On and off take turns; each on is a rollout of its own.
"""

import asyncio
import json
import sys
from statistics import median
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.serving_processes import Served, served
from hotswap_events.commands import AnyCommand, RegisterVersion
from hotswap_events.observation import Observation
from hotswap_events.registry import Provenance
from hotswap_events.rollout_commands import AbortRollout, StartRollout
from hotswap_events.rollout_strategy import RolloutPolicy, ShadowStrategy
from hotswap_stream import bootstrap
from hotswap_stream.application.registry import Registry
from hotswap_stream.client.load.drive import LoadPlan

ARCHITECTURE = "ffnn-784-32-32-32-10"
MODEL = "ffnn"
RATE_PER_S = 400.0
ROUNDS = 6
AIM = 1.05
_BY: dict[str, Any] = {"actor": "benchmark", "model_name": MODEL}


async def _handle(registry: Registry, command: AnyCommand) -> None:
    result = await registry.handle(command)
    assert result.status == "accepted", result


async def _measure(seconds: float) -> tuple[list[tuple[float, float]], int, int]:
    """p99 off and on of each round, ms; and how many requests the shadow computed and skipped."""
    pairs = []
    async with served(MODEL, ARCHITECTURE) as stage, bootstrap.open_registry(stage.settings, "benchmark") as registry:
        active = registry.state(MODEL).active
        assert active is not None
        second = RegisterVersion(
            command_id="second",
            **_BY,
            artifact=active.artifact,
            provenance=Provenance(origin="imported", created_by="benchmark"),
        )
        await _handle(registry, second)
        plan = LoadPlan(rate_per_s=RATE_PER_S, seconds=seconds, timeout_s=60)
        with stage.command("worker", "--name", "w1"):
            await stage.until_answered()
            await stage.by_topic(plan)
            for number in range(ROUNDS):
                p99 = {}
                for shadowed in (False, True) if number % 2 else (True, False):
                    if shadowed:
                        start = StartRollout(
                            command_id=f"start-{number}",
                            **_BY,
                            strategy=ShadowStrategy(),
                            candidates=("v2",),
                            policy=RolloutPolicy(auto_archive=False),
                            forced=True,
                        )
                        await _handle(registry, start)
                        # The version may have to be loaded first.
                        await asyncio.sleep(1.0)
                    report = await stage.by_topic(plan)
                    assert report.latency_ms is not None
                    p99[shadowed] = report.latency_ms.p99
                    if shadowed:
                        await _handle(registry, AbortRollout(command_id=f"abort-{number}", **_BY))
                pairs.append((p99[False], p99[True]))
            await asyncio.sleep(2.0)
        computed, skipped = await _shadowed(stage)
    return pairs, computed, skipped


async def _shadowed(stage: Served) -> tuple[int, int]:
    topic = bootstrap.topics(stage.settings).observations
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stage.settings.kafka_bootstrap_servers, group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(4)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        computed = skipped = 0
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, []):
                    seen = msgspec.json.decode(record.value, type=Observation)
                    if seen.role == "shadow":
                        computed, skipped = computed + seen.answers, skipped + seen.skipped
        return computed, skipped
    finally:
        await consumer.stop()


def run(seconds: float = 10.0) -> list[dict[str, object]]:
    """The median over the rounds, ms."""
    pairs, computed, skipped = asyncio.run(_measure(seconds))
    ratio = median(on / off for off, on in pairs)
    return [
        {
            "name": "shadow_cost p99",
            "ours": round(median(on for _, on in pairs), 3),
            "compared_with": "the same load without a shadow",
            "comparison": round(median(off for off, _ in pairs), 3),
            "unit": "ms",
            "ratio": round(ratio, 3),
            "aim": f"<= {AIM}",
            "holds": ratio <= AIM,
            "rate_per_s": RATE_PER_S,
            "shadow_computed": computed,
            "shadow_skipped": skipped,
            "rounds": [[round(off, 3), round(on, 3)] for off, on in pairs],
        }
    ]


if __name__ == "__main__":
    print(json.dumps(run(*(float(argument) for argument in sys.argv[1:2])), indent=2))
