"""Circuits, their policy and the off switch over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.stages.http import MODEL, HttpStage, NewLog, open_http_stage


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path) as stage:
        yield stage


@pytest.fixture
async def two_versions(stage: HttpStage) -> HttpStage:
    """v2 in production, v1 behind it."""
    for name in ("v1", "v2"):
        digest = await stage.stored_artifact()
        await stage.accepted("versions", {"artifact_digest": digest})
        await stage.accepted("switch", {"model_version": name})
    return stage


async def samples(stage: HttpStage, name: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families((await stage.get("/metrics")).text)
    return {
        tuple(sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if family.name == name
    }


async def test_a_circuit_is_opened_probed_and_reset(two_versions: HttpStage) -> None:
    stage = two_versions
    path = f"/api/models/{MODEL}/serving"
    before = (await stage.get(path)).json()
    assert (before["answered_by"], before["fallback_version"], before["policy_is_default"]) == ("v2", "v1", True)
    assert [(circuit["model_version"], circuit["position"]) for circuit in before["circuits"]] == [("v2", "closed")]

    opened = await stage.accepted("versions/v2/circuit/open", {"reason": "drill"})
    assert opened["event_types"] == ["hotswap.model.circuit-opened.v1"]
    view = (await stage.get(path)).json()
    assert (view["answered_by"], view["fallback_for"], view["route_offset"]) == ("v1", "v2", opened["offset"])
    assert view["circuits"][0]["opened_cause"] == "operator"
    model = (await stage.get(f"/api/models/{MODEL}")).json()
    assert (model["active_version"], model["answered_by"], model["route_offset"]) == ("v2", "v1", opened["offset"])
    assert await samples(stage, "hotswap_circuit_open") == {(MODEL, "v2"): 1.0}

    again = await stage.command("versions/v2/circuit/open")
    assert (again.status_code, again.json()["status"]) == (200, "unchanged")
    await stage.accepted("versions/v2/circuit/half-open")
    assert (await stage.get(path)).json()["probed"] == "v2"
    assert await samples(stage, "hotswap_circuit_open") == {(MODEL, "v2"): 0.5}
    await stage.accepted("versions/v2/circuit/reset")
    assert (await stage.get(path)).json()["answered_by"] == "v2"
    assert await samples(stage, "hotswap_circuit_openings") == {(MODEL, "v2"): 1.0}
    past = (await stage.get(path, as_of_offset=opened["offset"])).json()
    assert past["answered_by"] == "v1"


async def test_a_circuit_without_a_stand_in_is_opened_only_deliberately(two_versions: HttpStage) -> None:
    await two_versions.accepted("versions/v2/circuit/open")
    refused = await two_versions.command("versions/v1/circuit/open")
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal-step")
    assert refused.json()["legal"] == ["open circuit with without_fallback", "disable"]
    opened = await two_versions.accepted("versions/v1/circuit/open", {"without_fallback": True})
    assert "nothing" not in opened.get("detail", "")
    assert (await two_versions.get(f"/api/models/{MODEL}/serving")).json()["answered_by"] is None


async def test_an_illegal_move_names_the_legal_ones(two_versions: HttpStage) -> None:
    refused = await two_versions.command("versions/v2/circuit/half-open")
    assert refused.status_code == 409
    assert refused.json()["legal"] == ["open circuit"]
    unknown = await two_versions.command("versions/v9/circuit/open")
    assert (unknown.status_code, unknown.json()["legal"]) == (404, ["v2", "v1"])
    assert (await two_versions.get("/api/models/nobody/serving")).status_code == 404


async def test_a_model_is_switched_off_and_on(two_versions: HttpStage) -> None:
    stage = two_versions
    assert await samples(stage, "hotswap_model_disabled") == {(MODEL,): 0.0}
    await stage.accepted("disable", {"reason": "wrong answers"})
    view = (await stage.get(f"/api/models/{MODEL}/serving")).json()
    assert (view["answered_by"], view["refused_because"]) == (None, "model-disabled")
    assert (view["disabled"], view["disabled_reason"]) == (True, "wrong answers")
    (listed,) = (await stage.get("/api/models")).json()["models"]
    assert (listed["disabled"], listed["active_version"], listed["answered_by"]) == (True, "v2", None)
    assert await samples(stage, "hotswap_model_disabled") == {(MODEL,): 1.0}
    assert (await stage.command("disable")).json()["status"] == "unchanged"
    await stage.accepted("enable")
    assert (await stage.get(f"/api/models/{MODEL}/serving")).json()["answered_by"] == "v2"


async def test_the_policy_is_set_as_a_whole(two_versions: HttpStage) -> None:
    stage = two_versions
    path = f"/api/models/{MODEL}/serving-policy"
    default = (await stage.get(path)).json()
    assert default["fallback"] == "former"
    policy = {"latency_ms_max": 20.0, "fallback": "version", "fallback_version": "v1"}
    answer = await stage.client.put(path, json={"policy": policy, "reason": "quick answers"})
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted"), answer.text
    assert (await stage.get(path)).json() == {**default, **policy}


@pytest.mark.parametrize(
    ("policy", "status", "words"),
    [
        ({"error_rate_max": 2.0}, 422, "error_rate_max is 2.0; a share from 0 to 1"),
        ({"fallback": "version", "fallback_version": "v9"}, 404, "no version 'v9'"),
        ({"eror_rate_max": 0.5}, 422, "eror_rate_max"),
        ({"fallback": "luck"}, 422, "luck"),
    ],
)
async def test_a_wrong_policy_says_what_is_wrong(
    two_versions: HttpStage, policy: dict[str, object], status: int, words: str
) -> None:
    answer = await two_versions.client.put(f"/api/models/{MODEL}/serving-policy", json={"policy": policy})
    assert answer.status_code == status, answer.text
    assert words in answer.text


async def test_names_of_the_product_are_not_for_callers(stage: HttpStage) -> None:
    """Whoever used the id of an automatic command beforehand kept it from being applied."""
    await stage.promoted()
    for headers in (
        {"Idempotency-Key": f"load-failed:{MODEL}:v1:7"},
        {"Idempotency-Key": "hotswap/circuit-open/0"},
        {"X-Actor": "worker:w1"},
        {"X-Actor": "rollout-analysis"},
    ):
        answer = await stage.command("disable", headers=headers)
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] == "invalid-value"
    answer = await stage.command("disable", {"command_id": "alert/slow/raise/0"})
    assert answer.status_code == 422, answer.text
    assert not stage.registry.state(MODEL).serving.disabled
