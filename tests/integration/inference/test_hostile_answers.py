"""Records in a responses topic that no worker wrote: they pass nothing over, answer for nobody, and end nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from hotswap_events import headers as names
from hotswap_events.inference.answers import AnswerTags
from hotswap_stream import bootstrap
from hotswap_stream.application.inference.gateway import InferenceTimeoutError
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.settings import Settings
from tests.support.stages.serving import MODEL, Stage, body, open_stage, request_body, stage_settings
from tests.support.stages.workers import running_worker

KEYS = "the-new-key-of-workers-and-readers the-old-key-of-workers-and-readers"
ROW = {"x": [[1.0, 2.0, 3.0, 4.0]]}
OK = (names.STATUS, b"ok")


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """v1 answers [1, 1] and is active; no worker runs."""
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        yield stage


def named(offset: bytes | None, *more: tuple[str, bytes | None]) -> list[tuple[str, bytes | None]]:
    return [(names.REQUEST_OFFSET, offset), OK, *more]


HOSTILE: list[list[tuple[str, bytes | None]]] = [
    named(b"31"),
    named(b"9223372036854775807"),
    named(b"9" * 5_000),
    named(b"1_0"),
    named(b"-1"),
    named(None),
    named("٣١".encode()),
    named(b"31", (names.ANSWER_TAG, b"0" * 16)),
    named(b"31", (names.ANSWER_TAG, AnswerTags("production").of(MODEL).tag(0, 31))),
    named(b"31", (names.REQUEST_OFFSET, b"32")),
    [],
]


async def test_forged_answers_pass_no_request_over(stage: Stage, settings: Settings) -> None:
    """Five requests were never answered, because a record in the responses topic named offset 31."""
    responses = stage.topics.responses(MODEL)
    async with running_worker(settings):
        for number in range(3):
            await stage.send(request_body(f"before-{number}"))
        await stage.answers(3)
    for headers in HOSTILE:
        await stage.put(responses, b'{"model_name": "tiny"}', headers)
    for number in range(5):
        await stage.send(request_body(f"after-{number}"))
    async with running_worker(settings):
        records = await stage.answers(3 + len(HOSTILE) + 5)
    answered = [body(record) for record in records[-5:]]
    assert [answer["id"] for answer in answered] == [f"after-{number}" for number in range(5)]
    assert [answer["parameters"]["request_offset"] for answer in answered] == list(range(3, 8))


async def test_nobody_answers_for_a_worker(stage: Stage, settings: Settings, kafka: str) -> None:
    """An answer to whoever asked over HTTP or by topic could be written by anybody."""
    async with TopicClient(kafka, prefix=stage.topics.prefix, partitions=[0]) as client, running_worker(settings):
        first = await client.infer(MODEL, ROW)
        forged = msgspec.json.encode({"model_name": MODEL, "model_version": "forged", "outputs": [], "parameters": {}})
        for offset in range(first.offset + 1, first.offset + 20):
            await stage.put(stage.topics.responses(MODEL), forged, named(b"%d" % offset))
        answers = [await client.infer(MODEL, ROW) for _ in range(5)]
    assert [answer.offset for answer in answers] == list(range(first.offset + 1, first.offset + 6))
    assert {answer.model_version for answer in answers} == {"v1"}


BODIES: list[bytes | None] = [
    None,
    b"",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"parameters": ' + b'{"a":' * 50_000,
    b'{"outputs": 3, "parameters": {}}',
    b"\x81" * 10_000,
    b"null",
]
TENSOR: dict[str, Any] = {"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [0.0, 1.0]}
TENSORS: list[dict[str, Any]] = [
    TENSOR | {"data": ["a", "b"]},
    TENSOR | {"data": [[[1]], None]},
    TENSOR | {"data": [0.5] * 300_000},
    TENSOR | {"shape": [1, 2**62]},
    TENSOR | {"data": []},
]


async def test_feedback_looks_at_any_answer(stage: Stage, settings: Settings) -> None:
    """One record in a responses topic ended the control agents, again at each start."""
    tags, responses = bootstrap.answer_tags(settings).of(MODEL), stage.topics.responses(MODEL)

    async def put(offset: int, value: bytes | None) -> None:
        await stage.put(responses, value, named(b"%d" % offset, (names.ANSWER_TAG, tags.tag(0, offset))))

    def answer(offset: int, tensor: dict[str, Any] = TENSOR) -> bytes:
        facts = {"request_partition": 0, "request_offset": offset, "worker": "w"}
        said = {"model_name": MODEL, "model_version": "v1", "outputs": [tensor], "parameters": facts}
        return msgspec.json.encode(said | {"id": f"r-{offset}"})

    await put(0, answer(0))
    for headers in HOSTILE:
        await stage.put(responses, answer(7), headers)
    for offset, value in enumerate(BODIES, start=1):
        await put(offset, value)
    first_tensor = len(BODIES) + 1
    for offset, tensor in enumerate(TENSORS, start=first_tensor):
        await put(offset, answer(offset, tensor))
    last = first_tensor + len(TENSORS)
    await put(last, answer(last))
    async with bootstrap.answer_lookup(settings) as lookup:
        for offset in (0, last):
            found = await lookup.by_place(MODEL, 0, offset)
            assert found is not None
            assert (found.request_offset, found.label, found.ok) == (offset, 1, True)
        for offset in range(1, first_tensor):
            assert await lookup.by_place(MODEL, 0, offset) is None
        for offset in range(first_tensor, last):
            found = await lookup.by_place(MODEL, 0, offset)
            assert found is not None
            assert found.label is None
        by_id = await lookup.by_id(MODEL, f"r-{last}")
        assert by_id is not None
        assert by_id.request_offset == last
        assert await lookup.by_id(MODEL, "r-7") is None
        assert lookup.passed_over >= len(HOSTILE) + len(BODIES)


async def test_an_answer_is_found_among_many_that_are_none(stage: Stage, settings: Settings) -> None:
    tags, responses = bootstrap.answer_tags(settings).of(MODEL), stage.topics.responses(MODEL)
    facts = {"request_partition": 0, "request_offset": 0, "worker": "w"}
    value = msgspec.json.encode({"model_name": MODEL, "model_version": "v1", "parameters": facts})
    for offset in range(1_200):
        if offset in (0, 600):
            headers = named(b"%d" % (offset // 600), (names.ANSWER_TAG, tags.tag(0, offset // 600)))
            await stage.put(responses, value, headers)
        else:
            await stage.put(responses, value, named(b"%d" % (offset + 10_000)))
    async with bootstrap.answer_lookup(settings) as lookup:
        for offset in (1, 0):
            found = await lookup.by_place(MODEL, 0, offset)
            assert found is not None
        assert await lookup.by_place(MODEL, 0, 2) is None
        assert await lookup.by_place(MODEL, 0, 10_100) is None


async def test_a_key_of_its_own_keeps_out_who_knows_only_the_prefix(
    stage: Stage, settings: Settings, kafka: str
) -> None:
    """Everything that reads answers takes the key from the settings: worker, gateway, lookup, lag."""
    keyed = replace(settings, answers_key=KEYS)
    prefix = stage.topics.prefix
    async with running_worker(keyed):
        async with TopicClient(kafka, prefix=prefix, partitions=[0]) as without:
            with pytest.raises(InferenceTimeoutError, match="HOTSWAP_ANSWERS_KEY"):
                await without.infer(MODEL, ROW, timeout_s=5.0)
        # One of the keys is enough to read.
        for known in (KEYS, KEYS.split()[0]):
            async with TopicClient(kafka, prefix=prefix, partitions=[0], answers_key=known) as client:
                answer = await client.infer(MODEL, ROW)
    by_prefix = AnswerTags(prefix).of(MODEL).tag(0, 10)
    await stage.put(stage.topics.responses(MODEL), b"{}", named(b"10", (names.ANSWER_TAG, by_prefix)))
    await stage.send(request_body("after"))
    async with running_worker(keyed):
        records = await stage.answers(5)
    assert body(records[-1])["id"] == "after"
    async with bootstrap.answer_lookup(keyed) as lookup:
        assert await lookup.by_place(MODEL, 0, answer.offset) is not None
    async with bootstrap.answer_lookup(settings) as lookup:
        assert await lookup.by_place(MODEL, 0, answer.offset) is None
