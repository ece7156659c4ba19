"""What a shadow costs those who wait for the primary's answers: p99 with it on, next to p99 with it off.

    python -m benchmarks.shadow_cost [SECONDS]

One worker, the FFNN, an open loop at a rate well below saturation, by topic. The shadow is a second version of the
same architecture and sees all requests. Each round measures off, on, and off once more, in turning order; each on is a
rollout of its own. The second off says what the machine does by itself: a ratio no further from 1 than that one shows
nothing.
"""

import asyncio
import json
import sys
from itertools import permutations
from statistics import median, quantiles
from typing import Any, Literal

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.serving_processes import Served, served
from hotswap_events.commands import AnyCommand, RegisterVersion
from hotswap_events.inference.observation import Observation
from hotswap_events.registry.events import Provenance
from hotswap_events.rollouts.commands import AbortRollout, StartRollout
from hotswap_events.rollouts.strategy import RolloutPolicy, ShadowStrategy
from hotswap_stream import bootstrap
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.client.load.drive import LoadPlan

ARCHITECTURE = "ffnn-784-32-32-32-10"
MODEL = "ffnn"
RATE_PER_S = 400.0
ROUNDS = 9
SETTLING_SECONDS = 4.0
AIM = 1.05
_BY: dict[str, Any] = {"actor": "benchmark", "model_name": MODEL}


async def _handle(registry: Registry, command: AnyCommand) -> None:
    result = await registry.handle(command)
    assert result.status == "accepted", result


Phase = Literal["off", "on", "off again"]
_ORDERS: tuple[tuple[Phase, ...], ...] = tuple(permutations(("off", "on", "off again")))


async def _measure(seconds: float) -> tuple[list[dict[Phase, float]], int, int]:
    """Return the p99 of each round's phases, ms, and how many requests the shadow computed and skipped."""
    rounds: list[dict[Phase, float]] = []
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
        settling = LoadPlan(rate_per_s=RATE_PER_S, seconds=SETTLING_SECONDS, timeout_s=60)
        with stage.command("worker", "--name", "w1"):
            await stage.until_answered()
            await stage.by_topic(plan)
            for number in range(ROUNDS):
                p99: dict[Phase, float] = {}
                for phase in _ORDERS[number % len(_ORDERS)]:
                    if phase == "on":
                        start = StartRollout(
                            command_id=f"start-{number}",
                            **_BY,
                            strategy=ShadowStrategy(),
                            candidates=("v2",),
                            policy=RolloutPolicy(auto_archive=False),
                            forced=True,
                        )
                        await _handle(registry, start)
                    # Loading and unloading a version has a cost of its own, which is not the shadow's.
                    await stage.by_topic(settling)
                    report = await stage.by_topic(plan)
                    assert report.latency_ms is not None
                    p99[phase] = report.latency_ms.p99
                    if phase == "on":
                        await _handle(registry, AbortRollout(command_id=f"abort-{number}", **_BY))
                rounds.append(p99)
            await asyncio.sleep(2.0)
        computed, skipped = await _shadowed(stage)
    return rounds, computed, skipped


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


def run(seconds: float = 8.0) -> list[dict[str, object]]:
    """Return the median over the rounds of on divided by off, and of off divided by off."""
    rounds, computed, skipped = asyncio.run(_measure(seconds))
    # Both phases without a shadow, so that neither is compared with one lucky figure.
    off = [(p99["off"] + p99["off again"]) / 2 for p99 in rounds]
    ratios = [p99["on"] / base for p99, base in zip(rounds, off, strict=True)]
    noise = [p99["off again"] / p99["off"] for p99 in rounds]
    ratio = median(ratios)
    return [
        {
            "name": "shadow_cost p99",
            "ours": round(median(p99["on"] for p99 in rounds), 3),
            "compared_with": "the same load without a shadow",
            "comparison": round(median(off), 3),
            "unit": "ms",
            "ratio": round(ratio, 3),
            "ratio_quartiles": [round(value, 3) for value in quantiles(ratios)],
            "off_to_off": round(median(noise), 3),
            "off_to_off_quartiles": [round(value, 3) for value in quantiles(noise)],
            "aim": f"<= {AIM}",
            "holds": ratio <= AIM,
            "rate_per_s": RATE_PER_S,
            "shadow_computed": computed,
            "shadow_skipped": skipped,
            "rounds": [[round(p99[phase], 3) for phase in ("off", "on", "off again")] for p99 in rounds],
        }
    ]


if __name__ == "__main__":
    print(json.dumps(run(*(float(argument) for argument in sys.argv[1:2])), indent=2))
