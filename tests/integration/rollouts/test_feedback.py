"""Feedback on the real broker: from a client, by HTTP, on the command line; joined to the version that answered."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from typer.testing import CliRunner

from hotswap_events import headers as header_names
from hotswap_events.inference.messages import AnswerFacts, InferError, InferResponse, InferTensor
from hotswap_events.inference.observation import Feedback
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.observations.answer_lookup import CHUNK_RECORDS, KafkaAnswerLookup
from hotswap_stream.application.observations.feedback import AnswerExpiredError, FeedbackJoiner, FeedbackRefusedError
from hotswap_stream.bootstrap.topic_care import model_topics_creator
from hotswap_stream.cli.app import build_app
from hotswap_stream.client.inference import Inference
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.settings import Settings
from tests.support.problems import assert_problem
from tests.support.stages.http import MODEL as HTTP_MODEL
from tests.support.stages.http import open_http_stage
from tests.support.stages.serving import MODEL, Stage, open_stage, stage_settings


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """v1 answers [1, 1], v2 [2, 2]."""
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.register_answering(2.0)
        await stage.switch("v1")
        yield stage


async def given(stage: Stage, count: int) -> list[Feedback]:
    records = await stage.records(stage.topics.feedback, None, count)
    assert {record.key for record in records} <= {MODEL.encode(), HTTP_MODEL.encode()}
    return [msgspec.json.decode(record.value, type=Feedback) for record in records]


async def test_feedback_finds_the_version_that_answered(stage: Stage, settings: Settings, kafka: str) -> None:
    worker = await bootstrap.build_worker(settings, "w1")
    await worker.start()
    try:
        async with TopicClient(kafka, prefix=stage.topics.prefix) as client:
            answers: list[Inference] = []
            for version in ("v1", "v2"):
                if version == "v2":
                    await stage.switch(version)
                while True:
                    answer = await client.infer(MODEL, {"x": [[1.0, 2.0, 3.0, 4.0]]}, id=f"r-{len(answers)}-{version}")
                    answers.append(answer)
                    if answer.model_version == version:
                        break
            first, last = answers[0], answers[-1]
            place: dict[str, Any] = {"request_partition": first.partition, "request_offset": first.offset}
            await client.feedback(MODEL, **place, label=0, feedback_id="one")
            await client.feedback(MODEL, **place, label=0, feedback_id="one")
            await client.feedback(MODEL, request_id=last.id, label=1, reward=0.25)
            await client.feedback(MODEL, request_id="nobody's", reward=1.0)
            with pytest.raises(ValueError, match="label"):
                await client.feedback(MODEL, request_id="x")
            with pytest.raises(FeedbackRefusedError, match=r"is about partition 99 of .* it has 0 to \d+; an answer's"):
                await client.feedback(MODEL, request_partition=99, request_offset=1, label=0)
    finally:
        await worker.stop()
    records = await given(stage, 4)
    async with bootstrap.answer_lookup(settings) as lookup:
        joiner = FeedbackJoiner(lookup)
        joined = [await joiner.join(record) for record in records]
    assert [each.status for each in joined] == ["joined", "double", "joined", "unknown"]
    assert [each.model_version for each in joined] == ["v1", None, "v2", None]
    assert [each.correct for each in joined] == [True, None, False, None]
    found = joined[2].answer
    assert found is not None
    assert (found.request_id, found.label, found.worker) == (last.id, 0, "w1")


async def write_answers(stage: Stage, request_offsets: list[int], *, partition: int = 0) -> None:
    """Answers as a worker writes them, the version tells the offset."""
    producer = AIOKafkaProducer(bootstrap_servers=stage.settings.kafka_bootstrap_servers, linger_ms=5)
    tags = bootstrap.answer_tags(stage.settings).of(MODEL)
    await producer.start()
    try:
        for offset in request_offsets:
            facts = AnswerFacts(request_partition=partition, request_offset=offset, worker="w1")
            scores = InferTensor(name="y", shape=[1, 2], datatype="FP32", data=[0.0, 1.0])
            body: InferResponse | InferError = InferResponse(
                model_name=MODEL, model_version=f"v{offset}", outputs=[scores], parameters=facts, id=f"r-{offset}"
            )
            status = b"ok"
            if offset % 10 == 7:
                status = b"error"
                body = InferError(model_name=MODEL, error="no", error_code="model-failure", parameters=facts)
            await producer.send(
                stage.topics.responses(MODEL),
                msgspec.json.encode(body),
                partition=partition,
                headers=[
                    (header_names.REQUEST_OFFSET, b"%d" % offset),
                    (header_names.STATUS, status),
                    (header_names.CONTENT_TYPE, b"application/json"),
                    (header_names.ANSWER_TAG, tags.tag(partition, offset)),
                ],
            )
        await producer.flush()
    finally:
        await producer.stop()


async def test_answers_are_found_among_void_ones_and_behind_what_was_deleted(stage: Stage, settings: Settings) -> None:
    many = 3 * CHUNK_RECORDS
    # A zombie answers everything once more before the real answers go on.
    await write_answers(stage, [*range(many), *range(many), *range(many, many + 50)])
    options = bootstrap.connection(settings).client_options()
    async with KafkaAnswerLookup(options, stage.topics) as lookup:
        for offset in (0, 1, many - 1, many, many + 49, many // 2):
            found = await lookup.by_place(MODEL, 0, offset)
            assert found is not None, offset
            assert (found.request_partition, found.request_offset) == (0, offset)
            assert found.ok == (offset % 10 != 7)
            if found.ok:
                assert (found.model_version, found.label) == (f"v{offset}", 1)
        assert await lookup.by_place(MODEL, 0, many + 50) is None
        assert await lookup.by_place(MODEL, 1, 0) is None, "a partition without answers"
        assert await lookup.by_place(MODEL, 99, 0) is None, "a partition that does not exist"
        assert await lookup.by_place("no-such-model", 0, 0) is None
        found = await lookup.by_id(MODEL, f"r-{many + 40}")
        assert found is not None
        assert found.request_offset == many + 40
        assert await lookup.by_id(MODEL, "r-new") is None
        await write_answers(stage, [many + 50])
        found = await lookup.by_id(MODEL, f"r-{many + 50}")
        assert found is not None
        assert found.model_version == f"v{many + 50}"
        found = await lookup.by_place(MODEL, 0, many + 50)
        assert found is not None
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        partition = TopicPartition(stage.topics.responses(MODEL), 0)
        await admin.delete_records({partition: RecordsToDelete(before_offset=100)})
    finally:
        await admin.close()
    async with bootstrap.answer_lookup(settings) as lookup:
        with pytest.raises(AnswerExpiredError):
            await lookup.by_place(MODEL, 0, 50)
        found = await lookup.by_place(MODEL, 0, 100)
        assert found is not None


async def test_feedback_by_http_is_taken_or_refused_with_what_is_wrong(stage: Stage, settings: Settings) -> None:
    names = bootstrap.topics(settings)
    log = bootstrap.build_registry(settings, "test").log
    async with (
        bootstrap.feedback_log(settings) as feedback_log,
        open_http_stage(log, settings.home, feedback=feedback_log) as http,
    ):
        await http.registered()
        await model_topics_creator(settings)(HTTP_MODEL)
        path = f"/api/models/{HTTP_MODEL}/feedback"
        item: dict[str, Any] = {"request_partition": 1, "request_offset": 41, "label": 2}
        body = {"feedback": [item, {"request_id": "r-1", "reward": -0.5, "parameters": {"by": "clicks"}}]}
        answer = await http.client.post(path, json=body, headers={"X-Actor": "ada", "Idempotency-Key": "k"})
        assert answer.status_code == 202, answer.text
        assert answer.json() == {"accepted": 2, "feedback_ids": ["k:0", "k:1"]}
        for wrong, words in (
            ({"feedback": []}, "length"),
            ({"feedback": [{"label": 1}]}, "feedback[0]: give request_partition"),
            ({"feedback": [item, {"request_id": "r"}]}, "feedback[1]: give label"),
            ({"feedback": [{**item, "label": -1}]}, ">= 0"),
            ({"feedback": [{**item, "lable": 1}]}, "lable"),
            ({"feedback": [item] * 1_001}, "length"),
            ({"feedback": [{**item, "request_partition": 99}]}, "feedback[0] is about partition 99"),
            ({}, "feedback"),
        ):
            refused = await http.client.post(path, json=wrong)
            problem = assert_problem(refused, 422, str(refused.json()["code"]))
            assert words in refused.text, problem
        assert_problem(
            await http.client.post("/api/models/nobody/feedback", json={"feedback": [item]}), 404, "unknown-model"
        )
    one, two = await given(stage, 2)
    assert (one.feedback_id, one.request_partition, one.request_offset, one.label) == ("k:0", 1, 41, 2)
    assert (two.request_id, two.reward, two.actor, two.parameters) == ("r-1", -0.5, "ada", {"by": "clicks"})
    assert one.at <= datetime.now(UTC)
    assert names.feedback == stage.topics.feedback


def test_feedback_on_the_command_line(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    environment = {
        "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "HOTSWAP_TOPIC_PREFIX": topic_prefix,
        "HOTSWAP_HOME": str(tmp_path / "home"),
    }
    lines = tmp_path / "labels.jsonl"
    lines.write_text('{"request_partition": 0, "request_offset": 7, "label": 3}\n\n{"request_id": "r", "reward": 1}\n')
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"request_id": "r", "rewards": 1}\n')

    def invoke(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(build_app(), ["feedback", "digits", *arguments], env=environment)
        assert result.exit_code == code, (arguments, result.output, result.exception)
        return result.output if code else result.stdout

    try:
        settings = Settings(kafka_bootstrap_servers=kafka, topic_prefix=topic_prefix, home=tmp_path / "home")

        async def create_topics() -> None:
            await model_topics_creator(settings)("digits")

        asyncio.run(create_topics())
        assert json.loads(invoke("--request", "3:41872", "--label", "4", "--feedback-id", "f", "--json")) == {
            "accepted": 1,
            "feedback_ids": ["f"],
        }
        assert "1 accepted" in invoke("--id", "r-1", "--reward", "0.5")
        assert "2 accepted" in invoke("--file", str(lines))
        assert "partition 99" in invoke("--request", "99:1", "--label", "4", code=3)
        assert "PARTITION:OFFSET" in invoke("--request", "3-4", "--label", "4", code=2)
        assert "give label" in " ".join(invoke("--id", "r-1", code=2).split())
        assert "'rewards'" in invoke("--file", str(wrong), code=2)
        assert "leave" in invoke("--file", str(lines), "--label", "1", code=2)
    finally:
        # The command pointed the log at a stream that ended with it.
        structlog.reset_defaults()
