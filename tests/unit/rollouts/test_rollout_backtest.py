"""The same records by another policy, and how the arms of a rollout do."""

from collections.abc import AsyncIterator
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from hotswap_events.commands import Refusal
from hotswap_events.inference.observation import Observation
from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.observations.history import Recorded
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.rollouts.backtest.backtest import backtest_rollouts
from hotswap_stream.application.rollouts.report.history import experiment_report
from hotswap_stream.application.rollouts.report.plot import experiment_svg
from hotswap_stream.application.rollouts.report.report import Experiment, Lift, RewardShown
from tests.support.clocks import SetClock
from tests.support.samples.observations import BEGIN, ObservedTraffic
from tests.support.samples.recorded import EvenAnswers, KeptHistory, labels
from tests.support.samples.registry import MODEL, CountingIds, register, validate
from tests.support.samples.rollouts import CANARY, abort_rollout, start_rollout

EAGER = RolloutPolicy(metrics=(MetricRule(metric="success-rate", margin=0.03),), promote_on_operational=True)
PATIENT = RolloutPolicy(metrics=(MetricRule(metric="success-rate", threshold=0.5),), promote_on_operational=True)
LABELS = RolloutPolicy(metrics=(MetricRule(metric="accuracy", margin=0.05),))


class Recording:
    """A rollout that a person aborted after 100 seconds; v2 failed a fifth of its requests."""

    def __init__(self) -> None:
        self.clock = SetClock(BEGIN)
        self.log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
        self.registry = Registry(self.log, clock=self.clock, ids=CountingIds(), source="/test")
        traffic = ObservedTraffic()
        self.records = [
            Recorded(record.until, record)
            for _second in range(100)
            for record in traffic.second({"v1": 0.99, "v2": 0.8}, {"v1": 9_500, "v2": 500})
        ]
        self.history = KeptHistory(self.records)

    async def begin(self) -> None:
        await self.registry.start()
        for command in (
            register(),
            validate("v1", promote_first=True),
            register(),
            validate("v2", 0.97, ("v1", 0.97)),
            start_rollout(CANARY, "v2", policy=PATIENT),
        ):
            assert (await self.registry.handle(command)).status == "accepted"

    async def abort(self) -> None:
        self.clock.time = BEGIN + timedelta(seconds=100)
        assert (await self.registry.handle(abort_rollout(archive=False, reason="complaints"))).status == "accepted"


@pytest.fixture
async def recording() -> AsyncIterator[Recording]:
    made = Recording()
    await made.begin()
    yield made
    await made.registry.stop()


async def test_another_policy_decides_earlier_and_saves_bad_answers(recording: Recording) -> None:
    await recording.abort()
    found = await backtest_rollouts(recording.log, recording.history, MODEL, EAGER)
    assert not isinstance(found, Refusal)
    [report] = found
    actual, trial = report.actual, report.trial
    assert (actual.outcome, actual.seconds) == ("aborted", 100.0)
    assert [decision.reason for decision in actual.decisions] == ["complaints"]
    assert trial.outcome == "aborted"
    assert trial.seconds is not None
    assert trial.seconds < 60
    assert [decision.decided for decision in trial.decisions] == ["failed"]
    assert actual.cost.requests == 20 * 100
    assert trial.cost.requests == 20 * round(trial.seconds)
    assert 0 < trial.cost.failed < actual.cost.failed
    assert actual.cost.extra_failed == pytest.approx(0.19 * 2_000, rel=0.15)


async def test_the_same_policy_decides_the_same_and_says_where_the_records_end(recording: Recording) -> None:
    found = await backtest_rollouts(recording.log, recording.history, MODEL, PATIENT)
    assert not isinstance(found, Refusal)
    [decision] = found[0].trial.decisions
    assert decision.decided == "successful, v2 in production"
    loose = RolloutPolicy(metrics=(MetricRule(metric="reward", threshold=0.5),))
    found = await backtest_rollouts(recording.log, recording.history, MODEL, loose)
    assert not isinstance(found, Refusal)
    assert (found[0].trial.outcome, found[0].actual.outcome, found[0].trial.ended_at) == (
        "undecided",
        "undecided",
        None,
    )


async def test_what_the_agents_put_aside_changes_no_report_and_no_backtest(recording: Recording) -> None:
    drifts = tuple(MetricRule(metric=metric, threshold=0.5) for metric in ("score-drift", "input-drift"))
    policy = RolloutPolicy(metrics=(*drifts, *EAGER.metrics))
    await recording.abort()
    hostile = ObservedTraffic()
    hostile.worker = "hostile"
    damaged = [
        Recorded(BEGIN, hostile.record("v2", rollout_id="r1", answers=10**6, sketches={name: "no sketch"}))
        for name in ("score", "input")
    ]
    costs = []
    for records in (recording.records, [*damaged, *recording.records]):
        history = KeptHistory(records)
        backtests = await backtest_rollouts(recording.log, history, MODEL, policy)
        assert not isinstance(backtests, Refusal)
        costs.append((backtests[0].trial.outcome, backtests[0].trial.cost, backtests[0].actual.cost))
    assert costs[0] == costs[1]
    rollout = replace(recording.registry.state(MODEL).rollout_history[-1], policy=policy)
    experiment = Experiment(rollout)
    for recorded in damaged:
        assert isinstance(recorded.value, Observation)
        experiment.observe(recorded.value, recorded.at)
    assert [arm.requests for arm in experiment.report(MODEL, rollout).arms] == [0, 0]


async def test_rollouts_are_chosen_by_time_and_name(recording: Recording) -> None:
    await recording.abort()
    late = await backtest_rollouts(recording.log, recording.history, MODEL, EAGER, since=BEGIN + timedelta(seconds=1))
    assert isinstance(late, Refusal)
    assert "r1 at" in late.reason
    assert isinstance(await backtest_rollouts(recording.log, recording.history, MODEL, EAGER, rollout_id="r9"), Refusal)
    until = BEGIN + timedelta(seconds=5)
    found = await backtest_rollouts(recording.log, recording.history, MODEL, EAGER, since=BEGIN, until=until)
    assert not isinstance(found, Refusal)
    assert found[0].last_record_at == until


async def test_a_report_tells_counts_lift_and_advice(recording: Recording) -> None:
    streams = recording.registry.fold.streams
    report = await experiment_report(streams, MODEL, recording.history)
    assert not isinstance(report, Refusal)
    baseline, candidate = report.arms
    assert (baseline.arm, baseline.requests, baseline.weight) == ("baseline", 380 * 100, 9_500)
    assert (candidate.model_version, candidate.requests) == ("v2", 2_000)
    assert candidate.success_rate is not None
    assert candidate.success_rate.lower < 0.8 < candidate.success_rate.upper
    assert candidate.compute_ms_p95 == pytest.approx(3.0, rel=0.09)
    [lift] = report.lifts
    assert lift.lower is not None
    assert lift.upper is not None
    assert lift.lower < -0.19 < lift.upper < 0
    assert (lift.metric, lift.decides) == ("success-rate", True)
    assert lift.p_worse < 0.001
    # The policy only asks for a half.
    assert report.advice == "roll out"

    image = ElementTree.fromstring(experiment_svg(report))  # noqa: S314  # our own
    said = " ".join(element.text or "" for element in image.iter() if element.tag.endswith("text"))
    for words in ("advice: roll out", "v2 (candidate, 2,000)", "difference to the baseline: success-rate"):
        assert words in said


async def test_a_picture_holds_long_names_and_metrics_of_any_size(recording: Recording) -> None:
    report = await experiment_report(recording.registry.fold.streams, MODEL, recording.history)
    assert not isinstance(report, Refusal)
    [lift], name = report.lifts, "release-" + "2026-11-21-" * 10 + "v2"
    rewards = Lift(
        metric="reward",
        model_version=name,
        difference=4e6,
        lower=3e6,
        upper=5e6,
        relative=None,
        p_worse=1,
        p_better=0,
        decides=True,
    )
    arms = tuple(
        replace(arm, model_version=name, reward=RewardShown(count=9, mean=1e7, lower=None, upper=None))
        for arm in report.arms
    )
    changed = replace(
        report,
        arms=arms,
        lifts=(replace(lift, model_version=name), rewards),
        strategy="progressive " + "5 %, " * 50,
        because=f"latency of {name} is shown to be worse; " * 20,
    )
    image = ElementTree.fromstring(experiment_svg(changed))  # noqa: S314  # our own
    texts = [element for element in image.iter() if element.tag.endswith("text")]
    assert {"mean reward", "difference to the baseline: reward"} <= {text.text for text in texts}
    for text in texts:
        # 0.63 of its size is what a wide character takes in usual fonts.
        width = 0.63 * float(text.attrib["font-size"]) * len(text.text or "")
        room = {"start": 800 - float(text.attrib["x"]), "end": float(text.attrib["x"])}
        assert width <= room.get(text.attrib["text-anchor"], 800), text.text
    dots = [float(element.attrib["cx"]) for element in image.iter() if element.tag.endswith("circle")]
    assert all(240 <= dot <= 600 for dot in dots)
    lines = [element.attrib for element in image.iter() if element.attrib.get("stroke-width") == "5"]
    assert all(float(line["x2"]) - float(line["x1"]) > 2 for line in lines), "each metric has a scale of its own"


async def test_labels_are_part_of_reports_and_backtests(recording: Recording) -> None:
    at = BEGIN + timedelta(seconds=2)
    recording.records += labels(400, at)
    recording.records.sort(key=lambda record: record.at)
    found = await backtest_rollouts(recording.log, recording.history, MODEL, LABELS, answers=EvenAnswers())
    assert not isinstance(found, Refusal)
    trial = found[0].trial
    assert trial.outcome == "aborted"
    assert trial.cost.wrong / trial.cost.labelled == pytest.approx(0.75, abs=0.1)
    streams = recording.registry.fold.streams
    report = await experiment_report(streams, MODEL, recording.history, answers=EvenAnswers())
    assert not isinstance(report, Refusal)
    accuracies = [arm.accuracy.rate for arm in report.arms if arm.accuracy is not None]
    assert accuracies == [1.0, 0.25]
    assert {lift.metric: lift.decides for lift in report.lifts} == {"success-rate": True, "accuracy": False}


async def test_who_asks_for_what_is_not_there_is_told_what_is(recording: Recording) -> None:
    streams = recording.registry.fold.streams
    nobody = await experiment_report(streams, "nobody", recording.history)
    other = await experiment_report(streams, MODEL, recording.history, rollout_id="r9")
    assert isinstance(nobody, Refusal)
    assert isinstance(other, Refusal)
    assert "there is r1" in other.reason
