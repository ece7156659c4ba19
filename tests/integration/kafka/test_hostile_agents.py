"""Records that ended the agents, on the real broker: each is put aside or passed over, and the next one is handled."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from hotswap_events import headers as header_names
from hotswap_events.commands import AnyCommand
from hotswap_events.inference.messages import AnswerFacts, InferResponse, InferTensor
from hotswap_events.inference.observation import Feedback
from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy
from tests.support.kafka.raw_records import send_compressed, send_with_a_nameless_header
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.registry import MODEL, register, validate
from tests.support.samples.rollouts import CANARY, start_rollout
from tests.support.stages.agents import AgentsStage, agents_stage

REWARDS = RolloutPolicy(metrics=(MetricRule(metric="reward", margin=0.05),))


async def causes(stage: AgentsStage) -> list[str]:
    letters = await stage.records(stage.topics.dead_letters)
    return [dict(letter.headers)[header_names.DEAD_LETTER_CAUSE].decode() for letter in letters]


async def goes_on(stage: AgentsStage, name: str) -> None:
    """Commands are handled, by the process that was there before."""
    await stage.send([register(command_id=name)])
    results = await stage.results([name])
    assert results[name][0].status == "accepted"
    assert stage.supervisor.status("agents").restarts == 0


async def begin_a_rollout_by_rewards(stage: AgentsStage) -> None:
    commands: list[AnyCommand] = [
        register(command_id="c1"),
        validate("v1", command_id="c2", promote_first=True),
        register(command_id="c3"),
        validate("v2", 0.97, ("v1", 0.97), command_id="c4"),
        start_rollout(CANARY, "v2", policy=REWARDS, command_id="c5"),
    ]
    await stage.send(commands)
    results = await stage.results([command.command_id for command in commands])
    assert {found[0].status for found in results.values()} == {"accepted"}


async def answer(stage: AgentsStage, version: str, offset: int) -> None:
    """An answer as a worker writes it."""
    facts = AnswerFacts(request_partition=0, request_offset=offset, worker="w1")
    outputs = [InferTensor(name="y", shape=[1, 2], datatype="FP32", data=[0.0, 1.0])]
    body = InferResponse(model_name=MODEL, model_version=version, outputs=outputs, parameters=facts)
    headers = [
        (header_names.REQUEST_OFFSET, b"%d" % offset),
        (header_names.STATUS, b"ok"),
        (header_names.CONTENT_TYPE, b"application/json"),
    ]
    topic = stage.topics.responses(MODEL)
    await stage.producer.send_and_wait(topic, msgspec.json.encode(body), partition=0, headers=headers)


async def test_numbers_beyond_all_bounds_end_no_agent(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """A reward of 1e200 while a rollout by rewards ran, and a sequence of 2^64, ended the agents at each start."""
    async with agents_stage(kafka, topic_prefix, tmp_path) as stage:
        await begin_a_rollout_by_rewards(stage)
        await answer(stage, "v2", 0)
        good = Feedback(
            model_name=MODEL, feedback_id="f", at=datetime.now(UTC), request_partition=0, request_offset=0, reward=7.25
        )
        vast = msgspec.json.encode(good).replace(b"7.25", b"1e200")
        await stage.producer.send_and_wait(stage.topics.feedback, vast, key=MODEL.encode())
        observation = msgspec.json.encode(ObservedTraffic().record("v1", model_name="nobody"))
        beyond = observation.replace(b'"sequence":1', b'"sequence":18446744073709551616')
        await stage.producer.send_and_wait(stage.topics.observations, beyond, key=b"nobody")
        await goes_on(stage, "next")
        for _attempt in range(100):
            if len(found := await causes(stage)) == 2:
                break
        assert any("$.reward" in cause for cause in found)
        assert any("$.sequence" in cause for cause in found)
        assert stage.supervisor.status("agents").restarts == 0


async def test_a_header_without_a_name_ends_no_reader(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """A record whose header name is not UTF-8 ended all readers of its topic: of the log, every process."""
    async with agents_stage(kafka, topic_prefix, tmp_path) as stage:
        topics = stage.topics
        for topic in (topics.registry, topics.commands, topics.observations, topics.feedback, topics.fleet):
            await send_with_a_nameless_header(kafka, topic, key=b"digits", value=b"{}")
        command = msgspec.json.encode(register(command_id="nameless"))
        await send_with_a_nameless_header(kafka, topics.commands, key=b"digits", value=command)
        results = await stage.results(["nameless"])
        assert results["nameless"][0].status == "accepted"
        await goes_on(stage, "next")
        await stage.published_like_the_fold()


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
async def test_a_compressed_batch_ends_no_reader(kafka: str, topic_prefix: str, tmp_path: Path, codec: str) -> None:
    """A batch that was sent as lz4, snappy or zstd ended all readers of its topic: nothing unpacked it."""
    async with agents_stage(kafka, topic_prefix, tmp_path) as stage:
        topics = stage.topics
        await send_compressed(kafka, topics.registry, key=b"digits", value=b"{}", codec=codec)
        command = msgspec.json.encode(register(command_id="packed"))
        await send_compressed(kafka, topics.commands, key=b"digits", value=command, codec=codec)
        results = await stage.results(["packed"])
        assert results["packed"][0].status == "accepted"
        await goes_on(stage, "next")
