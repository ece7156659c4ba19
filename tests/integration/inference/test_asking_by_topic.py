"""Asking models by topic, from Python; one worker serves all tests."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import torch
from aiokafka.admin import AIOKafkaAdminClient

from hotswap_events.inference.messages import InferRequest, InferResponse, InferTensor
from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.inference.gateway import KafkaInferenceGateway
from hotswap_stream.application.inference.tensor_values import flat_values
from hotswap_stream.client import (
    BlockingTopicClient,
    InferenceRefusedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    NoModelTopicsError,
    RequestTooLargeError,
)
from tests.support.stages.asking import ROWS, UNSERVED, Served, open_served
from tests.support.stages.serving import MODEL, PARTITIONS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with open_served(kafka, tmp_path_factory.mktemp("asking")) as served:
        yield served


async def test_a_topic_client_gets_arrays_and_where_they_come_from(served: Served) -> None:
    async with served.topic_client() as client:
        answer = await client.infer(MODEL, {"x": ROWS}, id="first", partition=1)
        assert answer.outputs["y"].dtype == np.float32
        assert answer.outputs["y"].tolist() == [[1.0, 1.0]] * 3
        assert (answer.id, answer.model_name, answer.model_version) == ("first", MODEL, "v1")
        assert (answer.partition, answer.worker, answer.batch_size) == (1, "w1", 3)
        state, stream = served.stage.registry.state(MODEL), served.stage.registry.stream(MODEL)
        assert stream is not None
        assert answer.artifact_digest == state.versions["v1"].artifact.digest
        assert answer.registry_offset == stream.active_offset
        next_answer = await client.infer(MODEL, {"x": ROWS}, partition=1, outputs=["y"])
        assert next_answer.offset == answer.offset + 1

        for same in (
            torch.from_numpy(ROWS).requires_grad_(),
            ROWS.astype(">f4"),
            np.asfortranarray(ROWS),
            ROWS.tolist(),
            InferTensor(name="x", shape=[3, 4], datatype="FP32", data=[0] * 12),
        ):
            assert (await client.infer(MODEL, {"x": same})).outputs["y"].shape == (3, 2)


async def test_many_at_once_each_get_their_own_answer(served: Served) -> None:
    async with served.topic_client(in_flight_max=40) as one, served.topic_client(in_flight_max=40) as other:
        rows = [np.zeros((1 + number % 5, 4), dtype="<f4") for number in range(300)]
        answers = await asyncio.gather(
            *[
                client.infer(MODEL, {"x": array}, id=f"{name}-{number}")
                for number, array in enumerate(rows)
                for name, client in (("one", one), ("other", other))
            ]
        )
    assert [answer.id for answer in answers] == [f"{name}-{n}" for n in range(300) for name in ("one", "other")]
    assert [len(answer.outputs["y"]) for answer in answers[::2]] == [len(array) for array in rows]
    assert len({(answer.partition, answer.offset) for answer in answers}) == 600
    assert {answer.partition for answer in answers} == set(range(PARTITIONS))


async def test_the_topic_client_says_what_is_wrong(served: Served) -> None:
    async with served.topic_client(partitions=[1]) as client:
        with pytest.raises(InferenceRefusedError, match="the model takes FP32") as refused:
            await client.infer(MODEL, {"x": ROWS.astype("f8")})
        assert refused.value.code == "wrong-input"
        with pytest.raises(NoModelTopicsError, match=MODEL):
            await client.infer("nobody", {"x": ROWS})
        with pytest.raises(ValueError, match="partition 0"):
            await client.infer(MODEL, {"x": ROWS}, partition=0)
        for wrong in ([[1.0], [1.0, 2.0]], "abc"):
            with pytest.raises(ValueError, match="input 'x'"):
                await client.infer(MODEL, {"x": wrong})
        for texts in ([["a"]], np.array(["a"])):
            with pytest.raises(InferenceRefusedError, match="'x' has datatype BYTES; the model takes FP32"):
                await client.infer(MODEL, {"x": texts})
        # Long enough for a busy machine to connect in: until then it is Kafka that keeps silent.
        with pytest.raises(InferenceTimeoutError, match="within 5 s"):
            await client.infer(UNSERVED, {"x": ROWS}, timeout_s=5)
        assert (await client.infer(MODEL, {"x": ROWS})).partition == 1
    with pytest.raises(RuntimeError, match="async with"):
        await client.infer(MODEL, {"x": ROWS})
    async with served.topic_client(partitions=[7]) as client:
        with pytest.raises(ValueError, match="partitions 0 to 1"):
            await client.infer(MODEL, {"x": ROWS})
    admin = AIOKafkaAdminClient(bootstrap_servers=served.kafka)
    await admin.start()
    try:
        assert not [name for name in await admin.list_topics() if name.endswith(".nobody")], "asking creates nothing"
    finally:
        await admin.close()


async def test_requests_that_are_too_large_are_refused_and_hold_nothing_up(served: Served) -> None:
    async with served.topic_client(partitions=[0]) as client:
        with pytest.raises(InferenceRefusedError, match="too-large"):  # by the worker
            await client.infer(MODEL, {"x": np.zeros((5, 1024, 1024), dtype="u1")})
        with pytest.raises(RequestTooLargeError, match="bytes"):  # before it is sent
            await client.infer(MODEL, {"x": np.zeros((9, 1024, 1024), dtype="u1")})
        with pytest.raises(RequestTooLargeError, match="bytes"):  # no room for what Kafka adds
            await client.infer(MODEL, {"x": np.zeros(8 * 1024**2 - 120, dtype="u1")})
        assert (await client.infer(MODEL, {"x": ROWS})).model_version == "v1"


async def test_a_place_taken_by_a_request_that_timed_out_is_free_again(served: Served) -> None:
    async with served.topic_client(in_flight_max=1) as client:
        for _ in range(3):
            with pytest.raises((InferenceTimeoutError, InferenceUnavailableError)):  # it may not have connected yet
                await client.infer(UNSERVED, {"x": ROWS}, timeout_s=0.1)
        assert (await client.infer(MODEL, {"x": ROWS})).model_version == "v1"


async def test_a_client_whose_connections_failed_makes_others(served: Served) -> None:
    async with served.topic_client() as client:
        assert (await client.infer(MODEL, {"x": ROWS})).model_version == "v1"
        gateway = client._gateway
        assert gateway is not None
        await gateway._exchanges[MODEL]._producer.stop()
        with pytest.raises(InferenceUnavailableError, match="Closed"):
            await client.infer(MODEL, {"x": ROWS})
        assert (await client.infer(MODEL, {"x": ROWS})).model_version == "v1"
        await gateway._exchanges[MODEL]._consumer.stop()
        async with asyncio.timeout(60):
            while not gateway._exchanges[MODEL].failed:
                await asyncio.sleep(0.01)
        assert (await client.infer(MODEL, {"x": ROWS})).model_version == "v1"


async def test_the_model_asked_longest_ago_makes_room(served: Served) -> None:
    options = {"bootstrap_servers": served.kafka}
    gateway = KafkaInferenceGateway(options, Topics(served.prefix), models_connected_max=1)
    request = InferRequest(inputs=[InferTensor(name="x", shape=[1, 4], datatype="FP32", data=[0.0] * 4)])
    try:
        for _ in range(2):
            answer = await gateway.infer(MODEL, request, raw=False, timeout_s=20)
            assert isinstance(answer, InferResponse)
            assert flat_values(answer.outputs[0]) == [1.0, 1.0]
            with pytest.raises(InferenceTimeoutError):
                await gateway.infer(UNSERVED, request, raw=False, timeout_s=5)
            assert list(gateway._exchanges) == [UNSERVED]
    finally:
        await gateway.close()
    with pytest.raises(InferenceUnavailableError, match="closed"):
        await gateway.infer(MODEL, request, raw=False, timeout_s=1)


async def test_the_blocking_client_needs_no_event_loop(served: Served) -> None:
    def ask() -> list[Any]:
        with BlockingTopicClient(served.kafka, prefix=served.prefix) as client:
            found = [client.infer(MODEL, {"x": ROWS[:rows]}).outputs["y"].shape for rows in (1, 2)]
            with pytest.raises(InferenceRefusedError):
                client.infer(MODEL, {"z": ROWS})
            return found

    assert await asyncio.to_thread(ask) == [(1, 2), (2, 2)]
