"""Rollouts decided by drift between the arms: a real worker, real agents, users whose inputs go with who they are."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.serving_processes import process
from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import CanaryStrategy, MetricName, MetricRule, RolloutPolicy, ShadowStrategy
from hotswap_stream import bootstrap
from hotswap_stream.adapters.torch.modules.architectures import manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.domain.rollouts.routing import arm_of, weights_of
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.settings import Settings
from tests.support.samples.registry import validate
from tests.support.stages.serving import MODEL, Stage, open_stage, stage_settings

SALT = "drift"
SECONDS_MAX = 180.0
USERS = 1_000
AT_ONCE = 16
PAUSE_SECONDS = 0.05
"""Between turns, in each of which that many users ask: of requests that come faster, workers look at the inputs of a
smaller share. Together they fill a batch, and a batch is one transaction."""

Features = Callable[[int], np.ndarray[tuple[int, ...], np.dtype[np.float32]]]
"""The features of a user's request."""

_random = random.Random(1)


def scoring(higher: float, seed: int = 1) -> bytes:
    """An artifact whose scores go with its inputs; `higher` is added to both."""
    torch.manual_seed(seed)
    module = nn.Linear(4, 2)
    module.weight.data = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]]) + torch.rand(2, 4) * 1e-4
    nn.init.constant_(module.bias, higher)
    return save_module(module, manifest_of("linear", {}))


def alike(_user: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array([[_random.gauss(0, 1) for _feature in range(4)]], np.float32)


def unlike(user: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Those who get the canary send larger numbers."""
    canary = arm_of(f"user-{user}".encode(), SALT, weights_of(5_000)) == 1
    return alike(user) + np.float32(2.0 if canary else 0.0)


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@asynccontextmanager
async def playing(settings: Settings, candidate: bytes) -> AsyncIterator[Stage]:
    """v1 in production on a worker, v2 registered, and the agents."""
    await bootstrap.ensure_control_topics(settings)
    async with open_stage(settings) as stage:
        for content in (scoring(0.0), candidate):
            await stage.register(await stage.store.put_artifact(content))
        await stage.switch("v1")
        await stage.command(validate("v2", 0.97, ("v1", 0.97), model_name=MODEL))
        worker = await bootstrap.build_worker(settings, "w1")
        await worker.start()
        try:
            with process((sys.executable, "-m", "hotswap_stream.cli", "agents"), settings):
                yield stage
        finally:
            await worker.stop()


async def ended(stage: Stage, features: Features) -> RolloutState:
    """Users ask until the rollout is over."""

    async def ask(client: TopicClient) -> None:
        user = _random.randrange(USERS)
        await client.infer(MODEL, {"x": features(user)}, routing_key=f"user-{user}", timeout_s=SECONDS_MAX)

    settings = stage.settings
    async with (
        TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as client,
        asyncio.timeout(SECONDS_MAX),
    ):
        while stage.registry.state(MODEL).rollout is not None:
            await asyncio.gather(*(ask(client) for _user in range(AT_ONCE)))
            await asyncio.sleep(PAUSE_SECONDS)
    return stage.registry.state(MODEL).rollout_history[-1]


def policy(metric: MetricName, answers_max: int) -> RolloutPolicy:
    """A distance of 0.15 is nothing; none found in this number of answers is a success."""
    return RolloutPolicy(
        metrics=(MetricRule(metric=metric, threshold=0.15),),
        answers_max=answers_max,
        promote_on_operational=True,
        promote_after_shadow=True,
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("higher", "status", "active"), [(1.0, "aborted", "v1"), (0.0, "promoted", "v2")])
async def test_a_shadow_is_judged_by_its_scores(settings: Settings, higher: float, status: str, active: str) -> None:
    async with playing(settings, scoring(higher, seed=2)) as stage:
        await stage.command(
            StartRollout(
                **stage.meta(),
                strategy=ShadowStrategy(),
                candidates=("v2",),
                policy=policy("score-drift", 1_500),
            )
        )
        rollout = await ended(stage, alike)
        state = stage.registry.state(MODEL)
    assert (rollout.status, state.active_version) == (status, active)
    [analysis] = rollout.analyses
    [evidence] = analysis.evidence
    assert (evidence.metric, evidence.model_version) == ("score-drift", "v2")
    assert evidence.value is not None
    assert (evidence.value > evidence.figures["limit"]) == (status == "aborted")
    assert evidence.count >= 500


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("features", "status", "active"), [(unlike, "aborted", "v1"), (alike, "promoted", "v2")])
async def test_a_canary_is_judged_by_the_inputs_that_its_users_send(
    settings: Settings, features: Features, status: str, active: str
) -> None:
    async with playing(settings, scoring(0.0, seed=2)) as stage:
        await stage.command(
            StartRollout(
                **stage.meta(),
                strategy=CanaryStrategy(weight=5_000),
                candidates=("v2",),
                policy=policy("input-drift", 4_000),
                salt=SALT,
            )
        )
        rollout = await ended(stage, features)
        state = stage.registry.state(MODEL)
    assert (rollout.status, state.active_version) == (status, active)
    [analysis] = rollout.analyses
    [evidence] = analysis.evidence
    assert (evidence.metric, evidence.model_version) == ("input-drift", "v2")
    assert evidence.value is not None
    assert (evidence.value > evidence.figures["limit"]) == (status == "aborted")
