"""A worker over requests that wait for it: filled in while no worker runs, counted while one answers."""

import asyncio
import subprocess
import time
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
import psutil

from benchmarks.serving_processes import Served
from benchmarks.streams import Counted, Headers, Stream, header_of
from hotswap_events import headers as names
from hotswap_events.inference.messages import (
    JSON_CONTENT_TYPE,
    MSGPACK_CONTENT_TYPE,
    AnswerFacts,
    Datatype,
    InferError,
    InferRequest,
    InferResponse,
    InferTensor,
)
from hotswap_events.topics import Topics
from hotswap_stream import bootstrap
from hotswap_stream.adapters.models.checking import NUMPY_OF
from hotswap_stream.application.artifacts.manifest import ArtifactManifest

WARM_UP_REQUESTS = 2_000
SETTLED_SECONDS = 3.0
"""Without a change, and without a process that exports: then the executor is the one that stays."""
SETTLE_SECONDS_MAX = 180.0
INTEGERS_BELOW: dict[Datatype, int] = {"INT64": 1_000, "INT32": 256}
"""Whole numbers of requests: ids that every table of the benchmarks has, and bytes."""
DISTINCT = 256
"""Tensors that repeat; the ids do not."""


class WorkerRounds:
    """Rounds over the topics of the stage's model.

    `json`: requests as JSON instead of msgpack. `rows`: of each request.
    """

    def __init__(self, stage: Served, *, json: bool = False, rows: int = 1) -> None:
        self._stage, self._json, self._rows = stage, json, rows
        topics = Topics(stage.settings.topic_prefix)
        servers, partitions = str(stage.settings.kafka_bootstrap_servers), stage.settings.request_partitions
        self.requests = Stream(servers, topics.requests(stage.model_name), partitions)
        self.answers = Stream(servers, topics.responses(stage.model_name), partitions)
        content_type = JSON_CONTENT_TYPE if json else MSGPACK_CONTENT_TYPE
        self.headers: Headers = [(names.CONTENT_TYPE, content_type.encode())]
        self._round = 0

    async def settle(self, warm_up_requests: int = WARM_UP_REQUESTS) -> AnswerFacts:
        """Let a worker choose its executor and find its graphs; return the facts of an answer from then on."""
        await bootstrap.model_topics_creator(self._stage.settings)(self._stage.model_name)
        with self._stage.command("worker", "--name", "w1") as worker:
            return await asyncio.to_thread(self._settle, worker, warm_up_requests)

    def _settle(self, worker: "subprocess.Popen[str]", count: int) -> AnswerFacts:
        give_up = time.monotonic() + SETTLE_SECONDS_MAX
        executor, since = None, time.monotonic()
        while True:
            starts = self.answers.ends()
            self.requests.fill(self.bodies(count), self.headers)
            facts = facts_of(self.answers.count(starts, count, lambda: worker.poll() is None))
            count = min(count, DISTINCT)
            now = time.monotonic()
            if facts.executor != executor or psutil.Process(worker.pid).children(recursive=True):
                executor, since = facts.executor, now
            if now - since >= SETTLED_SECONDS:
                return facts
            assert now < give_up, "the worker's executor does not settle"
            time.sleep(0.2)

    async def fill(self, count: int) -> list[int]:
        """Write requests for the next round; return where they begin in each partition."""
        starts = self.requests.ends()
        await asyncio.to_thread(self.requests.fill, self.bodies(count), self.headers)
        return starts

    async def answered(self, count: int) -> Counted:
        """Start a worker, and count its answers to the requests that were filled in."""
        starts = self.answers.ends()
        with self._stage.command("worker", "--name", "w1") as worker:
            return await asyncio.to_thread(self.answers.count, starts, count, lambda: worker.poll() is None)

    def bodies(self, count: int) -> Iterator[bytes]:
        """Return requests with ids of their own."""
        self._round += 1
        prefix = f"{self._round}-"
        return request_bodies(self._stage.manifest, count, json=self._json, prefix=prefix, rows=self._rows)


def request_bodies(
    manifest: ArtifactManifest, count: int, *, json: bool = False, prefix: str | None = "", rows: int = 1
) -> Iterator[bytes]:
    """Return requests of some rows of random numbers. `prefix`: of their ids; None: without ids."""
    encode = (msgspec.json.Encoder() if json else msgspec.msgpack.Encoder()).encode
    tensors = list(_tensors(manifest, min(count, DISTINCT), rows, json=json))
    for number in range(count):
        request_id = None if prefix is None else f"{prefix}{number:012d}"
        yield encode(InferRequest(inputs=tensors[number % len(tensors)], id=request_id))


def _tensors(manifest: ArtifactManifest, count: int, rows: int, *, json: bool) -> Iterable[list[InferTensor]]:
    random = np.random.default_rng(0)
    for _ in range(count):
        inputs = []
        for spec in manifest.inputs:
            shape = [rows, *spec.shape[1:]]
            below = INTEGERS_BELOW.get(spec.datatype)
            array = (
                random.random(shape, dtype=np.float32)
                if below is None
                else random.integers(0, below, shape).astype(NUMPY_OF[spec.datatype])
            )
            data = array.ravel().tolist() if json else array.tobytes()
            inputs.append(InferTensor(name=spec.name, shape=shape, datatype=spec.datatype, data=data))
        yield inputs


def facts_of(counted: Counted) -> AnswerFacts:
    """Return where the last answer comes from. Raise AssertionError if it is an error."""
    value = counted.last.value()
    assert value is not None
    json = header_of(counted.last, names.CONTENT_TYPE) == JSON_CONTENT_TYPE.encode()
    decode = msgspec.json.decode if json else msgspec.msgpack.decode
    if header_of(counted.last, names.STATUS) != b"ok":
        raise AssertionError(decode(value, type=InferError))
    return decode(value, type=InferResponse).parameters
