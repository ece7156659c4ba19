"""The evidence of a rollout on the real broker: written by the agents, as in the report, shown live, and decided by."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import msgspec

from hotswap_events.rollouts.evidence import RolloutEvidence
from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy
from hotswap_stream.application.rollouts.shown import read_evidence
from tests.support.samples.registry import MODEL
from tests.support.samples.rollouts import CANARY, start_rollout
from tests.support.stages.agents import AgentsStage, agents_stage
from tests.support.stages.asking import running_api
from tests.support.stages.observed_rollout import analyses_of, begin, seconds, send, traffic_of
from tests.support.stages.serving import stage_settings

DEADLINE_SECONDS = 60.0
POLICY = RolloutPolicy(
    metrics=(MetricRule(metric="success-rate", margin=0.03), MetricRule(metric="latency", slow_ms=50.0, margin=0.05)),
    promote_on_operational=True,
    answers_min=100_000,
)
SPLIT = {"v1": 9_500, "v2": 500}
FIGURES = ("metric", "model_version", "count", "value", "baseline_count", "baseline_value", "lower", "upper", "p_value")


async def live_events(url: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    async with (
        httpx.AsyncClient(base_url=url, timeout=DEADLINE_SECONDS) as http,
        http.stream("GET", "/api/live") as answer,
    ):
        event = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                yield event, msgspec.json.decode(value)


async def written(stage: AgentsStage) -> list[RolloutEvidence]:
    found = [read_evidence(record.key, record.value) for record in await stage.records(stage.topics.evidence)]
    assert None not in found
    return [record for record in found if record is not None]


async def test_what_a_rollout_shows_is_what_the_report_says_and_what_it_is_decided_by(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(stage_settings(kafka, topic_prefix, tmp_path / "home"), api_port=0)
    async with agents_stage(kafka, topic_prefix, tmp_path) as stage:
        state = await begin(stage, start_rollout(CANARY, "v2", policy=POLICY, command_id="c5"))
        assert state.rollout is not None
        traffic = traffic_of(state.rollout)
        records = seconds(traffic, 4, {"v1": 0.99, "v2": 0.99}, SPLIT)
        counted = sum(
            record.answers + sum(record.errors.values()) for record in records if record.model_version == "v2"
        )
        async with (
            running_api(settings) as url,
            httpx.AsyncClient(base_url=url, timeout=DEADLINE_SECONDS) as http,
            asyncio.timeout(DEADLINE_SECONDS),
        ):
            live = live_events(url)
            await send(stage, records)
            shown: dict[str, Any] = {}
            async for event, data in live:
                if event == "evidence" and data.get("answers") == counted:
                    shown[data["metric"]] = data
                if len(shown) == 2:
                    break
            report = (await http.get(f"/api/models/{MODEL}/rollout/report")).json()
            for entry in report["evidence"]:
                told = shown[entry["metric"]]
                assert {name: told.get(name) for name in FIGURES} == {name: entry.get(name) for name in FIGURES}
                assert (told["verdict"], told["answers_min"]) == ("undecided", 100_000)
            by_route = (await http.get(f"/api/models/{MODEL}/rollout/evidence")).json()
            assert {each["metric"]: each["answers"] for each in by_route["latest"]} == dict.fromkeys(shown, counted)
            metrics = (await http.get("/metrics")).text
            labels = f'{{model_name="{MODEL}",model_version="v2",metric="success-rate"}}'
            lines = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
            rate = shown["success-rate"]
            assert float(lines[f"hotswap_rollout_evidence_lower{labels}"]) == rate["lower"]
            assert float(lines[f"hotswap_rollout_evidence_upper{labels}"]) == rate["upper"]
            assert float(lines[f"hotswap_rollout_threshold{labels}"]) == rate["limit"] == -0.03

            await send(stage, seconds(traffic, 60, {"v1": 0.99, "v2": 0.5}, SPLIT))
            async for event, data in live:
                if event == "event" and data["event"]["type"] == "hotswap.rollout.analysis-recorded.v1":
                    break
            await live.aclose()
        decided = analyses_of((await stage.fold()).state(MODEL))[-1]
        last = [record for record in await written(stage) if record.metric == "success-rate"]
        assert decided.outcome == "failed"
        # The agents decide at once and write each second: what was decided by comes after the last record.
        assert max(record.watermark for record in last) <= decided.watermark
        assert [record.count for record in last] == sorted(record.count for record in last)
