"""A canary trained on inverted digits, live, at 5 % of the traffic.

    python -m benchmarks.bad_canary [REQUESTS_PER_SECOND]

The labels of a fifth of the answers come back. What it costs until it is aborted by itself is counted in wrong answers,
against the theoretical least: those of an exact test of fixed size that knows the baseline's accuracy, reads each label
the moment the answer is given, and is looked at once. Most of the difference is the time that labels take: to be sent,
joined, folded and decided on.
"""

import asyncio
import json
import sys
from math import comb

from benchmarks.live_rollout import MODEL, own_live_digits
from benchmarks.simulated_rates import result
from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import CanaryStrategy, MetricRule, RolloutPolicy

SHARE = 0.05
LABELLED = 0.2
POLICY = RolloutPolicy(metrics=(MetricRule(metric="accuracy", margin=0.05),), answers_min=50)
SECONDS_MAX = 300.0
RATE = 2_000.0
WARM_UP_SECONDS = 10.0
LABELS_MAX = 1_000


def exact_labels(good: float, bad: float) -> int:
    """Return how many labels a binomial test at 0.025 against `good`, looked at once, needs to find `bad` in 80 %."""

    def up_to(count: int, labels: int, rate: float) -> float:
        return sum(comb(labels, right) * rate**right * (1 - rate) ** (labels - right) for right in range(count + 1))

    for labels in range(1, LABELS_MAX):
        right = max((count for count in range(labels) if up_to(count, labels, good) <= 0.025), default=None)
        if right is not None and up_to(right, labels, bad) >= 0.8:
            return labels
    raise ValueError(f"{bad} is too near to {good}")


async def _measure(rate: float) -> dict[str, object]:
    async with own_live_digits(rate=rate, labelled=LABELLED) as live:
        good = await live.trained(seed=1)
        await live.switched("v1")
        bad = await live.trained("inverted", seed=2)
        command = StartRollout(
            **live.meta(),
            strategy=CanaryStrategy(weight=round(SHARE * 10_000)),
            candidates=("v2",),
            policy=POLICY,
            forced=True,
        )
        ended, seconds = await live.rolled_out(command, seconds_max=SECONDS_MAX, warm_up_seconds=WARM_UP_SECONDS)
        archived = live.registry.state(MODEL).versions["v2"].stage == "archived"
    # For each label that the test needs there are answers that get none.
    least = exact_labels(good, bad) / LABELLED * (1 - bad)
    wrong = live.wrong["v2"]
    [evidence] = ended.analyses[-1].evidence
    return result(
        name=f"wrong answers by a canary trained on inverted digits, {SHARE:.0%} of {rate:.0f} answers/s",
        ours=wrong,
        unit="wrong answers until it was aborted",
        compared_with="exact test of fixed size on labels that take no time",
        comparison=round(least, 1),
        ratio=round(wrong / max(1.0, least), 2),
        aim="aborted and archived by itself",
        holds=ended.status == "aborted" and archived,
        seconds=round(seconds, 1),
        answers=sum(live.answered.values()),
        answers_a_second=round(sum(live.answered.values()) / seconds),
        by_the_canary=live.answered["v2"],
        labels_of_the_canary_when_decided=evidence.count,
        labels_of_the_exact_test=exact_labels(good, bad),
        accuracy=good,
        accuracy_of_the_canary=bad,
    )


def run(rate: float = RATE) -> list[dict[str, object]]:
    """Run one rollout."""
    return [asyncio.run(_measure(rate))]


if __name__ == "__main__":
    print(json.dumps(run(float(sys.argv[1]) if len(sys.argv) > 1 else RATE), indent=2))
