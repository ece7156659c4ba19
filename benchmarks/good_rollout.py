"""A good version, 5, 25, 50, 100 %, live, without a person.

    python -m benchmarks.good_rollout [REQUESTS_PER_SECOND]

Each share is earned by labels of the answers at that share; a fifth of the answers get one.
"""

import asyncio
import json
import sys

from benchmarks.live_rollout import MODEL, own_live_digits
from benchmarks.simulated_rates import result
from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import (
    AnalysisStep,
    MetricRule,
    PauseStep,
    ProgressiveStrategy,
    RolloutPolicy,
    RolloutStep,
    SetWeightStep,
)
from hotswap_stream.application.descriptions.event import describe
from hotswap_stream.application.registry.fold import Applied

LABELLED = 0.2
POLICY = RolloutPolicy(
    metrics=(MetricRule(metric="accuracy", margin=0.05), MetricRule(metric="success-rate", margin=0.02))
)
SHARES = (500, 2_500, 5_000)
SECONDS_MAX = 600.0
RATE = 2_000.0
WARM_UP_SECONDS = 10.0


async def _measure(rate: float) -> dict[str, object]:
    steps: tuple[RolloutStep, ...] = (
        *(step for share in SHARES for step in (SetWeightStep(weight=share), AnalysisStep())),
        SetWeightStep(weight=10_000),
        PauseStep(duration_seconds=5),
    )
    async with own_live_digits(rate=rate, labelled=LABELLED) as live:
        first = await live.trained(seed=1)
        await live.switched("v1")
        second = await live.trained(epochs=8, seed=2)
        await live.validated("v2", second, ("v1", first))
        command = StartRollout(
            **live.meta(), strategy=ProgressiveStrategy(steps=steps), candidates=("v2",), policy=POLICY
        )
        ended, seconds = await live.rolled_out(command, seconds_max=SECONDS_MAX, warm_up_seconds=WARM_UP_SECONDS)
        active = live.registry.state(MODEL).active_version
        story = [describe(entry.outcome.event) for entry in live.registry.tail if isinstance(entry.outcome, Applied)]
    for line in story:
        print(line, file=sys.stderr)
    return result(
        name=f"a good version, progressive 5, 25, 50, 100 %, {rate:.0f} answers/s",
        ours=round(seconds, 1),
        unit="s until it was promoted",
        compared_with="pause of the last step alone",
        comparison=5.0,
        ratio=round(seconds / 5.0, 1),
        aim="promoted by itself",
        holds=ended.status == "promoted" and active == "v2",
        answers=sum(live.answered.values()),
        answers_a_second=round(sum(live.answered.values()) / seconds),
        labels_by_step=[entry.evidence[0].count for entry in ended.analyses],
        accuracy=first,
        accuracy_of_the_candidate=second,
    )


def run(rate: float = RATE) -> list[dict[str, object]]:
    """Run one rollout."""
    return [asyncio.run(_measure(rate))]


if __name__ == "__main__":
    print(json.dumps(run(float(sys.argv[1]) if len(sys.argv) > 1 else RATE), indent=2))
