"""Rollouts, the validation policy and the clean-up over HTTP, the same on a log in memory and on Kafka."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.problems import assert_problem
from tests.support.samples.artifacts import linear_artifact
from tests.support.stages.http import CANARY, MODEL, PASSED, HttpStage, NewLog, open_http_stage, passed

STEPS = {
    "kind": "progressive",
    "steps": [
        {"step": "set_weight", "weight": 500},
        {"step": "analysis", "duration_seconds": 60},
        {"step": "set_weight", "weight": 5_000},
        {"step": "pause"},
    ],
}


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path) as stage:
        yield stage


async def report(stage: HttpStage, **query: Any) -> dict[str, Any]:
    answer = await stage.get(f"/api/models/{MODEL}/rollout", **query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def weights(split: dict[str, Any]) -> dict[str, int]:
    return {arm["model_version"]: arm["weight"] for arm in split["arms"]}


async def test_a_progressive_rollout_from_start_to_promotion(stage: HttpStage) -> None:
    await stage.promoted()
    candidate = await passed(stage)
    assert (await report(stage))["legal"] == ["start"]
    started = await stage.accepted(
        "rollout", {"strategy": STEPS, "candidates": [candidate], "policy": {"bake_seconds": 60}, "reason": "faster"}
    )
    assert started["rollout_id"] == "r1"
    assert started["rollout"]["step_index"] == 1
    assert started["rollout"]["policy"]["metrics"] == [{
        "metric": "success-rate", "threshold": None, "margin": 0.02, "slow_ms": None
    }]  # fmt: skip
    now = await report(stage)
    assert weights(now["traffic"]) == {"v1": 9_500, candidate: 500}
    assert now["legal"] == ["advance", "pause", "promote", "abort", "set-strategy"]
    model = (await stage.get(f"/api/models/{MODEL}")).json()
    assert model["rollout"]["rollout_id"] == "r1"

    evidence = {
        "metric": "success-rate",
        "model_version": candidate,
        "outcome": "successful",
        "count": 1_000,
        "value": 0.99,
    }
    analysed = await stage.accepted(
        "rollout/analysis",
        {"rollout_id": "r1", "step_index": 1, "outcome": "successful", "watermark": 7, "evidence": [evidence]},
    )
    assert analysed["event_types"] == [
        "hotswap.rollout.analysis-recorded.v1",
        "hotswap.rollout.step-entered.v1",
        "hotswap.rollout.weights-set.v1",
        "hotswap.rollout.step-entered.v1",
    ]
    again = await stage.command("rollout/analysis", {"outcome": "failed", "watermark": 7})
    assert again.json()["status"] == "unchanged"
    assert (await stage.accepted("rollout/pause", {"reason": "lunch"}))["rollout"]["pause_cause"] == "operator"
    promoted = await stage.accepted("rollout/resume")
    assert (promoted["active_version"], promoted["previous_version"]) == (candidate, "v1")
    assert promoted["rollout"]["status"] == "baking"
    assert weights((await report(stage))["traffic"]) == {candidate: 10_000}

    back = await stage.accepted("rollout/abort", {"rollout_id": "r1", "reason": "complaints"})
    assert back["active_version"] == "v1"
    assert back["event_types"] == ["hotswap.rollout.bake-ended.v1", "hotswap.model.rolled-back.v1"]
    listed = (await stage.get(f"/api/models/{MODEL}/rollouts")).json()
    assert [(entry["rollout_id"], entry["status"]) for entry in listed["rollouts"]] == [("r1", "rolled-back")]
    assert listed["rollouts"][0]["analyses"][0]["evidence"] == [evidence]
    before = await report(stage, as_of_offset=started["offset"])
    assert weights(before["traffic"]) == {"v1": 9_500, candidate: 500}


async def test_a_canary_is_raised_and_aborted(stage: HttpStage) -> None:
    await stage.promoted()
    candidate = await passed(stage)
    await stage.accepted("rollout", {"strategy": CANARY, "candidates": [candidate]})
    raised = await stage.accepted("rollout/strategy", {"strategy": {"kind": "canary", "weight": 2_500}})
    assert weights(raised["rollout"]) == {"v1": 7_500, candidate: 2_500}
    aborted = await stage.accepted("rollout/abort", {"archive": True})
    assert aborted["rollout"]["status"] == "aborted"
    version = (await stage.get(f"/api/models/{MODEL}/versions/{candidate}")).json()
    assert version["stage"] == "archived"
    assert_problem(await stage.command("rollout/abort", {"rollout_id": "r1"}), 409, "conflict")
    refused = assert_problem(await stage.command("rollout/abort"), 409, "illegal-step")
    assert refused["legal"] == [f"stage {candidate}"]


async def test_a_shadow_is_cancelled_and_another_one_promoted(stage: HttpStage) -> None:
    await stage.promoted()
    first, second = await passed(stage), await passed(stage)
    started = await stage.accepted("rollout", {"strategy": {"kind": "shadow"}, "candidates": [first]})
    assert started["rollout"]["status"] == "running"
    split = (await report(stage))["traffic"]
    assert weights(split) == {"v1": 10_000, first: 0}
    assert split["shadows"] == [first]
    cancelled = await stage.accepted("rollout/abort", {"archive": False, "reason": "not now"})
    assert (cancelled["rollout"]["status"], cancelled["active_version"]) == ("aborted", "v1")
    assert (await stage.get(f"/api/models/{MODEL}/versions/{first}")).json()["stage"] != "archived"
    await stage.accepted("rollout", {"strategy": {"kind": "shadow", "sample_share": 2_500}, "candidates": [second]})
    promoted = await stage.accepted("rollout/promote", {"rollout_id": "r2"})
    assert (promoted["active_version"], promoted["previous_version"]) == (second, "v1")


async def test_of_two_who_promote_and_abort_at_once_one_wins(stage: HttpStage) -> None:
    await stage.promoted()
    candidate = await passed(stage)
    await stage.accepted("rollout", {"strategy": CANARY, "candidates": [candidate]})
    answers = await asyncio.gather(
        stage.command("rollout/promote", {"rollout_id": "r1"}),
        stage.command("rollout/abort", {"rollout_id": "r1"}),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    loser = next(answer for answer in answers if answer.status_code == 409)
    assert "r1" in assert_problem(loser, 409, "conflict")["detail"]


async def test_a_switch_by_hand_supersedes(stage: HttpStage) -> None:
    await stage.promoted()
    candidate = await passed(stage)
    await stage.accepted("rollout", {"strategy": CANARY, "candidates": [candidate]})
    switched = await stage.accepted("switch", {"model_version": candidate})
    assert switched["event_types"] == ["hotswap.rollout.completed.v1", "hotswap.model.promoted.v1"]
    assert (switched["rollout_id"], switched["rollout"]["status"]) == ("r1", "superseded")
    assert (await report(stage))["rollout"] is None


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ({"kind": "canary", "weight": 10_001}, "10000"),
        ({"kind": "canry", "weight": 1}, "canry"),
        ({"kind": "ab", "arms": [{"model_version": "v1", "weight": 1}]}, "2 to 8"),
        ({"kind": "progressive", "steps": [{"step": "set_weight", "weight": 10_000}]}, "at once"),
        ({"kind": "progressive", "steps": [{"step": "pause", "seconds": 60}]}, "strategy.steps.0.seconds"),
    ],
)
async def test_a_strategy_that_is_none_says_why(stage: HttpStage, strategy: dict[str, Any], words: str) -> None:
    await stage.promoted()
    answer = await stage.command("rollout", {"strategy": strategy, "candidates": ["v1"]})
    assert answer.status_code == 422
    assert words in answer.text


async def test_wrong_names(stage: HttpStage) -> None:
    for path in ("rollout", "rollouts", "validation-policy"):
        assert_problem(await stage.get(f"/api/models/nobody/{path}"), 404, "unknown-model")
    assert_problem(await stage.command("rollout", {"strategy": CANARY, "candidates": ["v1"]}), 404, "unknown-model")
    await stage.promoted()
    assert_problem(await stage.command("rollout", {"strategy": CANARY, "candidates": ["v9"]}), 404, "unknown-version")
    assert_problem(await stage.command("cleanup", {"keep": -1}), 422, "invalid-request")


async def test_a_model_s_own_gates_draw_the_verdict(stage: HttpStage) -> None:
    await stage.promoted()
    path = f"/api/models/{MODEL}/validation-policy"
    default = (await stage.get(path)).json()
    assert default["is_default"] is True
    assert default["policy"] == {"pass_margin": 0.05, "fail_margin": 0.1, "first_accuracy_min": 0.5, "gates": []}
    gate = {"figure": "latency_ms_p95", "better": "lower", "threshold": 50.0}
    answer = await stage.client.put(path, json={"policy": {"gates": [gate]}, "reason": "phones are slow"})
    assert answer.json()["event_types"] == ["hotswap.model.validation-policy-set.v1"]
    assert (await stage.get(path)).json()["policy"]["gates"][0]["otherwise"] == "failed"

    candidate = await stage.registered()
    baseline = {"baseline_version": "v1", "baseline_figures": {"accuracy": 0.9}}
    missing = await stage.command(f"versions/{candidate}/validate", {**PASSED, **baseline})
    assert "latency_ms_p95" in assert_problem(missing, 422, "invalid-value")["detail"]
    slow = {**PASSED, **baseline, "figures": {"accuracy": 0.99, "latency_ms_p95": 51.0}}
    verdict = (await stage.accepted(f"versions/{candidate}/validate", slow))["version"]
    assert (verdict["verdict"], verdict["stage"]) == ("failed", "archived")
    assert verdict["validation"]["thresholds"]["latency_ms_p95.threshold"] == 50.0
    misspelt = await stage.client.put(path, json={"policy": {"pass_margins": 0.2}})
    assert "policy.pass_margins" in assert_problem(misspelt, 422, "invalid-value")["detail"]
    wrong = await stage.client.put(path, json={"policy": {"pass_margin": 0.2, "fail_margin": 0.1}})
    assert_problem(wrong, 422, "invalid-value")


async def test_a_clean_up_keeps_what_was_or_may_be_needed(stage: HttpStage) -> None:
    first = await stage.promoted()
    second = await stage.promoted()
    shared = await stage.stored_artifact()
    old = str((await stage.accepted("versions", {"artifact_digest": shared}))["model_version"])
    gone = await stage.registered()
    digest_gone = (await stage.get(f"/api/models/{MODEL}/versions/{gone}")).json()["artifact"]["digest"]
    tried = await stage.registered()
    await stage.accepted("rollout", {"strategy": {"kind": "shadow"}, "candidates": [tried]})
    staged = await stage.registered()
    await stage.accepted(f"versions/{staged}/stage")
    newest = str((await stage.accepted("versions", {"artifact_digest": shared}))["model_version"])

    planned = (await stage.command("cleanup", {"keep": 1})).json()
    assert planned["applied"] is False
    assert [entry["model_version"] for entry in planned["deleted"]] == [gone]
    assert {entry["model_version"]: entry["kept_because"] for entry in planned["kept"]} == {
        newest: "among the newest",
        staged: "in staging",
        tried: "in rollout r1",
        old: f"shares its artifact with {newest}",
        second: "in production",
        first: "was in production",
    }
    assert await stage.artifacts.exists(digest_gone)

    done = (await stage.command("cleanup", {"keep": 1, "apply": True, "reason": "full"})).json()
    assert [entry["model_version"] for entry in done["deleted"]] == [gone]
    assert done["freed_bytes"] == done["deleted"][0]["size_bytes"]
    assert not await stage.artifacts.exists(digest_gone)
    assert await stage.artifacts.exists(shared)
    version = (await stage.get(f"/api/models/{MODEL}/versions/{gone}")).json()
    assert (version["stage"], version["artifact_deleted"]) == ("archived", True)
    for step in ("stage", "promote"):
        assert_problem(await stage.command(f"versions/{gone}/{step}"), 409, "illegal-step")
    assert_problem(await stage.command("switch", {"model_version": gone}), 409, "illegal-step")
    assert (await stage.command("cleanup", {"keep": 1, "apply": True})).json()["deleted"] == []


async def test_a_clean_up_ends_what_one_that_died_began(stage: HttpStage) -> None:
    await stage.promoted()
    version = await stage.registered()
    done = (await stage.command("cleanup", {"keep": 0, "apply": True})).json()
    digest = done["deleted"][0]["artifact_digest"]
    assert done["deleted"][0]["model_version"] == version
    # As if the process had died behind the event: the file is there, though nothing names it.
    for seed in range(3):
        await stage.artifacts.put_artifact(linear_artifact(seed=seed))
    assert await stage.artifacts.exists(digest)
    await stage.command("cleanup", {"keep": 0, "apply": True})
    assert not await stage.artifacts.exists(digest)
