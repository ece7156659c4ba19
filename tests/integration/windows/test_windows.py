"""Windows of steps, kept by workers on the real broker: filled, told of, and kept across swaps and restarts."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from confluent_kafka import Consumer, Producer
from msgspec.structs import replace

from hotswap_events import headers as header_names
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.inference.records import partition_of
from hotswap_stream.application.swap.loader import LoadedModel, ModelLoader
from hotswap_stream.bootstrap.monitoring.doctor import examine
from hotswap_stream.client import AsyncRegistryClient, TopicClient
from hotswap_stream.client import http_calls as calls
from hotswap_stream.kafka import librdkafka
from hotswap_stream.settings import Settings, child_environment
from hotswap_stream.workers.inference import kafka_clients
from tests.support.stages.asking import running_api
from tests.support.stages.serving import (
    MODEL,
    PARTITIONS,
    Stage,
    artifact_answering,
    body,
    open_stage,
    request_body,
    stage_settings,
)
from tests.support.stages.windows import Series, mean_artifact, said, steps_body
from tests.support.stages.workers import running_worker


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return replace(stage_settings(kafka, topic_prefix, tmp_path), executor="eager")


async def register(stage: Stage, content: bytes) -> str:
    return await stage.register(await stage.store.put_artifact(content))


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """v1 takes windows of 4 steps and is active; no worker runs."""
    async with open_stage(settings) as stage:
        await stage.switch(await register(stage, mean_artifact()))
        yield stage


async def switch_and_wait(stage: Stage, model_version: str, value: bytes = steps_body([1.0])) -> None:
    """Return when the version answers; asked is in partition 1, about a series of its own."""
    await stage.switch(model_version, allow_signature_change=True)
    async with asyncio.timeout(60), stage.reading() as answers:
        while not answers.by_partition[1] or answers.by_partition[1][-1].get("model_version") != model_version:
            await stage.send(value, partition=1, headers=key("probe"))
            await asyncio.sleep(0.05)


def key(text: str) -> list[tuple[str, bytes]]:
    return [(header_names.ROUTING_KEY, text.encode())]


async def test_a_window_fills_and_then_each_request_sees_its_own(stage: Stage, settings: Settings) -> None:
    series = Series(stage)
    # All there before the worker starts, so that one batch holds several requests of one series
    for name, count in [("a", 1), ("b", 3), ("a", 2), ("a", 1), ("a", 1), ("b", 9), ("a", 1), ("b", 1), ("c", 4)]:
        await series.send(name, count)
    async with running_worker(settings):
        answers = await series.check()
    waiting, ready = answers[0], answers[3]
    assert waiting["outputs"] == []
    assert waiting["parameters"]["window"] == {"steps": 1, "needed": 4, "ready": False}
    assert waiting["model_version"] == "v1"
    assert ready["parameters"]["window"] == {"steps": 4, "needed": 4, "ready": True}
    assert ready["outputs"][0]["shape"] == [1, 1, 1]
    assert {answer["parameters"].get("batch_size") for answer in answers[3:]} != {1}


async def test_what_names_no_series_or_brings_no_steps_is_refused(stage: Stage, settings: Settings) -> None:
    good = steps_body([1.0, 2.0, 3.0, 4.0])
    requests: list[tuple[bytes, dict[str, Any], float | int | str]] = [
        (good, {}, "wrong-input"),
        (good, {"key": b"k"}, 2.5),
        (steps_body([6.0]), {"key": b"other", "headers": key("k")}, 3.75),  # the header goes before the key
        (steps_body([1.0, 2.0, 3.0, 10.0], shape=[1, 4, 1]), {"headers": key("k")}, 4.0),
        (steps_body([1.0], shape=[1]), {"headers": key("k")}, "wrong-input"),
        (steps_body([1.0, 2.0], shape=[1, 2]), {"headers": key("k")}, "wrong-input"),
        (steps_body([1.0, 2.0], shape=[2, 1, 1]), {"headers": key("k")}, "wrong-input"),
        (steps_body([], data=[]), {"headers": key("k")}, "wrong-input"),
        (steps_body([1.0], datatype="INT64"), {"headers": key("k")}, "wrong-input"),
        (steps_body([1.0], name="x"), {"headers": key("k")}, "wrong-input"),
        (steps_body([0.0] * 4_097), {"headers": key("k")}, "wrong-input"),
        (good, {"key": b"k" * 257}, "wrong-input"),
        (steps_body([14.0]), {"headers": [*key("k"), (header_names.DEADLINE, b"1")]}, "deadline-expired"),
        (steps_body([1.0], "twice"), {"headers": key("k")}, 7.0),
        (steps_body([1.0], "twice"), {"headers": key("k")}, "duplicate-id"),
        (steps_body([3.0]), {"headers": key("k")}, 7.0),
    ]
    for value, beside, _ in requests:
        await stage.send(value, **beside)
    async with running_worker(settings):
        answers = [body(record) for record in await stage.answers(len(requests))]
    assert [said(answer) for answer in answers] == [wanted for _, _, wanted in requests]
    assert "hotswap-routing-key" in answers[0]["error"]
    assert answers[12]["parameters"]["window"]["ready"] is True  # too late for an answer, but its step counts
    assert "window" not in answers[14]["parameters"]


async def test_windows_go_on_across_swaps_and_other_lengths(stage: Stage, settings: Settings) -> None:
    series = Series(stage)
    shorter, longer = await register(stage, mean_artifact(2)), await register(stage, mean_artifact(6))
    async with running_worker(settings):
        for _ in range(5):
            await series.send("a")
        await series.check()
        await switch_and_wait(stage, shorter)
        series.steps = 2
        await series.send("a")
        await series.check()
        await switch_and_wait(stage, longer)
        # It was loaded ahead, so the six steps there were so far are kept for it.
        series.steps = 6
        await series.send("a")
        await series.send("b", 5)
        (*_, last) = await series.check()
        assert last["parameters"]["window"] == {"steps": 5, "needed": 6, "ready": False}
        await switch_and_wait(stage, "v1")
        series.steps = 4
        await series.send("b")
        await series.check()


async def test_windows_survive_a_version_without_them(stage: Stage, settings: Settings) -> None:
    series = Series(stage)
    plain = await register(stage, artifact_answering(5.0))
    async with running_worker(settings):
        await series.send("a", 4)
        await series.check()
        await switch_and_wait(stage, plain, request_body())
        await stage.send(request_body())
        answers = await series.valid_answers(0, 2)
        assert answers[1]["outputs"][0]["data"] == [5.0, 5.0]
        await switch_and_wait(stage, "v1")
        await series.send("a")
        (_, _, last) = await series.valid_answers(0, 3)
        assert said(last) == series.expected[0][-1]


async def test_windows_survive_a_restart(stage: Stage, settings: Settings) -> None:
    series = Series(stage)
    for life in range(4):
        async with running_worker(settings, "w1" if life % 2 else "w2"):
            for number in range(8):
                await series.send(f"k{number % 4}", partition=number % 2)
            await series.check()
    # The windows outlive the requests that they were made of.
    await series.send("k0", partition=0)
    async with running_worker(settings):
        await series.check()


def count_clients(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[Consumer]:
    """All consumers that a module makes from here on."""
    made: list[Consumer] = []

    class Counted(Consumer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(module, "Consumer", Counted)
    return made


async def test_windows_survive_rebalances(stage: Stage, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    series = Series(stage)
    readers = count_clients(monkeypatch, librdkafka)
    serving = count_clients(monkeypatch, kafka_clients)

    async def send(count: int) -> None:
        for number in range(count):
            await series.send(f"k{number % 5}", partition=number % 5 % 2)

    async with running_worker(settings, "w1"):
        await send(20)
        async with running_worker(settings, "w2") as second:
            await send(20)
            await series.check()
            async with asyncio.timeout(60):
                while not second._served or not all(served.partitions for served in second._served.values()):
                    await send(1)
                    await asyncio.sleep(0.05)
            await send(20)
            answers = await series.check()
            assert {answer["parameters"]["worker"] for answer in answers} == {"w1", "w2"}
        await send(20)
        await series.check()
    # A life of a loop has a member, what reads its requests, and one more, which reads whatever is taken over. The
    # threads of one that is opened each time would leave memory behind each time.
    assert len(serving) >= 4
    assert len(readers) == len(serving) // 2


class SlowLoader:
    """Takes as long for one version as the test wants."""

    slow_digest = ""

    def __init__(self, inner: ModelLoader) -> None:
        self.may_go_on = asyncio.Event()
        self.began = asyncio.Event()
        self._inner = inner

    async def load(
        self, digest: str, options: VersionOptions = PLAIN, *, graph_digest: str | None = None
    ) -> LoadedModel:
        if digest == self.slow_digest:
            self.began.set()
            await self.may_go_on.wait()
        return await self._inner.load(digest, options, graph_digest=graph_digest)

    def close(self) -> None:
        self._inner.close()


async def test_windows_grow_and_answers_go_on_while_a_version_loads(stage: Stage, settings: Settings) -> None:
    series = Series(stage)
    artifact = await stage.store.put_artifact(mean_artifact(seed=1))
    worker = await bootstrap.build_worker(settings, "w1")
    loader = SlowLoader(worker._loader)
    loader.slow_digest = artifact.digest
    worker._loader = loader
    await worker.start()
    try:
        await series.send("a", 3)
        await series.check()
        await stage.switch(await stage.register(artifact))
        await loader.began.wait()
        for _ in range(5):
            await series.send("a")
        answers = await series.check()
        assert [answer["model_version"] for answer in answers] == ["v1"] * 6
        loader.may_go_on.set()
        async with asyncio.timeout(60):
            while answers[-1]["model_version"] != "v2":
                await series.send("a")
                answers = await series.check()
    finally:
        loader.may_go_on.set()
        await worker.stop()


async def test_steps_that_come_while_nothing_is_loaded_count(stage: Stage, settings: Settings) -> None:
    """Once windows are kept, a request that is refused for want of a version still brings its steps."""
    series = Series(stage)
    await series.send("a", 3)
    async with running_worker(settings):
        await series.check()
    version = stage.registry.state("tiny").versions["v1"]
    path = await stage.store.local_path(version.artifact.digest)
    assert path is not None
    content = path.read_bytes()
    path.write_bytes(b"broken")
    async with running_worker(settings):
        await series.send("a", 1)
        answers = await series.valid_answers(0, 2)
        assert said(answers[1]) == "no-active-version"
        assert answers[1]["parameters"]["window"] == {"steps": 4, "needed": 4, "ready": True}
    path.write_bytes(content)
    series.expected[0][-1] = "no-active-version"  # type: ignore[call-overload]
    async with running_worker(settings):
        await series.send("a", 1)
        await series.check()


async def test_series_beyond_the_limit_make_room(stage: Stage, settings: Settings) -> None:
    async with running_worker(replace(settings, window_keys_max=2)):
        for name in ("a", "b", "a", "c", "b", "a"):
            await stage.send(steps_body([1.0]), headers=key(name))
        answers = [body(record) for record in await stage.answers(6)]
    # c took the place of b, b that of a, and a that of c.
    assert [said(answer) for answer in answers] == [1, 1, 2, 1, 1, 1]


async def windows_command(settings: Settings, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "hotswap_stream.cli", "windows", MODEL, "--json", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, env=child_environment(settings), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, Any] = msgspec.json.decode(output)
    return found


async def test_series_asked_by_http_and_by_topic_meet_and_can_be_listed(stage: Stage, settings: Settings) -> None:
    names = [f"s{number}" for number in range(6)]
    async with (
        running_worker(settings),
        running_api(replace(settings, api_port=0)) as url,
        AsyncRegistryClient(url) as http,
    ):
        nothing = await http._json(calls.query(f"/api/models/{MODEL}/windows"))
        assert nothing == {"model_name": MODEL, "windows": [], "total": 0, "ready": 0, "evicted": 0, "split": 0}
        # The first request makes the topic; clients that began before it look again after a while.
        await stage.send(steps_body([1.0]), headers=key("first"), partition=partition_of("first", PARTITIONS))
        await stage.answers(1, partition=partition_of("first", PARTITIONS))
        async with TopicClient(str(settings.kafka_bootstrap_servers), prefix=settings.topic_prefix) as topic:
            for name in names:
                steps = np.array([[1.0], [2.0], [3.0]], "<f4")
                one = await topic.infer(MODEL, {"history": steps}, routing_key=name)
                assert one.outputs == {}
                other = await http.infer(MODEL, {"history": np.array([[6.0]], "<f4")}, routing_key=name)
                assert other.outputs["forecast"].tolist() == [[[3.0]]]
        async with asyncio.timeout(60):
            while (found := await http._json(calls.query(f"/api/models/{MODEL}/windows", {"limit": 3})))["ready"] < 6:
                await asyncio.sleep(0.2)
        assert (found["total"], found["evicted"]) == (7, 0)
        first, second, _ = found["windows"]
        partition = partition_of("first", PARTITIONS)
        assert first == {"key": "first", "partition": partition, "steps": 1, "needed": 4, "ready": False, "also_in": []}
        partition = partition_of("s0", PARTITIONS)
        assert second == {"key": "s0", "partition": partition, "steps": 4, "needed": 4, "ready": True, "also_in": []}
        rest = await http._json(calls.query(f"/api/models/{MODEL}/windows", {"after_key": "s1"}))
        assert [each["key"] for each in rest["windows"]] == ["s2", "s3", "s4", "s5"]
        by_command = await windows_command(settings, "--after", "s1")
    assert by_command == rest


def test_a_key_goes_where_other_clients_put_it() -> None:
    """Values of the tests of Kafka's own client: Utils.murmur2, made positive."""
    assert partition_of("21", 1_000) == (-973932308 & 0x7FFFFFFF) % 1_000
    assert partition_of("foobar", 1_000) == (-790332482 & 0x7FFFFFFF) % 1_000
    assert partition_of("a-little-bit-long-string", 1_000) == (-985981536 & 0x7FFFFFFF) % 1_000


async def test_series_that_librdkafkas_own_partitioner_splits_are_named_by_doctor_and_seen_by_the_agents(
    stage: Stage, settings: Settings
) -> None:
    """One producer with librdkafka's default beside one that hashes as Kafka's clients do, with two workers."""
    names = [f"sensor-{number}" for number in range(20)]
    other = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for name in names:
        other.produce(stage.topics.requests(MODEL), steps_body([1.0]), key=name)
        await stage.send(steps_body([2.0]), partition=partition_of(name, PARTITIONS), key=name.encode())
    assert await asyncio.to_thread(other.flush, 60) == 0
    async with running_worker(settings), running_worker(settings, "w2"):
        async with asyncio.timeout(60), stage.reading() as answers:
            while sum(map(len, answers.by_partition)) < 2 * len(names):
                await asyncio.sleep(0.05)
        async with asyncio.timeout(60):
            while True:  # windows are written down about once a second
                found = [each for each in await examine(settings) if "lie in several partitions" in each.found]
                if found and f"of {len(names)} series" in found[0].found:
                    break
                await asyncio.sleep(0.3)
    [finding] = found
    assert (finding.weight, finding.about) == ("must", f"model {MODEL}")
    assert "sensor-" in finding.found
    assert "partitioner=murmur2_random" in finding.do
    # What the agents look at: the newest records alone, and no model that takes no windows.
    view = bootstrap.split_view(settings)
    view.watch([MODEL, "none"])
    await view.look()
    split = view.of(MODEL)
    assert split is not None
    assert split.of == len(names)
    assert f"{split.count} of {split.of} series lie" in finding.found
    assert view.of("none") is None
    told = await windows_command(settings)
    assert told["split"] == split.count
    assert sum(bool(each["also_in"]) for each in told["windows"]) == 2 * split.count
