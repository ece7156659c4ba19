"""Datasets on the real broker, by the commands that people use: built, built again, and when records are gone."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from hotswap_events.dataset import OffsetRange, RequestRetention
from hotswap_events.inference.observation import Feedback
from hotswap_events.topics import Topics
from hotswap_stream import bootstrap
from hotswap_stream.adapters.evaluation.labelled_set import labelled_set
from hotswap_stream.adapters.evaluation.set_files import read_set_file
from hotswap_stream.application.datasets.children import OrderedBuild
from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.application.datasets.order import DatasetOrder
from hotswap_stream.settings import load_settings
from tests.support.kafka.raw_records import send_with_a_nameless_header
from tests.support.samples.dataset_records import AT
from tests.support.stages.command_line import Cli, read_json

MODEL = "digits"
REQUESTS = 30
HELD_OUT = 4
"""Request whose row is in the validation set."""


def _request(number: int) -> bytes:
    data = [float(number), 0.0, 0.0, 1.0]
    body = {"id": f"r-{number}", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": data}]}
    return msgspec.json.encode(body)


def _feedback(number: int, **fields: object) -> bytes:
    given = {"model_name": MODEL, "feedback_id": f"f-{number}", "at": AT, "label": number % 2, **fields}
    return msgspec.json.encode(Feedback(**given))  # type: ignore[arg-type]


async def _write(servers: str, topics: Topics) -> None:
    """Requests, labels for all but the last five of them, and what nobody should have written."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        for number in range(REQUESTS):
            await producer.send(topics.requests(MODEL), _request(number))
        for number in range(REQUESTS - 5):
            by = {"request_id": f"r-{number}"} if number % 2 else {"request_partition": 0, "request_offset": number}
            await producer.send(topics.feedback, _feedback(number, **by), key=MODEL.encode())
        await producer.send(topics.feedback, b"\x00\xff", key=MODEL.encode())
        await producer.send(topics.feedback, b"[" * 50_000)
        await producer.send(topics.requests(MODEL), b"no request")
        await producer.send(topics.feedback, _feedback(90, request_partition=0, request_offset=REQUESTS))
        await producer.flush()
    finally:
        await producer.stop()
    await send_with_a_nameless_header(servers, topics.requests(MODEL), key=None, value=_request(91))


async def _delete_before(servers: str, topic: str, offset: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


@pytest.mark.usefixtures("one_version")
def test_a_dataset_is_its_query_for_as_long_as_the_records_are_there(
    cli: Cli, variables: dict[str, str], kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    topics = Topics(topic_prefix)
    held_out = tmp_path / "held-out.npz"
    rows = np.array([[float(HELD_OUT), 0, 0, 1], [99, 0, 0, 1]], np.float32)
    np.savez(held_out, x=rows, labels=np.array([0, 1]))
    cli("validation-set", "choose", MODEL, str(held_out))
    asyncio.run(_write(kafka, topics))

    built = read_json(cli("dataset", "build", MODEL, "--name", "first", "--actor", "ada", "--json"))
    digest, counts = built["artifact_digest"], built["counts"]
    assert (built["rows"], built["names"], built["built_by"]) == (REQUESTS - 5 - 1, ["first"], "ada")
    assert (counts["requests"], counts["unlabelled"], counts["unreadable"]) == (REQUESTS + 2, 6, 1)
    assert (counts["in_validation_set"], counts["feedback_unreadable"]) == (1, 2)

    # The same query: the same bytes, whatever came meanwhile.
    asyncio.run(_write(kafka, topics))
    again = read_json(cli("dataset", "build", MODEL, "--like", "first", "--json"))
    assert (again["artifact_digest"], again["sequence"]) == (digest, built["sequence"])
    fewer = read_json(cli("dataset", "build", MODEL, "--split", "0:0.5", "--label", "1", "--json"))
    assert 0 < fewer["rows"] < built["rows"]
    # Ids are the newest requests' by now, so that half of it is about other places.
    assert fewer["artifact_digest"] != digest

    listed = read_json(cli("dataset", "list", MODEL, "--json"))["datasets"]
    assert [each["artifact_digest"] for each in listed] == [fewer["artifact_digest"], digest]
    for suffix in (".safetensors", ".npz", ".parquet"):
        file = tmp_path / f"out{suffix}"
        assert "24 rows" in cli("dataset", "export", MODEL, "first", "-o", str(file)).output
        found = read_set_file(file, bytes_max=1_000_000)
        assert found.inputs["x"][:, 0].tolist() == [float(n) for n in range(25) if n != HELD_OUT]
        assert found.truths["labels"].tolist() == [n % 2 for n in range(25) if n != HELD_OUT]
        assert len(labelled_set({**found.inputs, **found.truths})) == 24

    asyncio.run(_delete_before(kafka, topics.requests(MODEL), 3))
    gone = cli("dataset", "build", MODEL, "--like", "first", code=1)
    assert "requests at offset 0 of partition 0 are gone: it begins at 3; they are kept for 7 d" in gone.output
    assert read_json(cli("dataset", "show", MODEL, digest, "--json"))["rows"] == 24
    assert "no dataset 'second'" in cli("dataset", "show", MODEL, "second", code=3).output

    for options, words in (
        (("--offsets", "7:0:1"), "there is no partition 7 of requests; there are 0"),
        (("--offsets", "0:3:9999"), "ends at 64, and 9999 is asked for"),
        (("--offsets", f"0:0:{10**9}"), "are gone"),
        (("--offsets", "0:5:5"), "no requests in the ranges"),
        (("--since", "2999-01-01"), "no requests in the ranges"),
        (("--feedback", "0:0:0"), "no row to train on: requests"),
        (("--version", "v9"), "has no version 'v9'"),
        (("--rows-max", "2"), "more than 2 rows"),
    ):
        assert words in cli("dataset", "build", MODEL, *options, code=1).output.replace("\n", " "), options
    assert "is not as 3:0:1200" in cli("dataset", "build", MODEL, "--offsets", "all", code=2).output
    assert not list((tmp_path / "home" / "datasets").iterdir())


@pytest.mark.usefixtures("one_version")
async def test_an_order_of_the_api_is_built_in_a_process_of_its_own(
    variables: dict[str, str], kafka: str, topic_prefix: str
) -> None:
    await _write(kafka, Topics(topic_prefix))
    settings = load_settings(variables)
    command = {"command_id": "by-http", "actor": "ada"}
    async with bootstrap.dataset_children(settings) as children:
        order = DatasetOrder(ranges=(OffsetRange(partition=0, first=0, until=10),))
        built = await children.build(OrderedBuild(model_name=MODEL, order=order, command=command))
        assert built.dataset is not None
        assert (built.dataset.rows, built.dataset.built_by) == (10, "ada")
        refused = await children.build(OrderedBuild(model_name="nobody", order=order, command=command))
        assert refused.result.refusal is not None
        assert refused.result.refusal.code == "unknown-model"
        much = DatasetOrder(ranges=(OffsetRange(partition=0, first=0, until=10**9),))
        with pytest.raises(DatasetError, match="1000000000 is asked for"):
            await children.build(OrderedBuild(model_name=MODEL, order=much, command=command))


@pytest.mark.usefixtures("one_version")
def test_retention_reaches_the_topics(cli: Cli, variables: dict[str, str], topic_prefix: str) -> None:
    assert "7 d (the default)" in cli("retention", "show", MODEL).output
    cli("retention", "set", MODEL, "--seconds", "3600", "--partition-bytes", str(64 * 1024**2), "--reason", "privacy")
    assert read_json(cli("retention", "show", MODEL, "--json"))["retention"] == {
        "seconds": 3_600,
        "partition_bytes": 64 * 1024**2,
    }
    topics, settings = Topics(topic_prefix), load_settings(variables)

    async def applied() -> list[str]:
        specs = topics.model_specs(
            MODEL, partitions=1, retention=RequestRetention(seconds=3_600, partition_bytes=64 * 1024**2)
        )
        before = await bootstrap.check_topics(settings, specs)
        await bootstrap.retention_applier(settings)(MODEL, specs[0].retention or RequestRetention())
        after = await bootstrap.check_topics(settings, specs)
        assert not any(different for _spec, _facts, different in after)
        return sorted({each.setting for _spec, _facts, different in before for each in different})

    assert asyncio.run(applied()) == ["retention.bytes", "retention.ms", "segment.bytes", "segment.ms"]
    assert cli("topics", code=None).exit_code == 0
