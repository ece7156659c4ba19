"""The analysis killed with -9 in the middle of rollouts: what was decided is what one process would have decided."""

import asyncio
from pathlib import Path

import pytest

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.envelope import Envelope
from hotswap_events.rollouts.events import RolloutAnalysisRecorded, RolloutCompleted
from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy, Strategy
from tests.support.samples.registry import MODEL
from tests.support.samples.rollouts import CANARY, analysis, progressive, set_weight, start_rollout
from tests.support.stages.agents import SECONDS_MAX, AgentsStage, agents_stage, kill
from tests.support.stages.observed_rollout import analyses_of, begin, expected, seconds, send, traffic_of

POLICY = RolloutPolicy(metrics=(MetricRule(metric="success-rate", margin=0.03),), promote_on_operational=True)
SPLIT = {"v1": 9_700, "v2": 300}
GOOD, BAD = {"v1": 0.95, "v2": 0.95}, {"v1": 0.95, "v2": 0.90}
STEPS = progressive(set_weight(500), analysis(), set_weight(2_500), analysis(), set_weight(5_000), analysis())


async def ended(stage: AgentsStage) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while (await stage.fold()).state(MODEL).rollout is not None:
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("strategy", "rates", "outcome"), [(CANARY, BAD, "aborted"), (STEPS, GOOD, "promoted")], ids=["abort", "promote"]
)
async def test_the_decision_is_the_same_and_is_made_once(
    kafka: str, topic_prefix: str, tmp_path: Path, strategy: Strategy, rates: dict[str, float], outcome: str
) -> None:
    async with agents_stage(kafka, topic_prefix, tmp_path) as stage:
        command = start_rollout(strategy, "v2", policy=POLICY, command_id="c5")
        state = await begin(stage, command)
        assert state.rollout is not None
        records = seconds(traffic_of(state.rollout), 400, rates, SPLIT)
        decided, needed = expected(state, records)
        assert needed > 20
        for part in (records[: needed // 2], records[needed // 2 : needed - 1]):
            sending = asyncio.create_task(send(stage, part))
            await kill(stage)
            await sending
        await send(stage, records[needed // 2 :])  # some of them for the second time
        await ended(stage)
        assert stage.supervisor.status("agents").restarts == 2
        fold = await stage.fold()
        events = [REGISTRY_CODEC.decode(record.value) for record in await stage.records(stage.topics.registry)]

    state = fold.state(MODEL)
    rollout = state.rollout_history[-1]
    assert rollout.status == outcome
    assert [(found.outcome, found.step_index, found.evidence) for found in analyses_of(state)] == decided
    assert (fold.void_count, fold.applied_count) == (0, len(events))
    envelopes = [event for event in events if isinstance(event, Envelope)]
    recorded = [event for event in envelopes if isinstance(event.data, RolloutAnalysisRecorded)]
    assert len({event.causationid for event in recorded}) == len(recorded) == len(decided)
    assert sum(isinstance(event.data, RolloutCompleted) for event in envelopes) == 1
