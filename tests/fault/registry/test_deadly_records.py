"""Records that end the agents' process itself, on the real broker: put aside at the third start, and no other is."""

import asyncio
from pathlib import Path

import msgspec

from hotswap_events import headers
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.registry import register
from tests.support.stages.agents import SECONDS_MAX, AgentsStage, agents_stage


async def letters(stage: AgentsStage, count: int) -> list[tuple[str, str]]:
    """Topic and cause of the dead letters, once there is that number of them."""
    async with asyncio.timeout(SECONDS_MAX):
        while len(found := await stage.records(stage.topics.dead_letters)) < count:
            await asyncio.sleep(0.2)
    named = [dict(letter.headers) for letter in found]
    return [(each[headers.ORIGIN_TOPIC].decode(), each[headers.DEAD_LETTER_CAUSE].decode()) for each in named]


async def test_a_record_that_ends_the_process_twice_is_put_aside_at_the_third_start(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """A record that crashed the agents crashed them at every start."""
    async with agents_stage(kafka, topic_prefix, tmp_path, module="tests.support.processes.dying_agents") as stage:
        await stage.send([register(command_id="before"), register(command_id="kills-1"), register(command_id="behind")])
        results = await stage.results(["before", "kills-1", "behind"])
        assert results["behind"][0].status == "accepted"
        assert results["kills-1"][-1].status == "failed"
        assert results["kills-1"][-1].detail is not None
        assert "2 times" in results["kills-1"][-1].detail
        assert [topic for topic, _cause in await letters(stage, 1)] == [stage.topics.commands]
        assert stage.supervisor.status("agents").restarts == 2


async def test_records_that_were_in_hand_beside_a_deadly_one_are_handled(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with agents_stage(kafka, topic_prefix, tmp_path, module="tests.support.processes.dying_agents") as stage:
        deadly = msgspec.json.encode(ObservedTraffic(worker="kills").record("v1"))
        await stage.producer.send(stage.topics.observations, deadly, key=b"digits")
        commands = [register(command_id=f"c{number}") for number in range(40)]
        await stage.send(commands)
        results = await stage.results([command.command_id for command in commands])
        statuses = [found[-1].status for found in results.values()]
        assert set(statuses) <= {"accepted", "unchanged"}, statuses
        [(topic, cause)] = await letters(stage, 1)
        assert topic == stage.topics.observations
        assert "2 times" in cause
        after = register(command_id="after")
        await stage.send([after])
        assert (await stage.results(["after"]))["after"][0].status == "accepted"
        assert len(await stage.records(stage.topics.dead_letters)) == 1
