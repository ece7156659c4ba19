"""Rollouts, alerts and drift by the Python clients of the HTTP API."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hotswap_stream.client import AsyncRegistryClient, RefusedError, RegistryClient
from hotswap_stream.domain.state.alerts import DEFAULT_ALERT_POLICY
from tests.support.samples.alerts import raise_alert
from tests.support.stages.http import MODEL, PASSED, HttpStage, NewLog, open_http_stage


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    """v1 in production; v2 passed validation."""
    async with open_http_stage(new_log(), tmp_path) as stage:
        await stage.promoted()
        version = await stage.registered()
        baseline = {"baseline_version": "v1", "baseline_figures": {"accuracy": 0.9}}
        await stage.accepted(f"versions/{version}/validate", {**PASSED, **baseline})
        yield stage


async def test_a_rollout_from_start_to_its_bake(stage: HttpStage) -> None:
    async with AsyncRegistryClient(stage.url) as client:
        wishes: dict[str, Any] = {"policy": {"bake_seconds": 60}, "salt": "s", "command_id": "once"}
        started = await client.start_rollout(MODEL, ["v2"], {"kind": "canary", "weight": 500}, **wishes)
        assert (started["rollout_id"], started["rollout"]["salt"]) == ("r1", "s")
        again = await client.start_rollout(MODEL, ["v2"], {"kind": "canary", "weight": 500}, **wishes)
        assert again["status"] == "unchanged"
        assert (await client.pause_rollout(MODEL, reason="lunch"))["rollout"]["status"] == "paused"
        assert (await client.resume_rollout(MODEL))["rollout"]["status"] == "running"
        steps = {"kind": "progressive", "steps": [{"step": "set_weight", "weight": 1_000}, {"step": "pause"}]}
        changed = await client.change_rollout_strategy(MODEL, steps)
        assert changed["rollout"]["step_index"] == 1
        with pytest.raises(RefusedError) as refused:
            await client.advance_rollout(MODEL, step_index=0)
        assert refused.value.code == "conflict"
        promoted = await client.advance_rollout(MODEL, step_index=1)
        assert promoted["active_version"] == "v2"
        assert (await client.rollout(MODEL))["rollout"]["status"] == "baking"
        assert (await client.abort_rollout(MODEL, archive=False))["active_version"] == "v1"
        assert [ended["status"] for ended in (await client.rollouts(MODEL))["rollouts"]] == ["rolled-back"]


async def test_a_shadow_is_promoted_by_the_blocking_client(stage: HttpStage) -> None:
    def blocking() -> str:
        with RegistryClient(stage.url) as client:
            client.start_rollout(MODEL, ["v2"], {"kind": "shadow"}, reason="first look")
            return str(client.promote_rollout(MODEL, model_version="v2")["active_version"])

    assert await asyncio.to_thread(blocking) == "v2"


async def test_alerts_of_one_model_and_of_all(stage: HttpStage) -> None:
    await stage.registry.handle(raise_alert(DEFAULT_ALERT_POLICY.rules[0], 0.5))
    async with AsyncRegistryClient(stage.url) as client:
        of_all, of_one = await client.alerts(), await client.alerts(MODEL, severity="critical")
        assert [alert["rule"]["name"] for alert in of_all["alerts"]] == ["error-rate"]
        assert of_one["alerts"] == of_all["alerts"]
        assert (await client.alerts(MODEL, severity="warning"))["alerts"] == []
        with pytest.raises(RefusedError) as refused:
            await client.alerts("nobody")
        assert refused.value.code == "unknown-model"


async def test_what_was_not_recorded_cannot_be_reported(stage: HttpStage) -> None:
    async with AsyncRegistryClient(stage.url) as client:
        for asked in (client.rollout_report(MODEL), client.drift(MODEL)):
            with pytest.raises(RefusedError) as refused:
                await asked
            assert refused.value.status in (404, 503)
