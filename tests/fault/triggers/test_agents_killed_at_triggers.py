"""The agents killed with -9 again and again while triggers fire: each slot starts one run, with its request."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from msgspec.structs import replace

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.envelope import Envelope
from hotswap_events.inference.observation import Feedback
from hotswap_events.training.events import TrainingRequested
from hotswap_events.training.policy import DataTrigger, ScheduleTrigger, TrainingPolicy
from hotswap_events.training.triggers import SetTrainingPolicy, TrainingTriggered
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.kafka.connection import KafkaConnection
from tests.support.clocks import SetClock
from tests.support.samples.registry import CountingIds
from tests.support.samples.training import cancel
from tests.support.samples.triggers import POLICY
from tests.support.stages.agents import SECONDS_MAX, AgentsStage, agents_stage, kill

MODELS = [f"m{number}" for number in range(24)]
ROWS = 40
HOURLY = replace(POLICY, schedule=ScheduleTrigger(cron="0 * * * *"))
BUFFERED = replace(POLICY, data=DataTrigger(rows=ROWS))


def set_policy(model_name: str, policy: TrainingPolicy) -> SetTrainingPolicy:
    return SetTrainingPolicy(command_id=f"policy-{model_name}", actor="alice", model_name=model_name, policy=policy)


async def set_long_ago(servers: str, prefix: str) -> None:
    """Policies whose schedule has come meanwhile, by a clock that is two hours late."""
    log = KafkaRegistryLog(KafkaConnection(bootstrap_servers=servers), f"{prefix}.registry")
    clock = SetClock(datetime.now(UTC) - timedelta(hours=2))
    registry = Registry(log, clock=clock, ids=CountingIds("long-ago"), source="/fault/long-ago")
    await registry.start()
    try:
        for name in MODELS:
            assert (await registry.handle(set_policy(name, HOURLY))).status == "accepted"
    finally:
        await registry.stop()


async def give_feedback(stage: AgentsStage, model_name: str, first: int) -> None:
    for number in range(first, first + ROWS):
        feedback = Feedback(
            model_name=model_name,
            feedback_id=f"f{number}",
            at=datetime.now(UTC),
            request_partition=0,
            request_offset=number,
            label=1,
        )
        await stage.producer.send(stage.topics.feedback, msgspec.json.encode(feedback), key=model_name.encode())
    await stage.producer.flush()


async def fired(stage: AgentsStage, trigger: str) -> list[TrainingTriggered]:
    """What fired, each with its request right after it."""
    events = [REGISTRY_CODEC.decode(record.value) for record in await stage.records(stage.topics.registry)]
    found = []
    for event, following in zip(events, [*events[1:], None], strict=False):
        assert isinstance(event, Envelope)
        if isinstance(event.data, TrainingTriggered) and event.data.trigger == trigger:
            assert isinstance(following, Envelope)
            assert isinstance(following.data, TrainingRequested)
            assert (following.data.run_id, following.causationid) == (event.data.run_id, event.causationid)
            found.append(event.data)
    return found


async def test_each_slot_starts_one_run(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with agents_stage(kafka, topic_prefix, tmp_path) as stage:
        setting = asyncio.create_task(set_long_ago(kafka, topic_prefix))
        await kill(stage)
        await setting
        await kill(stage)
        async with asyncio.timeout(SECONDS_MAX):
            while len(await fired(stage, "schedule")) < len(MODELS):
                await asyncio.sleep(0.2)

        await stage.send([set_policy("buffered", BUFFERED)])
        for number in range(2):
            await give_feedback(stage, "buffered", number * ROWS)
            if number == 1:
                await kill(stage)
            async with asyncio.timeout(SECONDS_MAX):
                while len(await fired(stage, "rows")) <= number:
                    await asyncio.sleep(0.2)
            last = (await fired(stage, "rows"))[-1]
            await stage.send([cancel(last.run_id, model_name="buffered", command_id=f"cancel-{number}")])
        await stage.results(["cancel-1"])
        runs = (await stage.fold()).streams
        scheduled, buffered = await fired(stage, "schedule"), await fired(stage, "rows")
    assert Counter(each.slot for each in buffered) == Counter(["1", "2"])
    assert len({each.run_id for each in scheduled}) == len(scheduled) == len(MODELS)
    assert all(len(runs[name].state.runs) == 1 for name in MODELS)
    assert all(each.figures["rows"] >= ROWS for each in buffered)
