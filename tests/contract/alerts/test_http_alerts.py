"""Alerts, their policy, and who ends them, over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hotswap_events.alerts.events import AlertRule
from tests.support.samples.alerts import FAILING, SLOW, raise_alert
from tests.support.stages.http import MODEL, HttpStage, NewLog, open_http_stage

POLICY = {
    "rules": [
        {"name": "failing", "metric": "error-rate", "above": 0.01, "severity": "critical"},
        {"name": "slow", "metric": "latency-ms", "above": 50.0, "quantile": 0.99},
    ]
}


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path) as stage:
        yield stage


@pytest.fixture
async def watched(stage: HttpStage) -> HttpStage:
    """A model in production with two rules."""
    await stage.promoted()
    answer = await set_policy(stage, POLICY)
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted"), answer.text
    return stage


async def set_policy(stage: HttpStage, policy: dict[str, Any], **more: Any) -> httpx.Response:
    return await stage.client.put(f"/api/models/{MODEL}/alert-policy", json={"policy": policy, **more})


async def raised(stage: HttpStage, rule: AlertRule, value: float, **fields: Any) -> int:
    """An agent raises the alert of a rule; the offset of the event."""
    result = await stage.registry.handle(raise_alert(rule, value, command_id=f"raise-{rule.name}-{value}", **fields))
    assert result.status == "accepted", result
    assert result.offset is not None
    return result.offset


async def gauges(stage: HttpStage) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families((await stage.get("/metrics")).text)
    return {
        (sample.labels["model_name"], sample.labels["rule"], sample.labels["severity"]): sample.value
        for family in families
        for sample in family.samples
        if family.name == "hotswap_alerts_raised"
    }


async def test_an_alert_is_listed_while_raised_and_for_a_while_behind_it(watched: HttpStage) -> None:
    stage = watched
    nothing = (await stage.get("/api/alerts")).json()
    assert nothing == {"alerts": [], "raised": 0, "snoozes": []}
    offset = await raised(
        stage, FAILING, 0.065, count=1_200, figures={"errors": 78.0}, model_version="v1", model_name=MODEL
    )
    (alert,) = (await stage.get("/api/alerts")).json()["alerts"]
    assert (alert["model_name"], alert["status"], alert["value"], alert["count"]) == (MODEL, "raised", 0.065, 1_200)
    assert (alert["summary"], alert["figures"]) == ("error-rate 6.5 % is above 1 %", {"errors": 78.0})
    assert (alert["rule"]["severity"], alert["model_version"], alert["ended_at"]) == ("critical", "v1", None)
    one = await stage.get(f"/api/models/{MODEL}/alerts")
    assert (one.json()["alerts"], one.json()["raised_total"]) == ([alert], 1)
    assert one.headers["ETag"] == f'"{one.json()["sequence"]}"'
    (summary,) = (await stage.get("/api/models")).json()["models"]
    assert summary["alerts_raised"] == 1
    model = (await stage.get(f"/api/models/{MODEL}")).json()
    assert [listed["raised_sequence"] for listed in model["alerts"]] == [alert["raised_sequence"]]

    cleared = await stage.accepted("alerts/failing/clear", {"reason": "known", "raised_sequence": 5})
    assert cleared["event_types"] == ["hotswap.alert.cleared.v1"]
    assert (await stage.get("/api/alerts")).json() == nothing
    (ended,) = (await stage.get("/api/alerts", ended="true")).json()["alerts"]
    assert (ended["status"], ended["ended_because"], ended["raised_at"]) == ("ended", "operator", alert["raised_at"])
    assert ended["ended_sequence"] == cleared["sequence"]
    before = (await stage.get("/api/alerts", as_of_offset=offset)).json()
    assert before["alerts"] == [alert]


async def test_raised_ones_come_first_and_can_be_asked_for_by_severity(watched: HttpStage) -> None:
    stage = watched
    await raised(stage, FAILING, 0.5)
    await stage.accepted("alerts/failing/clear")
    await raised(stage, SLOW, 64.0)
    await raised(stage, FAILING, 0.6)

    async def listed(path: str = "/api/alerts", **query: Any) -> list[tuple[str, str]]:
        document = (await stage.get(path, **query)).json()
        return [(alert["rule"]["name"], alert["status"]) for alert in document["alerts"]]

    every = [("failing", "raised"), ("slow", "raised"), ("failing", "ended")]
    assert await listed(ended="true") == every
    assert await listed(f"/api/models/{MODEL}/alerts", ended="true") == every
    assert await listed(severity="warning") == [("slow", "raised")]
    assert await listed(limit=1) == every[:1]
    counted = (await stage.get("/api/alerts", limit=1)).json()
    assert (counted["raised"], len(counted["alerts"])) == (2, 1)
    status = (await stage.get("/api/status")).json()
    assert (status["alerts_raised"], status["critical_alerts_raised"]) == (2, 1)
    wrong = await stage.get("/api/alerts", severity="deadly")
    assert wrong.status_code in (400, 422), wrong.text


async def test_prometheus_sees_every_rule_in_force(stage: HttpStage) -> None:
    await stage.promoted()
    assert await gauges(stage) == {
        (MODEL, "error-rate", "critical"): 0.0,
        (MODEL, "lag", "warning"): 0.0,
        (MODEL, "input-drift", "warning"): 0.0,
        (MODEL, "standstill", "critical"): 0.0,
        (MODEL, "silent-worker", "warning"): 0.0,
        (MODEL, "waiting-run", "warning"): 0.0,
        (MODEL, "split-series", "warning"): 0.0,
    }
    await set_policy(stage, POLICY)
    await raised(stage, FAILING, 0.5)
    assert await gauges(stage) == {(MODEL, "failing", "critical"): 1.0, (MODEL, "slow", "warning"): 0.0}


async def test_the_policy_is_set_as_a_whole_and_ends_what_its_rules_raised(watched: HttpStage) -> None:
    stage = watched
    path = f"/api/models/{MODEL}/alert-policy"
    report = await stage.get(path)
    assert report.json()["is_default"] is False
    assert [rule["answers_min"] for rule in report.json()["policy"]["rules"]] == [50, 50]
    assert (await stage.get(path, as_of_offset=0)).json()["is_default"] is True
    unchanged = await set_policy(stage, POLICY)
    assert unchanged.json()["status"] == "unchanged"
    await raised(stage, FAILING, 0.5)
    answer = await set_policy(stage, {"rules": POLICY["rules"][1:]}, reason="it may fail")
    assert answer.json()["event_types"] == ["hotswap.alert.policy-set.v1", "hotswap.alert.cleared.v1"]
    (ended,) = (await stage.get("/api/alerts", ended="true")).json()["alerts"]
    assert ended["ended_because"] == "rule-changed"
    stale = await stage.client.put(path, json={"policy": POLICY}, headers={"If-Match": report.headers["ETag"]})
    assert stale.status_code == 412


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"above": 1.5}, "above of rule 'failing' is 1.5; error-rate needs a share from 0 to 1"),
        ({"clear_seconds": 0}, "clear_seconds of rule 'failing'"),
        ({"metric": "luck"}, "luck"),
        ({"abvoe": 0.5}, "abvoe"),
    ],
)
async def test_a_wrong_policy_says_what_is_wrong(watched: HttpStage, rule: dict[str, object], words: str) -> None:
    answer = await set_policy(watched, {"rules": [{**POLICY["rules"][0], **rule}]})
    assert answer.status_code == 422, answer.text
    assert words in answer.text


async def test_a_rule_or_a_model_that_is_not_there(watched: HttpStage) -> None:
    stage = watched
    refused = await stage.command("alerts/faling/clear")
    assert (refused.status_code, refused.json()["legal"]) == (404, ["failing", "slow"])
    calm = await stage.command("alerts/failing/clear")
    assert (calm.status_code, calm.json()["status"]) == (200, "unchanged")
    await raised(stage, FAILING, 0.5)
    later = await stage.command("alerts/failing/clear", {"raised_sequence": 1})
    assert (later.status_code, later.json()["code"]) == (409, "conflict")
    for path in ("alerts", "alert-policy"):
        missing = await stage.get(f"/api/models/nobody/{path}")
        assert (missing.status_code, missing.json()["legal"]) == (404, [MODEL])


async def test_somebody_cares_for_an_alert(watched: HttpStage) -> None:
    stage = watched
    await raised(stage, FAILING, 0.5)
    await stage.accepted("alerts/failing/acknowledge", {"reason": "the provider knows"})
    await stage.accepted("alerts/failing/snooze", {"seconds": 3_600})
    listed = (await stage.get(f"/api/models/{MODEL}/alerts")).json()
    [alert] = listed["alerts"]
    assert (alert["status"], alert["acknowledged"]["reason"]) == ("raised", "the provider knows")
    assert listed["snoozes"][0]["snoozed"]["until"] == alert["snoozed"]["until"]
    short = await stage.command("alerts/failing/snooze", {"seconds": 1})
    assert short.status_code == 422, short.text
    await stage.accepted("alerts/failing/end-snooze")
    assert "snoozed" not in {k for k, v in (await stage.get("/api/alerts")).json()["alerts"][0].items() if v}
    cleared = await stage.accepted("alerts/failing/clear", {"keep_away_seconds": 60})
    assert "raised again after 60 s" in cleared["detail"]
    calm = await stage.command("alerts/failing/acknowledge")
    assert (calm.status_code, calm.json()["legal"]) == (409, ["snooze"])
