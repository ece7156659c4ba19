"""A regression model's rollout that ends by itself: a real worker, the agents, true numbers that come back."""

import asyncio
import random
import sys
from pathlib import Path

import msgspec
import structlog
from typer.testing import CliRunner

from benchmarks.serving_processes import process
from hotswap_events.alerts.commands import SetAlertPolicy
from hotswap_events.alerts.events import AlertPolicy, AlertRule
from hotswap_events.commands import Refusal
from hotswap_events.inference.observation import Feedback
from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import CanaryStrategy, MetricRule, RolloutPolicy
from hotswap_stream import bootstrap
from hotswap_stream.application.rollouts.report.history import experiment_report
from hotswap_stream.cli.app import build_app
from hotswap_stream.client.topic_client import TopicClient
from tests.support.stages.serving import MODEL, Stage, open_stage, stage_settings

SECONDS_MAX = 120.0
AT_ONCE = 16
POLICY = RolloutPolicy(
    metrics=(MetricRule(metric="absolute-error", relative_margin=0.1, error_max=10.0),), answers_min=50
)
ERRORS = AlertRule(name="errors", metric="absolute-error", above=0.6, answers_min=20)


async def ask_and_tell(client: TopicClient, number: int) -> None:
    """Ask for two numbers, and say what they turned out to be: about 1, which is what v1 answers."""
    answer = await client.infer(MODEL, {"x": [[1.0, 2.0, 3.0, 4.0]]}, routing_key=f"user-{number}")
    true = [1.0 + random.Random(f"{number}/{place}").uniform(-0.5, 0.5) for place in range(2)]
    await client.feedback(MODEL, request_partition=answer.partition, request_offset=answer.offset, value=true)


async def until_it_ends(stage: Stage, client: TopicClient) -> None:
    number = 0
    async with asyncio.timeout(SECONDS_MAX):
        while stage.registry.state(MODEL).rollout is not None or not stage.registry.state(MODEL).alerts.raised:
            async with asyncio.TaskGroup() as asking:
                for _one in range(AT_ONCE):
                    number += 1
                    asking.create_task(ask_and_tell(client, number))
            await stage.registry.catch_up()


async def test_a_canary_whose_errors_are_larger_is_aborted_and_an_alert_is_raised(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = stage_settings(kafka, topic_prefix, tmp_path)
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.register_answering(3.0)
        await stage.switch("v1")
        await stage.command(SetAlertPolicy(**stage.meta(), policy=AlertPolicy(rules=(ERRORS,))))
        worker = await bootstrap.build_worker(settings, "w1")
        await worker.start()
        try:
            with process((sys.executable, "-m", "hotswap_stream.cli", "agents"), settings):
                canary = CanaryStrategy(weight=5_000)
                await stage.command(
                    StartRollout(**stage.meta(), strategy=canary, candidates=("v2",), policy=POLICY, forced=True)
                )
                async with TopicClient(kafka, prefix=stage.topics.prefix) as client:
                    await until_it_ends(stage, client)
        finally:
            await worker.stop()
        state = stage.registry.state(MODEL)
        [ended] = state.rollout_history
        assert (ended.status, state.active_version, state.versions["v2"].stage) == ("aborted", "v1", "archived")
        [analysis] = ended.analyses
        [evidence] = analysis.evidence
        assert (evidence.metric, evidence.model_version, evidence.outcome) == ("absolute-error", "v2", "failed")
        assert evidence.value is not None
        assert evidence.baseline_value is not None
        assert 1.8 < evidence.value < 2.2
        assert 0.15 < evidence.baseline_value < 0.35
        alert = state.alerts.raised["errors"]
        assert alert.value > 0.6

        async with bootstrap.answer_lookup(settings) as answers:
            history = bootstrap.recorded_history(settings)
            report = await experiment_report(stage.registry.fold.streams, MODEL, history, answers=answers)
        assert not isinstance(report, Refusal)
        assert report.advice == "ended"
        assert report.decision is not None
        assert (report.decision.outcome, report.decision.by) == ("aborted", "rollout-analysis")
        assert report.feedback["joined"] >= evidence.count
        before, after = (arm.by_feedback["absolute-error"] for arm in report.arms)
        assert (before.unit, before.better) == ("target", "lower")
        assert before.value < 0.35 < 1.8 < after.value
        [lift] = [lift for lift in report.lifts if lift.decides]
        assert lift.difference > 1.4

        await asyncio.to_thread(give_on_the_command_line, settings.home, kafka, topic_prefix)
        written = await stage.records_now(stage.topics.feedback)
    told = [msgspec.json.decode(record.value or b"", type=Feedback) for record in written]
    assert {
        each.feedback_id: (each.value, each.items) for each in told if each.feedback_id in ("one", "two", "many")
    } == {
        "one": (2.5, ()),
        "two": ((1.0, -2.0), ()),
        "many": (None, (17, "a-4")),
    }


def give_on_the_command_line(home: Path, kafka: str, prefix: str) -> None:
    """Give what a person would by hand."""
    environment = {
        "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "HOTSWAP_TOPIC_PREFIX": prefix,
        "HOTSWAP_HOME": str(home),
    }
    place = ["feedback", MODEL, "--request", "0:1", "--feedback-id"]
    try:
        for arguments, code in (
            (["one", "--value", "2.5"], 0),
            (["two", "--value", "1", "--value=-2"], 0),
            (["many", "--item", "17", "--item", "a-4"], 0),
            (["none", "--value", "nan"], 2),
        ):
            result = CliRunner().invoke(build_app(), [*place, *arguments], env=environment)
            assert result.exit_code == code, (arguments, result.output, result.exception)
    finally:
        # The command pointed the log at a stream that ended with it.
        structlog.reset_defaults()
