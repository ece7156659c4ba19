"""A dataset of many requests, next to a bare loop that reads and decodes the same records.

    python -m benchmarks.dataset_build [REQUESTS]

Requests of 16 numbers as JSON in 8 partitions, each with a label: three quarters by place, a quarter by id. The build
runs in a process of its own, whose largest memory the kernel tells; it is done twice, and the digests must be equal.
"""

import asyncio
import json
import multiprocessing
import queue
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from hotswap_events.dataset import DatasetQuery, OffsetRange
from hotswap_events.inference.messages import InferRequest
from hotswap_events.inference.observation import Feedback
from hotswap_events.inference.signature import TensorSignature
from hotswap_events.topics import Topics
from hotswap_stream.workers.datasets.building import BuildLimits, DatasetBuilder
from hotswap_stream.workers.datasets.reading import DatasetReader, DatasetTopics

MODEL = "bench"
REQUESTS = 1_000_000
PARTITIONS = 8
FEATURES = 16
DISTINCT = 4_096
MEBIBYTES_MAX = 512
AIM = 0.1
BUILD_SECONDS_MAX = 3_600.0
_AT = "2026-01-01T00:00:00Z"
_QUEUE_KIBIBYTES = 65_536


def _fill(servers: str, topics: Topics, count: int) -> None:
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 20, "queue.buffering.max.messages": 200_000})

    def send(topic: str, value: bytes, partition: int) -> None:
        while True:
            try:
                producer.produce(topic, value, partition=partition)
                return
            except BufferError:
                producer.poll(0.1)

    rows = np.random.default_rng(0).standard_normal((DISTINCT, FEATURES), dtype=np.float32)
    texts = [json.dumps([round(float(number), 4) for number in row]).encode() for row in rows]
    for number in range(count):
        partition, offset = number % PARTITIONS, number // PARTITIONS
        body = b'{"id":"r-%d","inputs":[{"name":"x","datatype":"FP32","shape":[1,%d],"data":%b}]}'
        send(topics.requests(MODEL), body % (number, FEATURES, texts[number % DISTINCT]), partition)
        about = (
            b'"request_id":"r-%d"' % number
            if number % 4 == 0
            else b'"request_partition":%d,"request_offset":%d' % (partition, offset)
        )
        value = b'{"model_name":"%b","feedback_id":"f-%d","at":"%b",%b,"label":%d}'
        send(topics.feedback, value % (MODEL.encode(), number, _AT.encode(), about, number % 10), 0)
        if not number % 1_000:
            producer.poll(0)
    producer.flush()


Found = tuple[str, int, float, float, float]
"""Digest, rows, seconds, MiB, seconds of processor time."""


def _built(servers: str, topics: Topics, count: int, results: "multiprocessing.Queue[Found]") -> None:
    each = count // PARTITIONS
    query = DatasetQuery(
        ranges=tuple(OffsetRange(partition=number, first=0, until=each) for number in range(PARTITIONS)),
        feedback=(OffsetRange(partition=0, first=0, until=each * PARTITIONS),),
        inputs=(TensorSignature(name="x", datatype="FP32", shape=(-1, FEATURES)),),
        truth="label",
        label_seconds_max=1e9,
        rows_max=10_000_000,
    )
    limits = BuildLimits(bytes_max=2 * 1024**3, seconds_max=BUILD_SECONDS_MAX)
    names = DatasetTopics(topics.requests(MODEL), topics.feedback, topics.datasets_group)
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.perf_counter()
        builder = DatasetBuilder(MODEL, query, folder=Path(folder), limits=limits)
        with DatasetReader({"bootstrap.servers": servers}, {"bootstrap_servers": servers}, names) as reader:
            built = builder.build(lambda: reader.requests(query.ranges), reader.feedback(query.feedback))
        taken_s = time.perf_counter() - began_s
    results.put((built.file.digest, built.counts.rows, taken_s, _peak_mebibytes(), time.process_time()))


def _result_of(process: "SpawnProcess", results: "multiprocessing.Queue[Found]") -> Found:
    """Return what the process found. RuntimeError where it ended without."""
    while True:
        try:
            found = results.get(timeout=1.0)
        except queue.Empty:
            if process.is_alive():
                continue
            raise RuntimeError(f"the build ended with exit code {process.exitcode}") from None
        process.join()
        return found


def _peak_mebibytes() -> float:
    """Return the largest memory of this process. `getrusage` would tell that of the process it was started from."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _bare(servers: str, topics: Topics, count: int) -> float:
    """Return seconds to read and decode the same records, requests and feedback once."""
    began_s = time.perf_counter()
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "bare", "queued.max.messages.kbytes": _QUEUE_KIBIBYTES}
    )
    parts: list[tuple[str, int, Callable[[bytes], object]]] = [
        *((topics.requests(MODEL), number, msgspec.json.Decoder(InferRequest).decode) for number in range(PARTITIONS)),
        (topics.feedback, 0, msgspec.json.Decoder(Feedback).decode),
    ]
    for topic, partition, decode in parts:
        wanted = count // PARTITIONS * (PARTITIONS if topic == topics.feedback else 1)
        consumer.assign([TopicPartition(topic, partition, 0)])
        while wanted > 0:
            for message in consumer.consume(1_000, 1.0):
                decode(message.value() or b"")
                wanted -= 1
    consumer.close()
    return time.perf_counter() - began_s


async def _measure(count: int) -> tuple[list[Found], float]:
    # Not at the top: the building process imports this module too, and its memory is what is measured.
    from benchmarks.serving_processes import broker_settings
    from hotswap_stream.bootstrap.topic_care import ensure_control_topics, model_topics_creator

    context = multiprocessing.get_context("spawn")
    async with broker_settings(PARTITIONS) as settings:
        topics, servers = Topics(settings.topic_prefix), settings.kafka_bootstrap_servers or ""
        await ensure_control_topics(settings)
        await model_topics_creator(settings)(MODEL)
        await asyncio.to_thread(_fill, servers, topics, count)
        bare_s = await asyncio.to_thread(_bare, servers, topics, count)
        found = []
        for _ in range(2):
            results: multiprocessing.Queue[Found] = context.Queue()
            process = context.Process(target=_built, args=(servers, topics, count, results))
            process.start()
            found.append(await asyncio.to_thread(_result_of, process, results))
    return found, bare_s


def run(count: int = REQUESTS) -> list[dict[str, object]]:
    """Return the results, as `python -m benchmarks` prints them."""
    found, bare_s = asyncio.run(_measure(count))
    rows, taken_s, peak = found[0][1], min(each[2] for each in found), max(each[3] for each in found)
    per_cpu_s = round(rows / min(each[4] for each in found))
    facts = {
        "requests": count,
        "rows_per_processor_second": per_cpu_s,
        "rows": rows,
        "digest": found[0][0],
        "same_digest": found[0][0] == found[1][0],
    }
    rate, bare = count / taken_s, count / bare_s
    return [
        {
            "name": "dataset rows a second",
            "unit": "rows/s",
            "ours": round(rate),
            "compared_with": "reading and decoding the same records",
            "comparison": round(bare),
            "ratio": round(rate / bare, 3),
            "aim": AIM,
            "holds": rate / bare >= AIM and facts["same_digest"],
            "facts": facts,
        },
        {
            "name": "largest memory of the build",
            "unit": "MiB",
            "ours": round(peak),
            "compared_with": "the most that is allowed",
            "comparison": MEBIBYTES_MAX,
            "ratio": round(peak / MEBIBYTES_MAX, 3),
            "aim": 1.0,
            "holds": peak <= MEBIBYTES_MAX,
            "facts": facts,
        },
    ]


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS), indent=2))
