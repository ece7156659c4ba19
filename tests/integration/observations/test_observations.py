"""What the workers say of their answers, on the real broker: every answer is counted once, by version and role."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path

import httpx
import msgspec
import pytest
import structlog
from typer.testing import CliRunner

from hotswap_events import headers as header_names
from hotswap_events.inference.observation import Comparison, Observation
from hotswap_events.rollouts.commands import AbortRollout, StartRollout
from hotswap_events.rollouts.strategy import CanaryStrategy, MetricRule, RolloutPolicy, ShadowStrategy
from hotswap_stream import bootstrap
from hotswap_stream.cli.app import build_app
from hotswap_stream.settings import Settings
from hotswap_stream.workers.inference.observing import observer
from tests.support.samples.torch_artifacts import artifact_scoring
from tests.support.stages.asking import running_api
from tests.support.stages.observations import reading, send
from tests.support.stages.serving import (
    MODEL,
    PARTITIONS,
    Stage,
    body,
    open_stage,
    request_body,
    stage_settings,
)
from tests.support.stages.workers import running_worker

POLICY = RolloutPolicy(metrics=(MetricRule(metric="latency", threshold=0.05, slow_ms=1e-6),), auto_archive=False)


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """v1 says class 0 and is active; v2 says class 1; v3 says class 0, less surely."""
    async with open_stage(settings) as stage:
        for scores in ((0.9, 0.1), (0.2, 0.8), (0.7, 0.3)):
            await stage.register(await stage.store.put_artifact(artifact_scoring(*scores)))
        await stage.switch("v1")
        yield stage


async def start_rollout(stage: Stage, strategy: CanaryStrategy | ShadowStrategy, *candidates: str) -> None:
    await stage.command(
        StartRollout(**stage.meta(), strategy=strategy, candidates=candidates, policy=POLICY, forced=True)
    )


async def test_a_canary_is_observed_beside_its_baseline(stage: Stage, settings: Settings) -> None:
    await start_rollout(stage, CanaryStrategy(weight=3_000), "v2")
    async with running_worker(settings), reading(settings, stage.topics.observations) as seen:
        await loaded(settings, "v2")  # v1 stands in for it before, which is no primary's answer
        async with stage.reading() as answers:
            await send(stage, 200)
            await answers.until_count(100)
        by_version = Counter(str(each["model_version"]) for each in chain(*answers.by_partition))
        await seen.until(lambda: seen.answers(role="primary") >= 200)
    assert by_version["v1"] + by_version["v2"] == 200
    assert 30 <= by_version["v2"] <= 90
    for version, label in (("v1", 0), ("v2", 1)):
        observed = seen.observations(model_version=version, role="primary", rollout_id="r1")
        assert sum(each.answers for each in observed) == by_version[version]
        assert sum(each.rows for each in observed) == by_version[version]
        assert sum(each.labels.get(label, 0) for each in observed) == by_version[version]
        assert {name for each in observed for name in each.labels} == {label}
        assert sum(sum(each.total.buckets.values()) for each in observed) == by_version[version]
        assert sum(sum(each.compute.buckets.values()) for each in observed) == by_version[version]
        assert all(each.slow_ms == 1e-6 and each.compute.slow == each.answers for each in observed)
        mean = sum(each.score.total for each in observed) / by_version[version]
        assert mean == pytest.approx(0.9 if version == "v1" else 0.8, rel=1e-5)
        assert all({"score", "input"} <= set(each.sketches) for each in observed)
        assert all(each.since < each.until for each in observed)
    assert len(seen.partitions) == 1, "one model's records are in one partition, so that they have an order"
    every = seen.observations()
    assert [each.sequence for each in every] == list(range(1, len(every) + 1))


async def test_what_was_refused_pinned_or_fails_is_told_apart(stage: Stage, settings: Settings) -> None:
    async with running_worker(settings), reading(settings, stage.topics.observations) as seen:
        await stage.send(request_body("a"))
        await stage.send(request_body("a"))
        await stage.send(b"{")
        await stage.send(request_body("wrong", shape=[1, 3]))
        await stage.send(request_body("pinned"), headers=[(header_names.MODEL_VERSION, b"v3")])
        while [body(record) for record in await stage.answers(5)][4].get("model_version") != "v3":
            await stage.send(request_body(), headers=[(header_names.MODEL_VERSION, b"v3")])
        await seen.until(lambda: seen.answers() >= 2 and len(seen.observations(role="refused")) > 0)
    errors: Counter[str] = Counter()
    for each in seen.observations(role="refused"):
        assert each.model_version is None
        errors.update(each.errors)
    assert errors == {"duplicate-id": 1, "request-unreadable": 1, "wrong-input": 1}
    assert seen.answers(model_version="v1", role="primary") == 1
    assert seen.answers(model_version="v3", role="pinned") == 1


async def test_a_shadow_is_compared_and_answers_nobody(stage: Stage, settings: Settings) -> None:
    await start_rollout(stage, ShadowStrategy(), "v2", "v3")
    async with (
        running_worker(settings),
        reading(settings, stage.topics.observations) as seen,
        reading(settings, stage.topics.comparisons) as compared,
    ):
        await loaded(settings, "v2", "v3")
        async with stage.reading() as answers:
            await send(stage, 60)
            await answers.until_count(30)
        assert {each["model_version"] for each in chain(*answers.by_partition)} == {"v1"}
        await seen.until(
            lambda: all(
                sum(each.answers + each.skipped for each in seen.observations(model_version=shadow, role="shadow"))
                >= 60
                for shadow in ("v2", "v3")
            )
        )
        await compared.until(
            lambda: all(
                any(b'"shadow_version":"%b"' % name in value for value in compared.values) for name in (b"v2", b"v3")
            )
        )
    by_version: dict[str, list[Observation]] = defaultdict(list)
    for each in seen.observations(role="shadow", rollout_id="r1"):
        by_version[str(each.model_version)].append(each)
    for shadow, agree in (("v2", False), ("v3", True)):
        observed = by_version[shadow]
        answered = sum(each.answers for each in observed)
        assert answered > 0
        assert answered + sum(each.skipped for each in observed) == 60
        assert sum(each.agreed for each in observed) == (answered if agree else 0)
        assert sum(each.disagreed for each in observed) == (0 if agree else answered)
        difference = sum(each.score_difference.total for each in observed) / answered
        assert difference == pytest.approx(-0.2 if agree else -0.1, abs=1e-5)
    pairs = [msgspec.json.decode(value, type=Comparison) for value in compared.values]
    for pair in pairs:
        assert pair.primary_version == "v1"
        assert pair.agree == (pair.shadow_version == "v3")
        (ours,), (theirs,) = pair.primary_outputs, pair.shadow_outputs
        assert list(ours.data) == pytest.approx([0.9, 0.1])
        assert list(theirs.data) == pytest.approx([0.2, 0.8] if pair.shadow_version == "v2" else [0.7, 0.3])
        assert (pair.request_id or "").startswith("r-")
    assert {pair.shadow_version for pair in pairs} == {"v2", "v3"}


async def loaded(settings: Settings, *versions: str) -> None:
    """Until the worker has loaded these."""
    async with asyncio.timeout(60):
        while True:
            workers = (await bootstrap.fleet(settings)).workers(MODEL, time.monotonic())
            held = workers[0].versions if workers else {}
            if all(name in held and held[name].state in ("loaded", "serving") for name in versions):
                return
            await asyncio.sleep(0.1)


async def test_a_share_of_the_requests_is_shadowed_and_it_ends_with_the_rollout(
    stage: Stage, settings: Settings
) -> None:
    await start_rollout(stage, ShadowStrategy(sample_share=2_500), "v3")
    async with running_worker(settings), reading(settings, stage.topics.observations) as seen:
        await loaded(settings, "v3")
        async with stage.reading() as answers:
            await send(stage, 200)
            await answers.until_count(100)
            await seen.until(lambda: seen.answers(role="primary") >= 200)
            await stage.command(AbortRollout(**stage.meta()))
            await answers.until(lambda: True)
            before = len(seen.observations(role="shadow"))
            while not seen.observations(role="primary", rollout_id=None):
                await send(stage, 2, first=1_000 + before)
                before += 2
                await asyncio.sleep(0.05)
    shadowed = seen.observations(role="shadow")
    count = sum(each.answers + each.skipped for each in shadowed)
    assert 20 <= count <= 80
    assert {each.rollout_id for each in shadowed} == {"r1"}


async def test_a_restart_is_a_new_run_and_counts_from_one(stage: Stage, settings: Settings) -> None:
    async with reading(settings, stage.topics.observations) as seen:
        for start in (0, 10):
            async with running_worker(settings), stage.reading() as answers:
                await send(stage, 10, first=start)
                await answers.until_count((start + 10) // PARTITIONS)
            # The worker has stopped: what it had counted was sent before.
            await seen.until(lambda start=start: seen.answers() == start + 10)  # type: ignore[misc]
    by_run: dict[str, list[int]] = defaultdict(list)
    for each in seen.observations():
        by_run[each.worker_run].append(each.sequence)
    assert len(by_run) == 2
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_run.values())


async def test_what_a_worker_could_not_observe_is_seen_in_the_fleet_and_in_the_metrics(
    stage: Stage, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for the answers of one version only."""
    monkeypatch.setattr(observer, "KEYS_MAX", 1)
    settings = msgspec.structs.replace(settings, api_port=0)
    async with (
        running_worker(settings),
        running_api(settings) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as http,
    ):
        await loaded(settings, "v1")
        async with stage.reading() as answers:
            for number in range(20):
                headers = [(header_names.MODEL_VERSION, b"v2")] if number % 4 else []
                await stage.send(request_body(f"r-{number}"), partition=0, headers=headers)
            await answers.until(lambda: len(answers.by_partition[0]) == 20)
        lost, earlier = 0, -1
        wanted = f'observations_lost{{worker="w1",model_name="{MODEL}",what="answers_not_counted"}}'
        async with asyncio.timeout(60):
            # The worker tells it once a second, and may do so before it has counted all.
            while not lost or lost != earlier:
                earlier = lost
                await asyncio.sleep(2.5)
                [worker] = (await http.get(f"/api/models/{MODEL}/fleet")).json()["workers"]
                lost = worker["observations_lost"]["answers_not_counted"]
        assert 0 < lost < 20
        text = (await http.get("/metrics")).text
        assert f"hotswap_worker_{wanted} " in text
        environment = {
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "HOTSWAP_TOPIC_PREFIX": settings.topic_prefix,
            "HOTSWAP_HOME": str(settings.home),
        }
        shown = await asyncio.to_thread(lambda: CliRunner().invoke(build_app(), ["fleet", MODEL], env=environment))
        structlog.reset_defaults()
    assert f"w1: its observations are incomplete since it started: {lost} answers not counted" in shown.output
