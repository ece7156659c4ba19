"""What rollouts show, as a topic: the figures that are decided by, a bounded reader, a writer that raises nothing."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiokafka import ConsumerRecord

from hotswap_events.rollouts.commands import RecordAnalysis
from hotswap_events.rollouts.events import MetricEvidence
from hotswap_events.rollouts.evidence import EVIDENCE_BYTES_MAX, RolloutEvidence
from hotswap_events.rollouts.strategy import MetricName, MetricRule, RolloutPolicy, Strategy
from hotswap_stream.adapters.kafka.evidence_follower import EvidenceFollower
from hotswap_stream.agents.evidence_writer import EvidenceWriter
from hotswap_stream.application.rollouts.analysis.due import due
from hotswap_stream.application.rollouts.analysis.evidence import evidence_of
from hotswap_stream.application.rollouts.analysis.folding import fold_observation
from hotswap_stream.application.rollouts.backtest.trial import RolloutTrial
from hotswap_stream.application.rollouts.shown import POINTS_MAX, SERIES_MAX, EvidenceFold, read_evidence
from hotswap_stream.cli.rollouts.status import evidence_lines
from tests.support.decider_specification import state_after
from tests.support.samples.hostile_values import hostile
from tests.support.samples.observations import BEGIN, ObservedTraffic
from tests.support.samples.registry import MODEL, promoted, trained, validated
from tests.support.samples.rollouts import CANARY, SHADOW, progressive, start_rollout
from tests.support.stages.agent_in_memory import TOPICS, AgentStage
from tests.support.stages.analysed import Analysed
from tools.observation_examples import observation_examples

PROVEN = (trained("v1"), validated("v1"), promoted("v1"), trained("v2"), validated("v2"))
GOOD, BAD = {"v1": 0.99, "v2": 0.99}, {"v1": 0.99, "v2": 0.7}
SLOW = {"v1": 3.0, "v2": 90.0}
[EXAMPLE] = [each for each in observation_examples()["hotswap.evidence"] if isinstance(each, RolloutEvidence)]
FIGURES = set(MetricEvidence.__struct_fields__) & set(RolloutEvidence.__struct_fields__)


def rule(metric: MetricName = "success-rate", **fields: Any) -> MetricRule:
    return MetricRule(metric=metric, **fields)


def same_figures(shown: tuple[RolloutEvidence, ...], decided: tuple[MetricEvidence, ...]) -> None:
    """Every figure that both carry is the same one."""
    told = [{name: getattr(record, name) for name in FIGURES} for record in shown]
    assert told == [{name: getattr(entry, name) for name in FIGURES} for entry in decided]


@pytest.mark.parametrize(
    ("strategy", "rules", "rates", "fields", "outcomes"),
    [
        (CANARY, (rule(margin=0.03),), BAD, {}, ["failed"]),
        (CANARY, (rule(margin=0.03), rule("latency", slow_ms=50.0, margin=0.05)), GOOD, {}, ["successful"]),
        (CANARY, (rule("latency", slow_ms=50.0, threshold=0.05),), GOOD, {"compute_ms": SLOW}, ["failed"]),
        (CANARY, (rule(threshold=0.9),), GOOD, {}, ["successful"]),
        (CANARY, (rule("latency", slow_ms=50.0, margin=0.05),), GOOD, {"compute_ms": SLOW}, ["failed"]),
        (SHADOW, (rule("agreement", threshold=0.9),), GOOD, {"agreed": 1}, []),
        (progressive(), (rule(margin=0.03),), BAD, {}, ["failed"]),
    ],
    ids=["harm", "two-pass", "slow", "above-a-threshold", "slower", "a-shadow", "in-steps"],
)
def test_the_figures_are_those_that_the_decision_carries(
    strategy: Strategy,
    rules: tuple[MetricRule, ...],
    rates: dict[str, float],
    fields: dict[str, Any],
    outcomes: list[str],
) -> None:
    trial = RolloutTrial(state_after(*PROVEN))
    policy = RolloutPolicy(metrics=rules, promote_on_operational=True, bake_seconds=60)
    trial.apply(start_rollout(strategy, "v2", policy=policy), BEGIN)
    traffic, decided = ObservedTraffic(), []
    for number in range(400):
        rollout = trial.state.rollout
        if rollout is None:
            break
        baking = rollout.status == "baking"
        weights = {"v2": 10_000} if baking else {arm.model_version: arm.weight for arm in rollout.arms}
        rollout_id = None if baking else rollout.rollout_id
        for record in traffic.second(rates, weights, rollout_id=rollout_id, **fields):
            trial.table = fold_observation(trial.table, trial.state.rollout, record)
        table = trial.table.rollout
        assert table is not None
        now: dict[str, Any] = {"now": traffic.now, "read_up_to": number}
        shown = evidence_of(MODEL, rollout, table, at=traffic.now, offset=7, **now)
        assert [told.metric for told in shown] == [each.metric for each in rules]
        for told in shown:
            assert read_evidence(MODEL.encode(), msgspec.json.encode(told)) == told
            _verdict_agrees(told)
        command = due(MODEL, rollout, table, **now)
        if isinstance(command, RecordAnalysis):
            same_figures(shown, command.evidence)
            decided.append(command.outcome)
        trial.tick(traffic.now)
    assert decided[: len(outcomes)] == outcomes
    if outcomes == ["successful"]:
        assert decided == ["successful", "successful"], "and it was kept after its bake"


def _verdict_agrees(record: RolloutEvidence) -> None:
    """Whoever draws interval and limits sees the verdict."""
    assert (record.verdict == "no-data") == (record.count == 0)
    if record.estimate is None or record.lower is None or record.upper is None:
        return
    assert record.lower <= record.estimate <= record.upper
    if record.verdict == "harmful" and record.harm_limit is not None:
        assert record.estimate > record.harm_limit if record.lower_is_better else record.estimate < record.harm_limit
    if record.verdict == "passed" and record.limit is not None:
        assert record.estimate < record.limit if record.lower_is_better else record.estimate > record.limit


def test_a_promoted_version_s_interval_is_of_itself_where_less_is_better() -> None:
    """The interval of a share of slow answers was told as from -1 to 0."""
    trial = RolloutTrial(state_after(*PROVEN))
    slow = rule("latency", slow_ms=50.0, margin=0.05)
    policy = RolloutPolicy(metrics=(slow,), promote_on_operational=True, bake_seconds=600)
    trial.apply(start_rollout(CANARY, "v2", policy=policy), BEGIN)
    traffic = ObservedTraffic()
    for _second in range(300):
        rollout = trial.state.rollout
        assert rollout is not None
        baking = rollout.status == "baking"
        weights = {"v2": 10_000} if baking else {arm.model_version: arm.weight for arm in rollout.arms}
        for record in traffic.second(GOOD, weights, rollout_id=None if baking else rollout.rollout_id):
            trial.observe(record)
        if baking:
            break
    rollout, table = trial.state.rollout, trial.table.rollout
    assert rollout is not None
    assert table is not None
    [shown] = evidence_of(MODEL, rollout, table, at=traffic.now, now=traffic.now, read_up_to=0, offset=0)
    assert (shown.status, shown.model_version, shown.compared_with) == ("baking", "v2", "threshold")
    assert shown.value == 0.0
    assert shown.lower is not None
    assert shown.upper is not None
    assert shown.limit is not None
    assert 0.0 <= shown.lower <= shown.upper < shown.limit < 0.2
    assert 0 < shown.budget_used < 1


async def test_a_second_s_records_are_of_the_rollouts_that_this_process_decides() -> None:
    stage = AgentStage()
    await stage.registry.start()
    try:
        analysed = Analysed(stage)
        writer = EvidenceWriter(
            stage.registry, stage.publisher, TOPICS, lambda name: analysed.agent.entry(name), clock=analysed.clock
        )
        await writer.write(lambda _name: True, None)
        assert stage.publisher.on(TOPICS.evidence) == []
        rollout = await analysed.begin()
        await writer.write(lambda _name: False, None)
        assert stage.publisher.on(TOPICS.evidence) == []
        await writer.write(lambda _name: True, None)
        await analysed.feed(analysed.seconds(5, GOOD))
        analysed.clock.time += timedelta(seconds=1)
        await writer.write(lambda _name: True, analysed.clock.now())
        first, second = (read_evidence(record.key, record.value) for record in stage.publisher.on(TOPICS.evidence))
        assert first is not None
        assert second is not None
        assert (first.verdict, first.count, first.budget_used) == ("no-data", 0, 0.0)
        assert (second.verdict, second.rollout_id, second.status) == ("undecided", rollout.rollout_id, "running")
        stream = stage.registry.stream(MODEL)
        assert stream is not None
        assert (second.registry_offset, second.count) == (stream.offset, second.answers)
        stage.publisher.down = True
        await writer.write(lambda _name: True, None)
        stage.publisher.down = False
        analysed.entries[MODEL.encode()] = b"\xff"
        await writer.write(lambda _name: True, None)
        assert writer.written_count == 3
    finally:
        await stage.registry.stop()


def test_whatever_is_written_to_the_topic_the_next_good_record_counts() -> None:
    follower = EvidenceFollower({}, "evidence")

    def fold(key: bytes | None, value: bytes | None) -> None:
        follower.fold(ConsumerRecord("evidence", 0, 0, 1, 1, key, value, None, 0, 0, ()))

    good = msgspec.json.encode(EXAMPLE)
    for what, value in hostile(good):
        fold(b"digits", value)
        msgspec.json.encode(follower.shown("digits", "r3"))
        assert read_evidence(b"digits", value + b" " * EVIDENCE_BYTES_MAX) is None, what
    for key in (None, b"", b"fraud", b"\xff"):
        assert read_evidence(key, good) is None
    latest = msgspec.structs.replace(EXAMPLE, count=77)
    fold(b"digits", msgspec.json.encode(latest))
    assert latest in follower.latest("digits", "r3")
    assert follower.latest("fraud", "r3") == ()
    assert follower.passed_over > 500


def test_a_line_says_what_a_metric_shows_and_those_that_hurt_come_first() -> None:
    harmful = msgspec.structs.replace(EXAMPLE, verdict="harmful", metric="latency", lower_is_better=True, limit=0.05)
    empty = RolloutEvidence(
        **{
            name: getattr(EXAMPLE, name)
            for name in ("model_name", "rollout_id", "metric", "model_version", "baseline_version", "at", "arms")
        },
        verdict="no-data",
        registry_offset=0,
        watermark=0,
        status="paused",
    )
    assert evidence_lines([empty, EXAMPLE, harmful]) == [
        "  latency of v2 harmful: +0.006 against v1 [-0.009, +0.021], passes below +0.05; 1,044 answers, 61% of the "
        "budget",
        "  accuracy of v2 undecided: +0.006 against v1 [-0.009, +0.021], passes above -0.02; 1,044 answers, 61% of the "
        "budget",
        "  accuracy of v2 no data; 0 answers, 0% of the budget",
    ]


def test_what_is_kept_has_an_end() -> None:
    fold = EvidenceFold()
    for number in range(POINTS_MAX * 5):
        fold.take(msgspec.structs.replace(EXAMPLE, count=number, at=EXAMPLE.at + timedelta(seconds=number)))
    [series] = fold.shown("digits", "r3").history
    counts = [point.count for point in series.points]
    assert counts == sorted(set(counts))
    assert (counts[0], counts[-1]) == (0, POINTS_MAX * 5 - 1), "from the beginning to the newest"
    assert POINTS_MAX / 4 < len(counts) <= POINTS_MAX
    for number in range(SERIES_MAX + 10):
        fold.take(msgspec.structs.replace(EXAMPLE, rollout_id="r4", model_version=f"v{number}"))
    assert len(fold.latest("digits", "r4")) == SERIES_MAX
    for number in range(2_000):
        fold.take(msgspec.structs.replace(EXAMPLE, model_name=f"m{number}"))
    assert fold.latest("digits", "r3") == ()
    assert len(fold.latest("m1999", "r3")) == 1
