"""What a training run costs those who ask a worker of the same machine: p99 with a run beside it, next to p99 without.

    python -m benchmarks.training_beside [SECONDS]

One worker, the FFNN, an open loop at a rate well below saturation, by topic; one runner with its own settings, which
trains the image classifier of the product on the bundled digits, on one thread that stands back by niceness. Each round
measures without, with, and without once more, in turning order; the runner is there all the time. The second time
without says what the machine does by itself: a ratio no further from 1 than that one shows nothing.
"""

import asyncio
import json
import os
import sys
from itertools import permutations
from statistics import median, quantiles
from typing import Any, Literal

from benchmarks.serving_processes import served
from hotswap_events.commands import AnyCommand, CancelTraining, RequestTraining
from hotswap_stream import bootstrap
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.client.load.drive import LoadPlan

ARCHITECTURE = "ffnn-784-32-32-32-10"
MODEL, TRAINED = "ffnn", "digits"
RATE_PER_S = 300.0
ROUNDS = 6
SETTLING_SECONDS = 4.0
START_SECONDS_MAX = 180.0
EPOCHS = 1_000
"""More than a phase lasts: each run is cancelled."""
AIM = 1.2

Phase = Literal["without", "with", "without again"]
_ORDERS: tuple[tuple[Phase, ...], ...] = tuple(permutations(("without", "with", "without again")))


async def _handle(registry: Registry, command: AnyCommand) -> None:
    result = await registry.handle(command)
    assert result.status == "accepted", result


async def _begun(registry: Registry, run_id: str) -> None:
    """Ask for a run, and return when its trainer is at work."""
    request = RequestTraining(
        command_id=f"ask-{run_id}",
        actor="benchmark",
        model_name=TRAINED,
        run_id=run_id,
        trainer="image-classifier",
        parameters={"epochs": EPOCHS},
    )
    await _handle(registry, request)
    async with asyncio.timeout(START_SECONDS_MAX):
        while registry.state(TRAINED).runs[run_id].status != "running":
            assert registry.state(TRAINED).runs[run_id].is_open, registry.state(TRAINED).runs[run_id]
            await registry.wait_for_change()


async def _measure(seconds: float) -> list[dict[Phase, float]]:
    """Return the p99 of each round's phases, ms."""
    rounds: list[dict[Phase, float]] = []
    plan = LoadPlan(rate_per_s=RATE_PER_S, seconds=seconds, timeout_s=60)
    settling = LoadPlan(rate_per_s=RATE_PER_S, seconds=SETTLING_SECONDS, timeout_s=60)
    async with served(MODEL, ARCHITECTURE) as stage, bootstrap.open_registry(stage.settings, "benchmark") as registry:
        with stage.command("worker", "--name", "w1"), stage.command("trainers", "--name", "t1"):
            await stage.until_answered()
            await stage.by_topic(plan)
            for number in range(ROUNDS):
                p99: dict[Phase, float] = {}
                for phase in _ORDERS[number % len(_ORDERS)]:
                    run_id = f"run-{number}"
                    if phase == "with":
                        await _begun(registry, run_id)
                    await stage.by_topic(settling)
                    report = await stage.by_topic(plan)
                    assert report.latency_ms is not None
                    p99[phase] = report.latency_ms.p99
                    if phase == "with":
                        assert registry.state(TRAINED).runs[run_id].is_open, "it trained all the time"
                        cancel = CancelTraining(
                            command_id=f"cancel-{number}", actor="benchmark", model_name=TRAINED, run_id=run_id
                        )
                        await _handle(registry, cancel)
                rounds.append(p99)
    return rounds


def run(seconds: float = 8.0) -> list[dict[str, object]]:
    """Return the median over the rounds of with divided by without, and of without divided by without."""
    before = os.getloadavg()[0]
    rounds = asyncio.run(_measure(seconds))
    # Both phases without a run, so that neither is compared with one lucky figure.
    without = [(p99["without"] + p99["without again"]) / 2 for p99 in rounds]
    ratios = [p99["with"] / base for p99, base in zip(rounds, without, strict=True)]
    noise = [p99["without again"] / p99["without"] for p99 in rounds]
    ratio = median(ratios)
    result: dict[str, Any] = {
        "name": "training_beside p99",
        "ours": round(median(p99["with"] for p99 in rounds), 3),
        "compared_with": "the same load without a training run",
        "comparison": round(median(without), 3),
        "unit": "ms",
        "ratio": round(ratio, 3),
        "ratio_quartiles": [round(value, 3) for value in quantiles(ratios)],
        "without_to_without": round(median(noise), 3),
        "without_to_without_quartiles": [round(value, 3) for value in quantiles(noise)],
        "aim": f"<= {AIM}",
        "holds": ratio <= AIM,
        "rate_per_s": RATE_PER_S,
        "processors": os.cpu_count(),
        "load_before": round(before, 2),
        "rounds": [[round(p99[phase], 3) for phase in ("without", "with", "without again")] for p99 in rounds],
    }
    return [result]


if __name__ == "__main__":
    print(json.dumps(run(*(float(argument) for argument in sys.argv[1:2])), indent=2))
