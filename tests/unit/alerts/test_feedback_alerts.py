"""Alerts by what came back about answers: raised and cleared like any other, of models that can have them."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hotswap_events.alerts.commands import SetAlertPolicy
from hotswap_events.alerts.events import AlertMetric, AlertPolicy, AlertRule
from hotswap_events.inference.observation import Feedback
from hotswap_events.inference.signature import ModelSignature, TensorSignature
from hotswap_stream.agents.alert_agent import BEHIND, AlertAgent
from hotswap_stream.agents.analysis_agent import AnalysisAgent
from hotswap_stream.application.alerts.figures import Measured, window_figure
from hotswap_stream.application.alerts.judged import VERSIONS_MAX
from hotswap_stream.application.alerts.window import AlertWindows
from hotswap_stream.application.descriptions.alert import describe_crossing
from hotswap_stream.application.observations.feedback import FoundAnswer
from hotswap_stream.application.observations.turned_out import ItemPlaces, errors_of
from hotswap_stream.application.rollouts.analysis.judged import JudgedAnswer
from hotswap_stream.cli.alerts.files import parse_rule
from tests.support.clocks import SetClock
from tests.support.samples.observations import BEGIN
from tests.support.samples.registry import MODEL, artifact_of, register, switch
from tests.support.stages.agent_in_memory import TOPICS, AgentStage
from tests.support.stages.analysed import Analysed

NOW_MS = 1_770_000_000_000
ERRORS = AlertRule(
    name="errors", metric="absolute-error", above=2.0, window_seconds=10.0, answers_min=5, clear_seconds=2.0
)


def rule(metric: AlertMetric, **fields: Any) -> AlertRule:
    return AlertRule(name=metric, metric=metric, **{"above": 0.1, "answers_min": 2, "window_seconds": 60.0, **fields})


RULES = (rule("wrong-rate"), rule("absolute-error"), rule("squared-error"), rule("percentage-error"), rule("miss-rate"))


def judged(version: str = "v1", **fields: Any) -> JudgedAnswer:
    return JudgedAnswer(model_version=version, answered_at=BEGIN, **fields)


def test_shares_that_fall_are_what_the_others_leave_of_1() -> None:
    rules = (rule("accuracy", answers_min=1), rule("hit-rate", answers_min=1), *RULES)
    windows = AlertWindows(rules)
    for correct, places in ((True, (3,)), (True, ()), (False, ())):
        told: dict[str, Any] = {"correct": correct, "chosen": ItemPlaces(places, 1)}
        windows.judge(judged("v1", **told), NOW_MS)
    found = {each.metric: window_figure(each, windows, None, now_ms=NOW_MS) for each in rules}
    for good, bad in (("accuracy", "wrong-rate"), ("hit-rate", "miss-rate")):
        share, missing = found[good], found[bad]  # type: ignore[index]
        assert isinstance(share, Measured)
        assert isinstance(missing, Measured)
        assert share.value == pytest.approx(1 - missing.value)
        assert share.figures == {f"{good}.v1": share.value}
    assert found["accuracy"].value == pytest.approx(2 / 3)  # type: ignore[union-attr]


def test_figures_are_what_is_missing_or_wrong_by_version() -> None:
    windows = AlertWindows(RULES)
    for version, number, places, correct in (
        ("v1", 8.0, (3,), True),
        ("v1", 10.0, (), True),
        ("v2", 14.0, (12,), False),
    ):
        told: dict[str, Any] = {
            "errors": errors_of((number,), 10.0),
            "chosen": ItemPlaces(places, 1),
            "correct": correct,
        }
        windows.judge(judged(version, **told), NOW_MS - 1_000)
    windows.judge(judged("v2", correct=False), NOW_MS - 200_000)  # long ago
    found = {each.metric: window_figure(each, windows, None, now_ms=NOW_MS) for each in RULES}
    assert {metric: round(figure.value, 6) for metric, figure in found.items() if isinstance(figure, Measured)} == {
        "wrong-rate": round(1 / 3, 6),
        "absolute-error": 2.0,
        "squared-error": round(20 / 3, 6),
        "percentage-error": 0.2,
        "miss-rate": round(2 / 3, 6),
    }
    errors = found["absolute-error"]
    assert isinstance(errors, Measured)
    assert errors.count == 3
    assert errors.figures == {"absolute-error.v1": 1.0, "absolute-error.v2": 4.0}


def test_little_feedback_says_nothing_and_none_is_nothing_to_measure() -> None:
    windows = AlertWindows(RULES)
    assert {window_figure(each, windows, None, now_ms=NOW_MS) for each in RULES} == {"nothing"}
    windows.judge(judged(correct=False), NOW_MS)
    assert window_figure(rule("wrong-rate"), windows, None, now_ms=NOW_MS) == "too-little"
    assert window_figure(rule("miss-rate"), windows, None, now_ms=NOW_MS) == "nothing"


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.integers(0, 50_000)), min_size=2, max_size=60))
def test_sums_are_the_same_in_any_order_and_bounded(answers: list[tuple[int, bool, int]]) -> None:
    """However many versions there are, all of their answers count."""
    one, other = AlertWindows(RULES), AlertWindows(RULES)
    for windows, order in ((one, answers), (other, answers[::-1])):
        for version, correct, age_ms in order:
            windows.judge(judged(f"v{version}", correct=correct), NOW_MS - age_ms)
    ours, theirs = (window_figure(RULES[0], windows, None, now_ms=NOW_MS) for windows in (one, other))
    assert isinstance(ours, Measured)
    assert isinstance(theirs, Measured)
    assert (ours.value, ours.count) == (theirs.value, theirs.count)
    assert ours.count == len(answers)
    assert ours.value == pytest.approx(sum(not correct for _version, correct, _age in answers) / len(answers))
    assert len(ours.figures) <= VERSIONS_MAX


class Regressing:
    """Answers by place: the number 10, by the active version."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    async def by_place(self, _model_name: str, request_partition: int, request_offset: int) -> FoundAnswer | None:
        return FoundAnswer(
            request_partition=request_partition,
            request_offset=request_offset,
            answered_at_ms=round(self.at.timestamp() * 1000),
            model_version="v1",
            ok=True,
            numbers=(10.0,),
        )

    async def by_id(self, _model_name: str, _request_id: str) -> FoundAnswer | None:
        return None


@pytest.fixture
async def stage() -> AsyncIterator[AgentStage]:
    stage = AgentStage()
    await stage.registry.start()
    yield stage
    await stage.registry.stop()


async def set_rules(stage: AgentStage, *rules: AlertRule) -> Any:
    policy = AlertPolicy(rules=rules)
    return await stage.registry.handle(
        SetAlertPolicy(command_id=f"p{len(rules)}", actor="alice", model_name=MODEL, policy=policy)
    )


async def test_errors_raise_an_alert_without_any_rollout_and_it_is_over_when_they_are(stage: AgentStage) -> None:
    y = TensorSignature(name="y", datatype="FP32", shape=(-1, 1))
    artifact = artifact_of("v1")
    signed = replace(artifact, signature=ModelSignature(inputs=(y,), outputs=(y,)))
    for command in (register(artifact=signed), switch("v1")):
        assert (await stage.registry.handle(command)).status == "accepted"
    analysed = Analysed(stage)
    clock = SetClock(BEGIN)
    alerts = AlertAgent(stage.registry, clock=clock)
    answers = Regressing(BEGIN)
    agent = AnalysisAgent(
        stage.registry,
        stage.publisher,
        TOPICS,
        {},
        clock=clock,
        answers=answers,
        care=analysed.care,
        listeners=(alerts,),
    )
    clock.time += BEHIND
    sent = 0

    async def come_back(true: float, seconds: int) -> None:
        nonlocal sent
        for _second in range(seconds):
            clock.time += timedelta(seconds=1)
            for _answer in range(3):
                sent += 1
                place: dict[str, Any] = {"request_partition": 0, "request_offset": sent}
                feedback = Feedback(model_name=MODEL, feedback_id=f"f{sent}", at=clock.time, value=true, **place)
                await agent.handle_feedback(analysed.record(feedback, round(clock.time.timestamp() * 1000)))
            await alerts.tick(lambda _name: True)

    state = stage.registry.state
    await come_back(20.0, 3)
    assert not state(MODEL).alerts.raised, "no rule asks for it"
    assert (await set_rules(stage, ERRORS)).status == "accepted"
    await come_back(11.0, 3)
    assert not state(MODEL).alerts.raised
    await come_back(20.0, 3)
    raised = state(MODEL).alerts.raised["errors"]
    assert raised.value == pytest.approx(3.25)
    assert raised.count == 12
    assert raised.model_version == "v1"
    assert describe_crossing(raised.rule, raised.value) == "absolute-error 3.25 is above 2"
    await come_back(10.5, 20)
    [over] = state(MODEL).alerts.ended
    assert over.cause == "recovered"
    # Of a model that answers a single number there are no labels and no order.
    for metric, told in (("wrong-rate", "metric accuracy"), ("miss-rate", "metric hit-rate")):
        refused = await set_rules(stage, rule(metric), ERRORS)  # type: ignore[arg-type]
        assert refused.refusal is not None
        assert f"rule {metric!r}, made of {told}: it needs" in refused.refusal.reason
        assert "can tell here is reward, absolute-error" in refused.refusal.reason


@pytest.mark.parametrize(
    ("text", "above"), [("wrong-rate>5%", 0.05), ("absolute-error>250", 250.0), ("percentage-error>12%", 0.12)]
)
def test_rules_are_said_in_the_metrics_unit(text: str, above: float) -> None:
    assert parse_rule(text).rule.above == above
