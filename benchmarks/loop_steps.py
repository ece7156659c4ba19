"""What the steps of a worker's loop take of its thread for each request, beside what the bare client takes.

    python -m benchmarks.loop_steps [REQUESTS]

One thread decides how many requests a worker answers, because Python runs one thread at a time. Here its steps run one
after the other in this process, on librdkafka's own broker, which is in this process, too: in batches of 128, each step
timed by the processor time of this thread alone. Of all batches the 10th percentile is taken: what else runs on the
machine makes a step slower now and then, and never faster. The comparison is the mover of `ffnn_stream`.
"""

import gc
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from confluent_kafka import OFFSET_END, Consumer, KafkaError, Message, Producer, TopicPartition
from msgspec import Struct
from msgspec.structs import replace
from torch import nn

from benchmarks.kstreams_peer import write_onnx
from benchmarks.streams import Headers, place_of
from benchmarks.worker_rounds import request_bodies
from hotswap_events import headers as names
from hotswap_events.inference.answers import AnswerTags
from hotswap_events.inference.messages import JSON_CONTENT_TYPE, MSGPACK_CONTENT_TYPE
from hotswap_stream.adapters.onnx.loading import load_graph
from hotswap_stream.adapters.onnx.names import GRAPH_FILE
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.workers.inference.answers.dead_letters import DeadLetterSender
from hotswap_stream.workers.inference.answers.sender import AnswerSender
from hotswap_stream.workers.inference.answers.writer import AnswerWriter
from hotswap_stream.workers.inference.batches.batches import Batch
from hotswap_stream.workers.inference.batches.forward import run_forward
from hotswap_stream.workers.inference.batches.version_choice import VersionChooser
from hotswap_stream.workers.inference.kafka_clients import WAYS_MS, answer_producer, request_consumer
from hotswap_stream.workers.inference.limits import LoopLimits
from hotswap_stream.workers.inference.observing.observer import Observer
from hotswap_stream.workers.inference.requests.ids import RequestIds
from hotswap_stream.workers.inference.requests.stepping_over import UnreadablePartitions
from hotswap_stream.workers.inference.requests.taking import Taking
from hotswap_stream.workers.inference.spread_producer import SpreadProducer
from tests.support.kafka.mock_broker import mock_broker

ARCHITECTURE, FEATURES = "ffnn-784-32-32-32-10", 784
PARTITIONS = 4
BATCH = 128
PORTION, PORTION_JSON = 32 * BATCH, 8 * BATCH
ROWS_MAX = 512
LOW_PERCENTILE = 10.0
SECONDS_MAX = 60.0
AIM = 0.55
REQUESTS, ANSWERS = "bench.steps-requests", "bench.steps-answers"

Result = TypeVar("Result")


class _Slots:
    """One version that always answers."""

    route = refused = failure = None

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    def lease(self) -> Lease:
        return self._lease

    def release(self, _lease: Lease) -> None:
        return


class Clock(Struct):
    """Processor time of this thread by step, µs for each request, of each batch."""

    found: dict[str, list[float]] = {}

    def timed(self, step: str, requests: int, work: Callable[[], Result]) -> Result:
        """Do the work of one batch."""
        began = time.thread_time()
        result = work()
        self.found.setdefault(step, []).append(1e6 * (time.thread_time() - began) / requests)
        return result

    def lows(self) -> dict[str, float]:
        """Return the low percentile of each step."""
        return {step: round(float(np.percentile(each, LOW_PERCENTILE)), 2) for step, each in self.found.items()}


def _manifest() -> ArtifactManifest:
    """Return the manifest of the network with the names that its graph has."""
    manifest = manifest_of(ARCHITECTURE, {})
    return replace(
        manifest,
        inputs=(replace(manifest.inputs[0], name="x"),),
        outputs=(replace(manifest.outputs[0], name="h6"),),
        warm_up={"x": (1, FEATURES)},
    )


class _Traffic:
    """Requests by the batch. A portion at a time, because this broker keeps 5 MB of a partition."""

    def __init__(self, servers: str, batches: int, *, as_json: bool) -> None:
        self._batches = batches
        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 5, "log_level": 0})
        self._portion, self._as_json, self._written = PORTION_JSON if as_json else PORTION, as_json, 0
        content_type = (JSON_CONTENT_TYPE if as_json else MSGPACK_CONTENT_TYPE).encode()
        self._headers: Headers = [(names.CONTENT_TYPE, content_type)]

    def _fill(self) -> None:
        self._written += 1
        bodies = request_bodies(_manifest(), self._portion, json=self._as_json, prefix=f"{self._written}-")
        for number, body in enumerate(bodies):
            self._producer.produce(REQUESTS, body, partition=number % PARTITIONS, headers=self._headers)
        assert self._producer.flush(SECONDS_MAX) == 0

    def read_by(self, consumer: Consumer, clock: Clock) -> Iterator[list[Message]]:
        """Write requests, and yield them in full batches as the consumer reads them."""
        consumer.assign([TopicPartition(REQUESTS, number, OFFSET_END) for number in range(PARTITIONS)])
        assert not consumer.consume(1, 1.0), "somebody else writes requests"
        for _ in range(0, self._batches, self._portion // BATCH):
            self._fill()
            give_up, left = time.monotonic() + SECONDS_MAX, self._portion
            while left:
                assert time.monotonic() < give_up, "the broker of this process does not keep up"
                time.sleep(0.002)  # so that a batch is there, and no waiting is counted
                began = time.thread_time()
                messages = consumer.consume(BATCH, 1.0)
                taken_s = time.thread_time() - began
                left -= len(messages)
                if len(messages) == BATCH:
                    clock.found.setdefault("consume", []).append(1e6 * taken_s / BATCH)
                    yield messages


def _ours(servers: str, traffic: _Traffic, lease: Lease) -> tuple[dict[str, float], int]:
    """Return what each step takes, and the bytes of an answer."""
    clock, limits, errors = Clock(), LoopLimits(), list[KafkaError]()
    options: dict[str, Any] = {"bootstrap.servers": servers, "log_level": 0}
    consumer = request_consumer(options, group="bench", worker="w1", limits=limits, on_error=errors.append)
    make = partial(answer_producer, options, worker="w1", limits=limits, on_error=errors.append)
    producers = [SpreadProducer(partial(make, linger_ms=linger_ms)) for linger_ms in WAYS_MS]
    unreadable = UnreadablePartitions({"bootstrap_servers": servers}, "ffnn", REQUESTS)
    taking = Taking(
        REQUESTS,
        unreadable,
        bytes_max=limits.request_bytes_max,
        key_bytes_max=limits.answer_key_bytes_max,
        on_error=errors.append,
    )
    chooser = VersionChooser(
        "ffnn", "w1", cast("Any", _Slots(lease)), cast("Any", None), RequestIds(limits.request_id_window),
        cast("Any", None), cast("Any", None),
    )  # fmt: skip
    sender = AnswerSender(
        producers,
        AnswerWriter("ffnn", "w1", AnswerTags("bench").of("ffnn")),
        response_topic=ANSWERS,
        letters=DeadLetterSender(options, worker="w1", topic="letters", stopping=threading.Event()),
        limits=limits,
        stopping=threading.Event(),
        on_answered=lambda _partition, _next_offset: None,
        send_reply=lambda _answer: None,
    )
    observer, positions = Observer("ffnn", "w1", "run"), dict.fromkeys(range(PARTITIONS), 0)
    size = 0
    for messages in traffic.read_by(consumer, clock):
        entries = clock.timed("read", BATCH, lambda: taking.take(consumer, messages, positions))  # noqa: B023
        batch: Batch = clock.timed("choose and group", BATCH, lambda: chooser.make_batch(entries))  # noqa: B023
        computed = clock.timed("compute", BATCH, lambda: run_forward(batch))  # noqa: B023
        answers = clock.timed("write", BATCH, lambda: sender.writer.write(computed))  # noqa: B023
        clock.timed("send", BATCH, lambda: sender.send(answers))  # noqa: B023
        clock.timed("observe", BATCH, lambda: observer.observe(computed))  # noqa: B023
        size = len(answers[0].value)
    sender.flush()
    consumer.close()
    assert not errors, errors
    return clock.lows(), size


def _bare(servers: str, traffic: _Traffic, answer_bytes: int) -> dict[str, float]:
    """Return what the bare client takes: it reads the same requests and writes answers of the same size."""
    clock = Clock()
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "bare", "enable.auto.commit": False, "fetch.queue.backoff.ms": 5}
    )
    producer = Producer({"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True, "linger.ms": 5})
    answer, tag = bytes(answer_bytes), (names.ANSWER_TAG, bytes(16))
    content_type = (names.CONTENT_TYPE, MSGPACK_CONTENT_TYPE.encode())

    def move(messages: Sequence[Message]) -> None:
        for message in messages:
            partition, offset = place_of(message)
            message.value()
            headers: Headers = [
                content_type,
                (names.REQUEST_OFFSET, b"%d" % offset),
                (names.STATUS, b"ok"),
                tag,
            ]
            producer.produce(ANSWERS, answer, message.key(), partition, headers=headers)
        producer.poll(0)

    for messages in traffic.read_by(consumer, clock):
        clock.timed("move", BATCH, lambda: move(messages))  # noqa: B023
    assert producer.flush(SECONDS_MAX) == 0
    consumer.close()
    return clock.lows()


def measure(count: int, *, as_json: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Return µs a request by step: ours, and the bare client's."""
    with tempfile.TemporaryDirectory() as folder, mock_broker(REQUESTS, ANSWERS) as servers:
        path = Path(folder) / "ffnn.onnx"
        module = build_module(ARCHITECTURE, {})
        assert isinstance(module, nn.Sequential)
        write_onnx(module, path)
        graph = {GRAPH_FILE: memoryview(path.read_bytes())}
        model = load_graph(_manifest(), graph, threads=1, batch_rows_max=ROWS_MAX)
        traffic = _Traffic(servers, count // BATCH, as_json=as_json)
        gc.collect()
        gc.freeze()  # as a worker does
        ours, answer_bytes = _ours(servers, traffic, Lease("v1", "sha256:" + "0" * 64, 7, model))
        return ours, _bare(servers, traffic, answer_bytes)


def run(count: int = 25_600) -> list[dict[str, object]]:
    """Return µs of processor time a request; the ratio is the bare client's to ours, so more is better."""
    results: list[dict[str, object]] = []
    for as_json, kind in ((False, "msgpack"), (True, "JSON")):
        ours, bare = measure(count // (4 if as_json else 1), as_json=as_json)
        mine, theirs = sum(ours.values()), sum(bare.values())
        results.append(
            {
                "name": f"loop_steps {kind}",
                "ours": round(mine, 2),
                "compared_with": "the same client moving the same bytes with no model",
                "comparison": round(theirs, 2),
                "unit": "µs of the loop's thread a request",
                "ratio": round(theirs / mine, 3),
                "aim": "-" if as_json else f">= {AIM}",
                "holds": as_json or theirs / mine >= AIM,
                "steps_us": ours,
                "comparison_steps_us": bare,
            }
        )
    return results


if __name__ == "__main__":
    print(json.dumps(run(*(int(argument) for argument in sys.argv[1:2])), indent=2))
