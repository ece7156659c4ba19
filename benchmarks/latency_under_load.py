"""Latency while a worker is at 10, 30, 50, 70 and 90 % of what it can do, beside a bare echo at the same rates.

    python -m benchmarks.latency_under_load [SECONDS]

First the capacity is measured: the rate of requests that is kept up with. Whoever writes them, and the broker that
takes them, need the processors, too, so requests that wait already are answered faster; `backlog_per_s` says how fast.
Then requests come at a share of the capacity in all partitions but one, from a process of their own, and a probe asks
in the last partition, `PROBES_PER_S` times a second, and times each answer itself. The echo is one process on the same
client that sends each record back; no model, no checkpoint, no answers' facts. The slowest answer at half of the
capacity has a row of its own.
Each row says how much of the processors was idle meanwhile: where nothing is, whoever answers waits for a turn.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import psutil
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from msgspec import Struct

from benchmarks.serving_processes import Served, process, served
from benchmarks.streams import Stream
from benchmarks.worker_rounds import WorkerRounds, request_bodies
from hotswap_events import headers as names
from hotswap_events.inference.messages import MSGPACK_CONTENT_TYPE
from hotswap_events.topics import Topics, TopicSpec
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.workers.inference.requests.records import records_of

MODEL, ARCHITECTURE = "ffnn", "ffnn-784-32-32-32-10"
PARTITIONS = 4
PROBE_PARTITION = PARTITIONS - 1
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
AIMED_SHARE_MAX = 0.7
CAPACITY_REQUESTS = 100_000
PROBES_PER_S = 200
SETTLE_SECONDS = 2.0
CAPACITY_SECONDS = 4.0
CAPACITY_ROUNDS_MAX = 6
KEPT_UP = 0.97
"""Of the requests of a time, answered in it."""
CATCH_UP_SECONDS_MAX = 120.0
POLL_SECONDS = 0.001
"""The client counts in whole milliseconds: with less it never waits, and the probe takes a processor for itself."""
ANSWER_SECONDS_MAX = 30.0
P50_AIM, P99_AIM, SLOWEST_AIM = 1.5, 2.0, 5.0
ECHO_TOPICS = ("bench.load-requests", "bench.load-responses")


class Found(Struct, frozen=True):
    """The latencies at one share of the capacity, in ms, and how much of the processors was idle meanwhile.

    What others do at a low priority counts as idle: it gives way.
    """

    p50: float
    p99: float
    slowest: float
    probes: int
    idle: float


class Probe:
    """Ask in one partition at an even pace, and time the answers by this process's own clock."""

    def __init__(self, servers: str, requests: str, responses: str, bodies: list[bytes]) -> None:
        self._requests, self._bodies = requests, bodies
        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "bench.probe",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
            }
        )
        place = TopicPartition(responses, PROBE_PARTITION)
        _, place.offset = self._consumer.get_watermark_offsets(place, timeout=10)
        self._consumer.assign([place])
        self._asked_s: dict[int, float] = {}
        self._answered_s: dict[int, float] = {}

    def measure(self, seconds: float) -> Found:
        """Ask for so long, and wait for the answers. Raise RuntimeError if one does not come."""
        began, sent = time.perf_counter(), 0
        psutil.cpu_times_percent()
        while (now := time.perf_counter()) < began + seconds:
            while sent < (now - began) * PROBES_PER_S:
                self._ask(sent, now)
                sent += 1
            self._poll(POLL_SECONDS)
        times = psutil.cpu_times_percent()
        idle = (times.idle + times.nice) / 100
        give_up_s = time.perf_counter() + ANSWER_SECONDS_MAX
        # What else was asked in this partition before may be answered now, too.
        while len(self._asked_s) < sent or not self._asked_s.keys() <= self._answered_s.keys():
            if time.perf_counter() > give_up_s:
                raise RuntimeError(f"{len(self._asked_s.keys() & self._answered_s.keys())} of {sent} were answered")
            self._poll(0.01)
        took = np.array([self._answered_s[offset] - asked for offset, asked in self._asked_s.items()]) * 1_000
        self._asked_s.clear()
        self._answered_s.clear()
        p50, p99 = (float(np.percentile(took, percent)) for percent in (50, 99))
        return Found(p50, p99, float(took.max()), len(took), idle)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def _ask(self, number: int, now: float) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            offset = message.offset()
            assert error is None, error
            assert offset is not None
            self._asked_s[offset] = now

        self._producer.produce(
            self._requests,
            self._bodies[number % len(self._bodies)],
            partition=PROBE_PARTITION,
            headers=[(names.CONTENT_TYPE, MSGPACK_CONTENT_TYPE.encode())],
            on_delivery=delivered,
        )

    def _poll(self, seconds: float) -> None:
        self._producer.poll(0)
        message = self._consumer.poll(seconds)
        if message is None or message.error() is not None:
            return
        now = time.perf_counter()
        headers = dict(records_of("", [message])[0].headers)
        self._answered_s[int(headers[names.REQUEST_OFFSET] or b"")] = now


@contextmanager
def _load(stage: Served, topic: str, rate_per_s: float) -> Iterator[None]:
    servers = str(stage.settings.kafka_bootstrap_servers)
    argv = [sys.executable, "-m", "benchmarks.paced_load", servers, topic, str(PROBE_PARTITION), str(rate_per_s)]
    with process([*argv, ARCHITECTURE, "{}"], stage.settings):
        yield


def _capacity(stage: Served, topics: tuple[str, str], backlog_per_s: float) -> float:
    """Return about the highest rate of requests that is kept up with: begin above it, and come nearer."""
    asked = backlog_per_s
    for _ in range(CAPACITY_ROUNDS_MAX):
        answered = _answered_per_s(stage, topics, asked)
        _catch_up(stage, topics)
        if answered >= KEPT_UP * asked:
            break
        asked = (asked + answered) / 2
    return min(asked, answered)


def _answered_per_s(stage: Served, topics: tuple[str, str], asked_per_s: float) -> float:
    answers = Stream(str(stage.settings.kafka_bootstrap_servers), topics[1], PARTITIONS)
    with _load(stage, topics[0], asked_per_s):
        time.sleep(SETTLE_SECONDS)
        before, began = sum(answers.ends()), time.perf_counter()
        time.sleep(CAPACITY_SECONDS)
        return (sum(answers.ends()) - before) / (time.perf_counter() - began)


def _catch_up(stage: Served, topics: tuple[str, str]) -> None:
    """Wait until all requests have been answered. Raise RuntimeError if that takes too long."""
    requests, answers = (Stream(str(stage.settings.kafka_bootstrap_servers), topic, PARTITIONS) for topic in topics)
    asked, give_up_s = sum(requests.ends()), time.monotonic() + CATCH_UP_SECONDS_MAX
    while (answered := sum(answers.ends())) < asked:
        if time.monotonic() > give_up_s:
            raise RuntimeError(f"{answered} of {asked} requests were answered")
        time.sleep(0.1)


def _at_shares(stage: Served, topics: tuple[str, str], capacity: float, seconds: float) -> dict[float, Found]:
    bodies = list(request_bodies(stage.manifest, 64, prefix=None))
    probe = Probe(str(stage.settings.kafka_bootstrap_servers), *topics, bodies)
    try:
        probe.measure(SETTLE_SECONDS)  # whoever answers has begun
        found: dict[float, Found] = {}
        for share in SHARES:
            with _load(stage, topics[0], share * capacity):
                time.sleep(SETTLE_SECONDS)
                found[share] = probe.measure(seconds)
            print(topics[1], share, found[share], file=sys.stderr, flush=True)
            _catch_up(stage, topics)
        return found
    finally:
        probe.close()


async def _measure(seconds: float) -> tuple[dict[str, float], dict[float, Found], dict[float, Found]]:
    async with served(MODEL, ARCHITECTURE, partitions=PARTITIONS) as stage:
        rounds = WorkerRounds(stage)
        await rounds.settle()
        await rounds.fill(CAPACITY_REQUESTS)
        backlog = (await rounds.answered(CAPACITY_REQUESTS)).per_s
        topics, servers = Topics(stage.settings.topic_prefix), str(stage.settings.kafka_bootstrap_servers)
        specs = [
            TopicSpec(name=name, partitions=PARTITIONS, cleanup_policy="delete", retention_ms=-1)
            for name in ECHO_TOPICS
        ]
        await ensure_topics(bootstrap.connection(stage.settings), specs)
        with stage.command("worker", "--name", "w1"):
            pair = topics.requests(MODEL), topics.responses(MODEL)
            capacity = await asyncio.to_thread(_capacity, stage, pair, backlog)
            ours = await asyncio.to_thread(_at_shares, stage, pair, capacity, seconds)
        echo = [sys.executable, "-m", "benchmarks.bare_member", servers, *ECHO_TOPICS, "echo"]
        with process(echo, stage.settings):
            bare = await asyncio.to_thread(_at_shares, stage, ECHO_TOPICS, capacity, seconds)
    return {"capacity_per_s": round(capacity), "backlog_per_s": round(backlog)}, ours, bare


def run(seconds: float = 10.0) -> list[dict[str, object]]:
    """Return percentiles, ms; ratios are ours to the echo's, so smaller is better."""
    capacities, ours, bare = asyncio.run(_measure(seconds))
    results: list[dict[str, object]] = []

    def add(name: str, mine: float, compared_with: str, other: float, aim: float | None, **more: float) -> None:
        ratio = mine / other
        results.append(
            {
                "name": f"latency_under_load {name}",
                "ours": round(mine, 3),
                "compared_with": compared_with,
                "comparison": round(other, 3),
                "unit": "ms",
                "ratio": round(ratio, 3),
                "aim": "-" if aim is None else f"<= {aim}",
                "holds": aim is None or ratio <= aim,
                **capacities,
                **more,
            }
        )

    percentiles: dict[str, tuple[Callable[[Found], float], float]] = {
        "p50": (lambda found: found.p50, P50_AIM),
        "p99": (lambda found: found.p99, P99_AIM),
    }
    for share in SHARES:
        for name, (of, aim) in percentiles.items():
            aimed = aim if share <= AIMED_SHARE_MAX else None
            idle = {"idle_of_processors": ours[share].idle, "idle_beside_the_echo": bare[share].idle}
            add(f"{share:.0%} {name}", of(ours[share]), "a bare echo", of(bare[share]), aimed, **idle)
    half = ours[0.5]
    add("50% slowest", half.slowest, "its own p99", half.p99, SLOWEST_AIM)
    add("50% slowest beside the echo", half.slowest, "the slowest of a bare echo", bare[0.5].slowest, None)
    return results


if __name__ == "__main__":
    print(json.dumps(run(*(float(argument) for argument in sys.argv[1:2])), indent=2))
