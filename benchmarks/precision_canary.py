"""The same weights in bf16 as a canary: they earn the place of full precision by true labels, live, without a person.

    python -m benchmarks.precision_canary [REQUESTS_PER_SECOND]

Two versions of one digest: v1 as it was trained, v2 with OpenVINO in bf16. Half of the users get v2; true labels come
back for a fifth of the answers. What decided is printed, and stands in the event. Whether bf16 is also faster depends
on the processor: see `benchmarks.precisions`.
"""

import asyncio
import json
import sys

from benchmarks.live_rollout import MODEL, own_live_digits
from benchmarks.simulated_rates import result
from hotswap_events.commands import RegisterVersion
from hotswap_events.registry.events import Provenance
from hotswap_events.registry.version_options import VersionOptions
from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import CanaryStrategy, MetricRule, RolloutPolicy
from hotswap_stream.application.descriptions.event import describe
from hotswap_stream.application.registry.fold import Applied

LOWER = VersionOptions(executor="openvino", precision="bf16")
LABELLED = 0.2
POLICY = RolloutPolicy(
    metrics=(MetricRule(metric="accuracy", margin=0.05), MetricRule(metric="success-rate", margin=0.02)),
    bake_seconds=0,
)
SECONDS_MAX = 500.0
RATE = 500.0
WARM_UP_SECONDS = 5.0


async def _measure(rate: float) -> dict[str, object]:
    async with own_live_digits(rate=rate, labelled=LABELLED) as live:
        accuracy = await live.trained(seed=1)
        await live.switched("v1")
        artifact = live.registry.state(MODEL).versions["v1"].artifact
        provenance = Provenance(origin="imported", created_by="live")
        await live.command(RegisterVersion(**live.meta(), artifact=artifact, provenance=provenance, options=LOWER))
        # What is measured here is live: validation counts both as equally good.
        await live.validated("v2", accuracy, ("v1", accuracy))
        command = StartRollout(**live.meta(), strategy=CanaryStrategy(weight=5_000), candidates=("v2",), policy=POLICY)
        ended, seconds = await live.rolled_out(command, seconds_max=SECONDS_MAX, warm_up_seconds=WARM_UP_SECONDS)
        state = live.registry.state(MODEL)
        story = [describe(entry.outcome.event) for entry in live.registry.tail if isinstance(entry.outcome, Applied)]
    for line in story:
        print(line, file=sys.stderr)
    versions = [state.versions[name] for name in ("v1", "v2")]
    return result(
        name=f"bf16 of the same digest as a canary, {rate:.0f} answers/s",
        ours=round(seconds, 1),
        unit="s until it was promoted",
        compared_with="full precision of the same digest",
        comparison=0.0,
        ratio=0.0,
        aim="promoted by itself",
        holds=ended.status == "promoted"
        and state.active_version == "v2"
        and versions[0].artifact.digest == versions[1].artifact.digest,
        answers=dict(live.answered),
        labels=dict(live.labels),
        evidence=[
            {"metric": each.metric, "value": each.value, "interval": [each.lower, each.upper], "count": each.count}
            for analysis in ended.analyses[-1:]
            for each in analysis.evidence
        ],
    )


def run(rate: float = RATE) -> list[dict[str, object]]:
    """Run one rollout."""
    return [asyncio.run(_measure(rate))]


if __name__ == "__main__":
    print(json.dumps(run(float(sys.argv[1]) if len(sys.argv) > 1 else RATE), indent=2))
