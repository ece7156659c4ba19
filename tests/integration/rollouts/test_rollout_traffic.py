"""Who gets which version while a rollout is on: exactly what the published routing function says, on a real broker."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hotswap_events import headers as names
from hotswap_events.rollouts.commands import ChangeStrategy, PromoteRollout, StartRollout
from hotswap_events.rollouts.strategy import CanaryStrategy, FleetStrategy, Strategy
from hotswap_stream.domain.rollouts.routing import arm_of
from hotswap_stream.domain.rollouts.traffic import traffic
from hotswap_stream.settings import Settings
from tests.support.stages.serving import MODEL, Stage, body, open_stage, request_body, stage_settings
from tests.support.stages.workers import running_worker

USERS = [f"user-{number}" for number in range(120)]


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """v1 is active, v2 is a candidate, and a worker runs that has both loaded."""
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.register_answering(2.0)
        await stage.switch("v1")
        async with running_worker(settings):
            sent, answer = 0, dict[str, Any]()
            while answer.get("model_version") != "v2":  # until it is loaded
                await stage.send(request_body(), headers=[(names.MODEL_VERSION, b"v2")])
                sent += 1
                answer = body((await stage.answers(sent))[-1])
            yield stage


class _Asking:
    def __init__(self, stage: Stage, answered: int) -> None:
        self._stage = stage
        self._answered = answered

    async def every_user(self) -> dict[str, dict[str, Any]]:
        """User → answer."""
        for user in USERS:
            await self._stage.send(request_body(), headers=[(names.ROUTING_KEY, user.encode())])
        self._answered += len(USERS)
        records = (await self._stage.answers(self._answered))[-len(USERS) :]
        return dict(zip(USERS, map(body, records), strict=True))


async def _asking(stage: Stage) -> _Asking:
    marker = await stage.send(request_body())
    await stage.answers(marker + 1)
    return _Asking(stage, marker + 1)


async def _start(stage: Stage, strategy: Strategy) -> None:
    await stage.command(StartRollout(**stage.meta(), strategy=strategy, candidates=("v2",), forced=True))


def _with_candidate(answers: dict[str, dict[str, Any]]) -> set[str]:
    return {user for user, answer in answers.items() if answer["model_version"] == "v2"}


async def test_users_get_the_arm_that_the_function_says_and_keep_it(stage: Stage) -> None:
    asking = await _asking(stage)
    shares = {}
    for weight in (2_000, 6_000):
        strategy = CanaryStrategy(weight=weight)
        if weight == 2_000:
            await _start(stage, strategy)
        else:
            await stage.command(ChangeStrategy(**stage.meta(), strategy=strategy))
        split = traffic(stage.registry.state(MODEL))
        answers = await asking.every_user()
        expected = {user for user in USERS if arm_of(user.encode(), split.salt, split.weights) == 1}
        assert _with_candidate(answers) == expected
        assert 0 < len(expected) < len(USERS)
        shares[weight] = expected
        stream = stage.registry.stream(MODEL)
        assert stream is not None
        assert {answer["parameters"]["registry_offset"] for answer in answers.values()} == {stream.route_offset}
        for answer in answers.values():
            assert answer["outputs"][0]["data"] == [float(answer["model_version"][1:])] * 2
    assert shares[2_000] < shares[6_000]
    await stage.command(PromoteRollout(**stage.meta(), forced=True))
    assert _with_candidate(await asking.every_user()) == set(USERS)


async def test_a_part_of_the_fleet_tries_the_candidate(stage: Stage) -> None:
    asking = await _asking(stage)
    await _start(stage, FleetStrategy(share=0, workers=("another",)))
    assert _with_candidate(await asking.every_user()) == set()
    await stage.command(ChangeStrategy(**stage.meta(), strategy=FleetStrategy(share=0, workers=("w1",))))
    assert _with_candidate(await asking.every_user()) == set(USERS)
