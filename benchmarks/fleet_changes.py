"""How long partitions go without an answer when the fleet changes, beside bare librdkafka members in the same run.

    python -m benchmarks.fleet_changes [STEP …]

One load at a steady rate on eight partitions. Of each step, in a window around it: the longest time between two answers
of one partition, for partitions that stayed with their worker and for those that moved, and the slowest request. Times
are the broker's (answers) and the load's (requests), on one machine. What is without a change is measured first.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import msgspec
from confluent_kafka import Consumer, TopicPartition
from msgspec import Struct

from benchmarks.serving_processes import Served, process, served
from hotswap_events import headers as names
from hotswap_events.topics import Topics, TopicSpec
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.bootstrap.topic_care import model_topics_creator
from hotswap_stream.settings import child_environment
from hotswap_stream.workers.inference.requests.records import records_of

MODEL, ARCHITECTURE = "ffnn", "ffnn-784-32-32-32-10"
PARTITIONS = 8
RATE_PER_S = 200
ROLLING_RATE_PER_S = 500
BARE_TOPICS = ("bench.bare-requests", "bench.bare-responses")
WINDOW_SECONDS = 12.0
QUIET_SECONDS = 8.0
MOVED_MS_AIM, RESTARTED_MS_AIM, DEAD_MS_AIM, ROLLING_MS_AIM = 300, 2_000, 4_000, 500
STEPS = ("quiet", "alone-restart", "join", "leave", "kill-restart", "kill", "rolling")
BARE_STEPS = ("quiet", "join", "leave", "rolling")
_READ = 10_000


class _Parameters(Struct, frozen=True):
    worker: str = ""


class _Body(Struct):
    parameters: _Parameters = _Parameters()


_body = msgspec.msgpack.Decoder(_Body)


WorkerOf = Callable[[bytes, dict[str, bytes]], str]
"""Body and headers of an answer → who wrote it."""


class Window(Struct, frozen=True):
    """What happened in one window, ms. None where no partition was of that kind."""

    unmoved_gap_ms: int | None
    moved_gap_ms: int | None
    moved: int
    slowest_ms: int
    answers: int
    void: int


class Watch:
    """Read both topics in a thread: when each request was asked and answered, and by whom."""

    def __init__(self, servers: str, requests: str, responses: str, worker_of: WorkerOf) -> None:
        self._topics = requests, responses
        self._worker_of = worker_of
        self._asked: dict[tuple[int, int], int] = {}
        self._answers: list[list[tuple[int, int, str]]] = [[] for _ in range(PARTITIONS)]
        """The answers of each partition: when (ms), to which request, by whom."""
        self._highest = [-1] * PARTITIONS
        self._void: list[int] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "bench.watch",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        self._consumer.assign([TopicPartition(topic, part, 0) for topic in self._topics for part in range(PARTITIONS)])
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._ended.set()
        self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        while not self._ended.is_set():
            for message in self._consumer.consume(_READ, 0.05):
                if message.error() is not None:
                    continue
                partition, offset, stamp = message.partition(), message.offset(), message.timestamp()[1]
                assert partition is not None
                assert offset is not None
                if message.topic() == self._topics[0]:
                    self._asked[partition, offset] = stamp
                    continue
                headers = {name: value or b"" for name, value in records_of("", [message])[0].headers}
                asked = int(headers[names.REQUEST_OFFSET])
                if asked <= self._highest[partition]:
                    self._void.append(stamp)
                    continue
                self._highest[partition] = asked
                self._answers[partition].append((stamp, asked, self._worker_of(message.value() or b"", headers)))

    @property
    def workers(self) -> set[str]:
        """Who answered last in some partition."""
        return {answers[-1][2] for answers in self._answers if answers}

    def owners(self) -> list[str]:
        """Who answered last in each partition."""
        return [answers[-1][2] if answers else "" for answers in self._answers]

    def window(self, began_ms: int, ended_ms: int) -> Window:
        """Return the figures of one window."""
        unmoved: list[int] = []
        moved: list[int] = []
        slowest = count = 0
        for partition, answers in enumerate(self._answers):
            inside = [answer for answer in answers if began_ms <= answer[0] <= ended_ms]
            times = [began_ms, *(stamp for stamp, _, _ in inside), ended_ms]
            gap = max(later - earlier for earlier, later in pairwise(times))
            (moved if len({worker for _, _, worker in inside}) > 1 else unmoved).append(gap)
            count += len(inside)
            slowest = max([slowest, *(stamp - self._asked[partition, asked] for stamp, asked, _ in inside)])
        return Window(
            max(unmoved, default=None),
            max(moved, default=None),
            len(moved),
            slowest,
            count,
            sum(began_ms <= stamp <= ended_ms for stamp in self._void),
        )


class Fleet:
    """Workers, or bare members, by name."""

    def __init__(self, stage: Served, argv: Callable[[str], list[str]]) -> None:
        self._argv = argv
        self._environment = {**child_environment(stage.settings), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start one."""
        self._running[name] = subprocess.Popen(self._argv(name), env=self._environment)

    def end(self, name: str, number: signal.Signals) -> None:
        """Send one a signal."""
        self._running[name].send_signal(number)

    def wait(self, name: str) -> None:
        """Return when one has ended."""
        self._running.pop(name).wait(30)

    def close(self) -> None:
        """End all."""
        for running in self._running.values():
            running.terminate()
        for name in list(self._running):
            self.wait(name)


def _now_ms() -> int:
    return int(time.time() * 1000)


def _until(condition: Callable[[], bool], seconds_max: float = 60.0) -> None:
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the fleet does not answer as it should")
        time.sleep(0.02)


def _spread(watch: Watch, names_of: set[str]) -> Callable[[], bool]:
    return lambda: set(watch.owners()) == names_of


def _measured(watch: Watch, act: Callable[[], None], seconds: float = WINDOW_SECONDS) -> Window:
    time.sleep(1.0)
    began = _now_ms()
    act()
    time.sleep(max(1.5, seconds - (_now_ms() - began) / 1000))
    return watch.window(began, _now_ms() - 300)


def _steps(
    fleet: Fleet, watch: Watch, steps: tuple[str, ...], is_usual: Callable[[], bool] = lambda: True
) -> Iterator[tuple[str, Window]]:
    fleet.start("w1")
    _until(_spread(watch, {"w1"}))
    time.sleep(2.0)

    def join() -> None:
        fleet.start("w2")
        _until(_spread(watch, {"w1", "w2"}))

    def leave() -> None:
        fleet.end("w2", signal.SIGTERM)
        _until(_spread(watch, {"w1"}))
        fleet.wait("w2")

    def kill_and_restart_alone() -> None:
        fleet.end("w1", signal.SIGKILL)
        fleet.wait("w1")
        fleet.start("w1")

    def kill_and_restart() -> None:
        fleet.end("w2", signal.SIGKILL)
        fleet.wait("w2")
        fleet.start("w2")

    def kill() -> None:
        fleet.end("w2", signal.SIGKILL)
        fleet.wait("w2")
        _until(_spread(watch, {"w1"}))

    if "quiet" in steps:
        yield "quiet", _measured(watch, lambda: None, QUIET_SECONDS)
    if "alone-restart" in steps:
        _until(is_usual)
        yield "alone-restart", _measured(watch, kill_and_restart_alone)
    if "join" in steps or "leave" in steps:
        yield "join", _measured(watch, join)
        yield "leave", _measured(watch, leave)
    if "kill-restart" in steps or "kill" in steps:
        join()
        time.sleep(2.0)
        yield "kill-restart", _measured(watch, kill_and_restart)
        yield "kill", _measured(watch, kill)


def _rolling(fleet: Fleet, watch: Watch) -> Window:
    everybody = {"w1", "w2", "w3"}
    for name in sorted(everybody):
        fleet.start(name)
    _until(_spread(watch, everybody))
    time.sleep(3.0)

    def roll() -> None:
        for name in sorted(everybody):
            fleet.end(name, signal.SIGTERM)
            _until(_spread(watch, everybody - {name}))
            fleet.wait(name)
            fleet.start(name)
            _until(_spread(watch, everybody))

    return _measured(watch, roll)


@contextmanager
def _load(stage: Served, topic: str, rate_per_s: int) -> Iterator[None]:
    argv = [sys.executable, "-m", "benchmarks.paced_load", str(stage.settings.kafka_bootstrap_servers), topic]
    with process([*argv, str(PARTITIONS), str(rate_per_s), ARCHITECTURE, "{}"], stage.settings):
        yield


@contextmanager
def _fleet(stage: Served, argv: Callable[[str], list[str]]) -> Iterator[Fleet]:
    fleet = Fleet(stage, argv)
    try:
        yield fleet
    finally:
        fleet.close()


def _worker_argv(name: str) -> list[str]:
    return [sys.executable, "-m", "hotswap_stream.cli", "worker", "--name", name]


def _graph_is_tried(stage: Served) -> bool:
    """Return whether this machine knows the graph: it does from some seconds after a worker's first start on."""

    async def is_known() -> bool:
        if stage.graph is None:
            return False
        store = bootstrap.artifact_store(stage.settings)
        content = (await store.fetch(stage.artifact.digest)).content
        return await bootstrap.stored_trials(stage.settings, store).knows(content, stage.graph.digest)

    return asyncio.run(is_known())


def _measure_ours(stage: Served, steps: tuple[str, ...]) -> dict[str, Window]:
    topics, servers = Topics(stage.settings.topic_prefix), str(stage.settings.kafka_bootstrap_servers)
    requests, responses = topics.requests(MODEL), topics.responses(MODEL)
    found: dict[str, Window] = {}
    watch = Watch(servers, requests, responses, lambda value, _headers: _body.decode(value).parameters.worker)
    try:
        with _fleet(stage, _worker_argv) as fleet, _load(stage, requests, RATE_PER_S):
            for step, window in _steps(fleet, watch, steps, lambda: _graph_is_tried(stage)):
                print("ours", step, window, file=sys.stderr, flush=True)
                found[step] = window
        if "rolling" in steps:
            with _fleet(stage, _worker_argv) as fleet, _load(stage, requests, ROLLING_RATE_PER_S):
                found["rolling"] = _rolling(fleet, watch)
                print("ours", "rolling", found["rolling"], file=sys.stderr, flush=True)
    finally:
        watch.close()
    return found


def _measure_bare(stage: Served, steps: tuple[str, ...]) -> dict[str, Window]:
    servers, found = str(stage.settings.kafka_bootstrap_servers), dict[str, Window]()
    watch = Watch(servers, *BARE_TOPICS, lambda _value, headers: headers["worker"].decode())
    try:
        with (
            _fleet(
                stage, lambda name: [sys.executable, "-m", "benchmarks.bare_member", servers, *BARE_TOPICS, name]
            ) as fleet,
            _load(stage, BARE_TOPICS[0], RATE_PER_S),
        ):
            for step, window in _steps(fleet, watch, tuple(step for step in steps if step in BARE_STEPS)):
                print("bare", step, window, file=sys.stderr, flush=True)
                found[step] = window
    finally:
        watch.close()
    return found


async def _measure(steps: tuple[str, ...]) -> tuple[dict[str, Window], dict[str, Window]]:
    async with served(MODEL, ARCHITECTURE, partitions=PARTITIONS, exported=True) as stage:
        await model_topics_creator(stage.settings)(MODEL)
        specs = [
            TopicSpec(name=name, partitions=PARTITIONS, cleanup_policy="delete", retention_ms=-1)
            for name in BARE_TOPICS
        ]
        await ensure_topics(bootstrap.connection(stage.settings), specs)
        ours = await asyncio.to_thread(_measure_ours, stage, steps)
        bare = await asyncio.to_thread(_measure_bare, stage, steps)
    return ours, bare


def _result(name: str, ours: int | None, beside: tuple[str, int | None], aim_ms: float) -> dict[str, object]:
    compared_with, comparison = beside
    return {
        "name": f"fleet_changes: {name}",
        "ours": ours,
        "unit": "ms",
        "compared_with": compared_with,
        "comparison": comparison,
        "ratio": None if not comparison or ours is None else round(ours / comparison, 2),
        "aim": f"<= {aim_ms:g} ms",
        "holds": ours is not None and ours <= aim_ms,
    }


def run(steps: tuple[str, ...] = STEPS) -> list[dict[str, object]]:
    """Return longest gaps, ms."""
    ours, bare = asyncio.run(_measure(steps))
    quiet = ours["quiet"].unmoved_gap_ms or 0
    without = "without a change", quiet
    results: list[dict[str, object]] = []
    for step in ("join", "leave"):
        if step in ours:
            results.append(_result(f"{step}, partitions that stay", ours[step].unmoved_gap_ms, without, 2 * quiet))
            beside = "bare members", bare[step].moved_gap_ms
            results.append(_result(f"{step}, partitions that move", ours[step].moved_gap_ms, beside, MOVED_MS_AIM))
    if "alone-restart" in ours:
        gap = max(ours["alone-restart"].unmoved_gap_ms or 0, ours["alone-restart"].moved_gap_ms or 0)
        results.append(_result("killed and restarted, alone", gap, without, RESTARTED_MS_AIM))
    if "kill-restart" in ours:
        gap = max(ours["kill-restart"].unmoved_gap_ms or 0, ours["kill-restart"].moved_gap_ms or 0)
        results.append(_result("killed and restarted", gap, without, RESTARTED_MS_AIM))
    if "kill" in ours:
        gap = max(ours["kill"].unmoved_gap_ms or 0, ours["kill"].moved_gap_ms or 0)
        results.append(_result("killed for good", gap, without, DEAD_MS_AIM))
    if "rolling" in ours:
        beside = "slowest without a change", ours["quiet"].slowest_ms
        results.append(
            _result("rolling restart of three, slowest request", ours["rolling"].slowest_ms, beside, ROLLING_MS_AIM)
        )
    return results


if __name__ == "__main__":
    for result in run(("quiet", *sys.argv[1:]) if len(sys.argv) > 1 else STEPS):
        print(json.dumps(result))
