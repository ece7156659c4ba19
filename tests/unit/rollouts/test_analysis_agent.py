"""The analysis agent in memory: read twice, counted once; poison put aside; decided once, whoever looks."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from hotswap_events.inference.observation import Feedback
from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy
from hotswap_stream.agents.progress.reading import HELD
from hotswap_stream.application.observations.feedback import JoinStatus
from tests.support.samples.registry import MODEL
from tests.support.samples.rollouts import (
    CANARY,
    abort_rollout,
    change_strategy,
    pause_step,
    progressive,
    set_weight,
)
from tests.support.stages.agent_in_memory import TOPICS, AgentStage
from tests.support.stages.analysed import Analysed, AnswersAt, label

GOOD, BAD = {"v1": 0.99, "v2": 0.99}, {"v1": 0.99, "v2": 0.7}


def analyses(stage: AgentStage) -> list[tuple[object, ...]]:
    """What was concluded of the last rollout, and on what."""
    rollout = stage.registry.state(MODEL).rollout_history[-1]
    return [(each.outcome, each.watermark, each.evidence) for each in rollout.analyses]


@pytest.fixture
async def analysed() -> Any:
    stage = AgentStage()
    await stage.registry.start()
    try:
        yield Analysed(stage)
    finally:
        await stage.registry.stop()


async def test_records_read_twice_count_once_and_decide_once(analysed: Analysed) -> None:
    await analysed.begin()
    records = analysed.seconds(6, BAD)
    await analysed.feed(records)
    once = analysed.entry()
    await analysed.feed(records)
    assert analysed.entry() == once
    more = analysed.seconds(60, BAD)
    await analysed.feed(more)
    assert (analysed.status(), analysed.agent.decided_count) == ("aborted", 1)
    sequence = analysed.stage.registry.state(MODEL).sequence
    analysed.agent = analysed.new_agent()
    await analysed.feed([*records, *more])
    assert (analysed.agent.decided_count, analysed.stage.registry.state(MODEL).sequence) == (0, sequence)


async def test_a_process_that_died_before_it_decided_decides_the_same_when_it_reads_again(analysed: Analysed) -> None:
    await analysed.begin()
    await analysed.feed(analysed.seconds(3, GOOD))
    decided: list[tuple[object, ...]] = []
    for record in analysed.seconds(60, BAD):
        before = dict(analysed.entries)
        await analysed.observe(record)
        if analysed.agent.decided_count:
            decided = analyses(analysed.stage)
            after = dict(analysed.entries)
            break
    assert decided
    # Another process, another log of the same events up to there: the table may be older or as new as the decision.
    for table in (before, after):
        other = AgentStage()
        await other.registry.start()
        try:
            again = Analysed(other)
            again.traffic = analysed.traffic
            await again.begin()
            again.entries.update(table)
            entry = again.entry()
            rollout = other.registry.state(MODEL).rollout
            assert rollout is not None
            assert entry.table.rollout is not None
            known = msgspec.structs.replace(entry.table.rollout, phase_started_at=rollout.phase_started_at)
            moved = msgspec.structs.replace(entry, table=msgspec.structs.replace(entry.table, rollout=known))
            again.entries[MODEL.encode()] = msgspec.msgpack.encode(moved)
            await again.observe(record)
            assert analyses(other) == decided
        finally:
            await other.registry.stop()


async def test_a_pause_ends_by_the_clock_and_not_while_older_observations_are_read(analysed: Analysed) -> None:
    rollout = await analysed.begin(progressive(set_weight(500), pause_step(10), pause_step()), "v2")
    assert rollout.step_index == 1
    analysed.clock.time += timedelta(minutes=1)
    analysed.agent = analysed.new_agent()
    await analysed.agent.tick(lambda _name: True)
    assert analysed.agent.decided_count == 0
    await analysed.feed(analysed.seconds(1, GOOD))
    analysed.clock.time += HELD
    await analysed.agent.tick(lambda _name: False)
    assert analysed.agent.decided_count == 0
    await analysed.agent.tick(lambda _name: True)
    now = analysed.stage.registry.state(MODEL).rollout
    assert now is not None
    assert now.step_index == 2


async def test_poison_is_put_aside(analysed: Analysed) -> None:
    await analysed.begin()
    good = analysed.traffic.record("v1", rollout_id="r1", answers=1)
    poison: list[dict[str, Any]] = [
        {"value": None},
        {"value": b"{"},
        {"value": b"[" * 100_000},
        {"value": b'{"worker":"' + b"x" * 1_000_000},
        {"key": b"other"},
        {"key": None},
        {"value": msgspec.json.encode(msgspec.structs.replace(good, model_name="no/model"))},
    ]
    for fields in poison:
        await analysed.observe(analysed.record(good, 0, **fields))
    assert len(analysed.stage.publisher.on(TOPICS.dead_letters)) == len(poison)
    assert analysed.entries == {}


async def test_labels_count_for_the_version_that_answered_and_once(analysed: Analysed) -> None:
    policy = RolloutPolicy(metrics=(MetricRule(metric="accuracy", margin=0.05),))
    await analysed.begin(policy=policy)
    at_ms = round(analysed.traffic.now.timestamp() * 1000)
    analysed.agent = analysed.new_agent(answers=AnswersAt(at_ms))
    records = [analysed.record(label(number, analysed.traffic.now), at_ms) for number in range(400)]
    double = Feedback(
        model_name=MODEL, feedback_id="f0", at=analysed.traffic.now, request_partition=0, request_offset=0, label=1
    )
    unknown = Feedback(model_name=MODEL, feedback_id="u", at=analysed.traffic.now, request_id="nobody", label=1)
    for record in [*records[:20], analysed.record(double, at_ms), analysed.record(unknown, at_ms)]:
        await analysed.agent.handle_feedback(record)
    assert analysed.entry().feedback_counts == {"joined": 20, "double": 1, "unknown": 1}
    analysed.agent = analysed.new_agent(answers=AnswersAt(at_ms))
    for record in [*records[:20], analysed.record(double, at_ms)]:
        await analysed.agent.handle_feedback(record)
    assert analysed.entry().feedback_counts == {"joined": 20, "double": 2, "unknown": 1}
    for number in range(20, 400):
        value = msgspec.json.decode(records[number].value or b"", type=Feedback)
        await analysed.agent.handle_feedback(analysed.record(value, at_ms))
    assert analysed.status() == "aborted"


async def test_answers_are_looked_up_only_where_a_rollout_is_decided_by_labels(analysed: Analysed) -> None:
    """What nobody asks for is counted; what comes again counts once, also behind the start of a rollout."""
    await analysed.begin(progressive(pause_step()), "v2")
    at_ms = round(analysed.traffic.now.timestamp() * 1000)
    answers = AnswersAt(at_ms)
    analysed.agent = analysed.new_agent(answers=answers)

    async def give(*records: Feedback) -> dict[JoinStatus, int]:
        for record in records:
            await analysed.agent.handle_feedback(analysed.record(record, at_ms))
        return dict(analysed.entry().feedback_counts)

    now = analysed.traffic.now
    by_id = Feedback(model_name=MODEL, feedback_id="i", at=now, request_id="r", label=0)
    given = [label(0, now), label(1, now), label(1, now), label(1, now, "another"), by_id, by_id]
    assert await give(*given) == {"not-needed": 3, "double": 3}
    assert answers.looked_up == 0
    policy = RolloutPolicy(metrics=(MetricRule(metric="reward", margin=0.05),))
    changed = await analysed.stage.registry.handle(change_strategy(CANARY, policy=policy))
    assert changed.status == "accepted"
    analysed.agent = analysed.new_agent(answers=answers)
    assert await give(label(1, now), label(2, now)) == {"not-needed": 3, "double": 4, "joined": 1}
    assert answers.looked_up == 1
    assert (await analysed.stage.registry.handle(abort_rollout(archive=False))).status == "accepted"
    assert await give(label(3, now)) == {"not-needed": 4, "double": 4, "joined": 1}
    assert answers.looked_up == 1


async def test_no_time_is_over_while_feedback_that_was_sent_earlier_is_read(analysed: Analysed) -> None:
    rollout = await analysed.begin(progressive(set_weight(500), pause_step(10), pause_step()), "v2")
    analysed.agent = analysed.new_agent(answers=AnswersAt(0))
    sent = rollout.started_at + timedelta(seconds=5)
    analysed.clock.time = analysed.traffic.now = rollout.started_at + timedelta(seconds=60)
    await analysed.agent.handle_feedback(analysed.record(label(0, sent), round(sent.timestamp() * 1000)))
    for record in analysed.seconds(1, GOOD):
        await analysed.observe(record)
    await analysed.agent.tick(lambda _name: True)
    assert analysed.agent.decided_count == 0
    analysed.clock.time += HELD
    await analysed.agent.tick(lambda _name: True)
    assert analysed.agent.decided_count == 1
