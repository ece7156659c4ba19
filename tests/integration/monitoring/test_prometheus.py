"""A real Prometheus scrapes a running system: every query of the dashboards finds data, and a raised alert fires."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from hotswap_events.alerts.commands import RaiseAlert
from hotswap_events.rollouts.commands import RecordAnalysis, StartRollout
from hotswap_events.rollouts.events import MetricEvidence
from hotswap_events.rollouts.strategy import (
    AnalysisStep,
    MetricRule,
    PauseStep,
    ProgressiveStrategy,
    RolloutPolicy,
    SetWeightStep,
)
from hotswap_stream import bootstrap
from hotswap_stream.application.own_commands import as_own
from hotswap_stream.domain.reserved import ALERTS_ACTOR, ANALYSIS_ACTOR
from hotswap_stream.settings import Settings
from tests.support.processes.prometheus import Prometheus, running_prometheus
from tests.support.samples.torch_artifacts import artifact_scoring
from tests.support.stages.asking import running_api
from tests.support.stages.observations import send
from tests.support.stages.serving import MODEL, Stage, open_stage, stage_settings
from tests.support.stages.workers import running_worker
from tools.dashboards import DASHBOARDS

RULES = Path(__file__).resolve().parents[3] / "deploy" / "prometheus" / "rules.yml"
STRATEGY = ProgressiveStrategy(steps=(SetWeightStep(weight=5_000), AnalysisStep(), PauseStep()))
POLICY = RolloutPolicy(metrics=(MetricRule(metric="success-rate", margin=0.05),))


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return msgspec.structs.replace(stage_settings(kafka, topic_prefix, tmp_path), api_port=0, metrics_port=0)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        for scores in ((0.9, 0.1), (0.2, 0.8)):
            await stage.register(await stage.store.put_artifact(artifact_scoring(*scores)))
        yield stage


async def half_to_v2(stage: Stage) -> None:
    """v1 goes into production, and v2 gets half of the traffic, after an analysis that found it as good."""
    await stage.switch("v1")
    start = StartRollout(**stage.meta(), strategy=STRATEGY, candidates=("v2",), policy=POLICY, forced=True)
    await stage.command(start)
    found = MetricEvidence(
        metric="success-rate",
        model_version="v2",
        outcome="successful",
        count=100,
        lower=-0.01,
        upper=0.02,
        threshold=-0.05,
    )
    analysis = RecordAnalysis(
        **(stage.meta() | {"actor": ANALYSIS_ACTOR}),
        outcome="successful",
        watermark=1,
        evidence=(found,),
        model_version="v2",
    )
    await stage.command(as_own(analysis))


async def test_every_query_finds_data_and_a_raised_alert_fires(stage: Stage, settings: Settings) -> None:
    async with running_worker(settings) as worker, running_api(settings) as url:
        await half_to_v2(stage)  # the worker sees how long that takes
        shown = bootstrap.shown_over_http(
            settings, "worker", "w1", families=worker.families, live=worker.stuck, ready=worker.unready
        )
        async with shown, httpx.AsyncClient(base_url=url, timeout=60) as api:
            (target,) = msgspec.json.decode((settings.home / "metrics" / "worker-w1.json").read_bytes())
            targets = {"hotswap-api": url.removeprefix("http://"), "hotswap-worker": target["targets"][0]}
            async with running_prometheus(settings.home, targets, RULES) as prometheus:
                asking = asyncio.create_task(_ask(stage))
                try:
                    await _see(prometheus, stage)
                    health = (await api.get(f"/api/models/{MODEL}/health")).json()
                finally:
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)
    assert health["answers"]["requests"] > 0
    assert {part["model_version"] for part in health["versions"]} >= {"v1"}
    assert (health["live_workers"], health["silent_workers"]) == (1, 0)


async def _see(prometheus: Prometheus, stage: Stage) -> None:
    for job in ("hotswap-api", "hotswap-worker"):
        await prometheus.until_data(f'up{{job="{job}"}} == 1')
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query, _legend in panel.queries:
                asked = query.replace("$__rate_interval", "1m").replace("$api", "hotswap-api").replace("$model", ".*")
                try:
                    await prometheus.until_data(asked)
                except TimeoutError:
                    pytest.fail(f"{dashboard.name}, {panel.title!r} finds nothing: {asked}")
    rules = [rule for group in (await prometheus.get("rules"))["groups"] for rule in group["rules"]]
    assert len(rules) > 10
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}, rules
    raised = RaiseAlert(
        **(stage.meta() | {"actor": ALERTS_ACTOR}), rule_name="error-rate", value=0.5, above=0.05, count=50
    )
    await stage.command(as_own(raised))
    (firing,) = await prometheus.until_data('ALERTS{alertname="HotswapAlertRaised", alertstate="firing"}')
    assert (firing["metric"]["model_name"], firing["metric"]["severity"]) == (MODEL, "critical")


async def _ask(stage: Stage) -> None:
    """Ask on and on; some requests the model cannot answer."""
    sent = 0
    while True:
        await send(stage, 20, first=sent)
        await stage.send(b"{")
        sent += 20
        await asyncio.sleep(0.2)
