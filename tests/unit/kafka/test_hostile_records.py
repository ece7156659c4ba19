"""Whatever is written into the topics that the agents read: it is handled or put aside, and the next record goes on."""

from collections.abc import AsyncIterator, Iterator
from copy import copy
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import pytest

from hotswap_events.inference.observation import Feedback, LatencyCounts, Sums
from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy
from hotswap_stream.agents.alert_agent import AlertAgent
from hotswap_stream.agents.command_agent import CommandAgent
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.observations.row_sketches import encoded, new_sketch, update
from hotswap_stream.application.registry.fold import RegistryFold, Void
from hotswap_stream.application.registry.view import encode_registry_state, registry_state
from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.workers.inference.observing.observer import Observer
from tests.support.examples import quick
from tests.support.samples.hostile_values import hostile
from tests.support.samples.registry import MODEL, register
from tests.support.samples.rollouts import CANARY
from tests.support.stages.agent_in_memory import TOPICS, AgentStage, command_record
from tests.support.stages.analysed import Analysed, AnswersAt, label
from tools.message_examples import message_examples

REWARDS = RolloutPolicy(
    metrics=(
        MetricRule(metric="reward", margin=0.05),
        MetricRule(metric="success-rate", margin=0.03),
        MetricRule(metric="latency", margin=0.05, slow_ms=50.0),
        MetricRule(metric="score-drift", threshold=0.2),
    )
)


@pytest.fixture
async def analysed() -> AsyncIterator[Analysed]:
    stage = AgentStage()
    await stage.registry.start()
    try:
        made = Analysed(stage)
        await made.begin(CANARY, "v2", policy=REWARDS)
        at_ms = round(made.traffic.now.timestamp() * 1000)
        made.others = (AlertAgent(stage.registry, clock=made.clock),)
        made.agent = made.new_agent(answers=AnswersAt(at_ms))
        yield made
    finally:
        await stage.registry.stop()


async def test_a_vast_reward_is_put_aside(analysed: Analysed) -> None:
    """Feedback with the reward 1e200 ended the agents, again at each start: its square is no number."""
    good = msgspec.json.encode(
        Feedback(model_name=MODEL, feedback_id="f", at=analysed.traffic.now, request_id="r", label=1)
    )
    vast = good.replace(b'"label":1', b'"request_partition":0,"request_offset":0,"reward":1e200')
    at_ms = round(analysed.traffic.now.timestamp() * 1000)
    await analysed.agent.handle_feedback(analysed.record(label(0, analysed.traffic.now), at_ms, value=vast))
    assert len(analysed.stage.publisher.on(TOPICS.dead_letters)) == 1
    await analysed.agent.handle_feedback(analysed.record(label(1, analysed.traffic.now), at_ms))
    assert analysed.entry().feedback_counts == {"joined": 1}


async def test_a_number_beyond_64_bits_is_put_aside(analysed: Analysed) -> None:
    """An observation with the sequence 2^64, of a model that does not exist, ended the agents."""
    good = msgspec.json.encode(analysed.traffic.record("v1", model_name="nobody"))
    value = good.replace(b'"sequence":1', b'"sequence":18446744073709551616')
    assert value != good
    record = analysed.record(analysed.traffic.record("v1"), 0, value=value, key=b"nobody")
    await analysed.observe(record)
    assert len(analysed.stage.publisher.on(TOPICS.dead_letters)) == 1


async def test_sums_beyond_64_bits_are_put_aside_and_what_was_folded_stays(analysed: Analysed) -> None:
    await analysed.feed(analysed.seconds(1, {"v1": 1.0, "v2": 1.0}))
    before = analysed.entry()
    assert before.table.rollout is not None
    full = msgspec.structs.replace(before.table.rollout.figures["v1"], answers=2**64 - 1)
    table = msgspec.structs.replace(before.table.rollout, figures={**before.table.rollout.figures, "v1": full})
    before = msgspec.structs.replace(before, table=msgspec.structs.replace(before.table, rollout=table))
    analysed.entries[MODEL.encode()] = msgspec.msgpack.encode(before)
    await analysed.feed(analysed.seconds(1, {"v1": 1.0, "v2": 1.0})[:1])
    assert analysed.entry() == before
    [letter] = analysed.stage.publisher.on(TOPICS.dead_letters)
    assert b"OverflowError" in dict(letter.headers)["hotswap-dead-letter-cause"]


async def test_versions_that_are_in_no_rollout_take_no_room_in_its_table(analysed: Analysed) -> None:
    for number in range(50):
        record = analysed.traffic.record(f"x{number}", rollout_id="r1", answers=1)
        await analysed.feed([analysed.record(record, round(record.until.timestamp() * 1000))])
    table = analysed.entry().table.rollout
    assert table is not None
    assert set(table.figures) <= {"v1", "v2"}


async def test_labels_that_never_end_take_no_room_without_end(analysed: Analysed) -> None:
    for number in range(40):
        labels = {number * 64 + index: 1 + number for index in range(64)}
        record = analysed.traffic.record("v2", rollout_id="r1", answers=1, labels=labels)
        await analysed.feed([analysed.record(record, round(record.until.timestamp() * 1000))])
    table = analysed.entry().table.rollout
    assert table is not None
    assert len(table.figures["v2"].labels) == 1_024
    assert max(table.figures["v2"].labels) == 40 * 64 - 1


async def test_no_observation_ends_the_agents(analysed: Analysed) -> None:
    sketch = new_sketch()
    update(sketch, np.array([0.1, 0.2]))
    good = analysed.traffic.record(
        "v2",
        rollout_id="r1",
        answers=3,
        errors={"model-failure": 1},
        rows=3,
        compute=LatencyCounts(buckets={3: 3}, total_ms=4.0, slow=1),
        total=LatencyCounts(buckets={3: 3}, total_ms=4.0),
        slow_ms=50.0,
        labels={1: 3},
        labels_other=1,
        agreed=1,
        disagreed=1,
        skipped=1,
        score=Sums(1, 1.0, 1.0),
        score_difference=Sums(1, 1.0, 1.0),
        input=Sums(1, 1.0, 1.0),
        sketches={"score": encoded(sketch)},
    )
    await analysed.feed([analysed.record(good, 0)])
    assert not analysed.stage.publisher.on(TOPICS.dead_letters)
    for number, (_what, value) in enumerate(hostile(msgspec.json.encode(good))):
        value = value.replace(b'"worker_run":"w1-run"', b'"worker_run":"%d"' % number)
        await analysed.observe(analysed.record(good, 0, value=value))
    await _goes_on(analysed)


async def test_no_feedback_ends_the_agents(analysed: Analysed) -> None:
    good = Feedback(
        model_name=MODEL,
        feedback_id="f",
        at=analysed.traffic.now,
        request_partition=0,
        request_offset=1,
        label=1,
        reward=0.5,
        value=(0.5, 1.5),
        items=(1, "a"),
        model_version="v1",
        actor="ada",
        parameters={"a": [1, {"b": 2.0}]},
    )
    for number, (_what, value) in enumerate(hostile(msgspec.json.encode(good))):
        value = value.replace(b'"feedback_id":"f"', b'"feedback_id":"f%d"' % number)
        value = value.replace(b'"request_offset":1,', b'"request_offset":%d,' % number)
        await analysed.agent.handle_feedback(analysed.record(good, 0, value=value))
    await _goes_on(analysed)


async def _goes_on(analysed: Analysed) -> None:
    """What comes next is counted, and the table is readable and has room."""
    letters = len(analysed.stage.publisher.on(TOPICS.dead_letters))
    before = analysed.entries.get(MODEL.encode(), b"")
    good = analysed.traffic.record("v2", worker_run="next", rollout_id="r1", answers=1)
    await analysed.observe(analysed.record(good, round(analysed.traffic.now.timestamp() * 1000)))
    assert len(analysed.stage.publisher.on(TOPICS.dead_letters)) == letters
    assert analysed.entries[MODEL.encode()] != before
    assert analysed.entry().runs["next"].sequence == good.sequence
    await analysed.agent.tick(lambda _name: True)


def _commands() -> Iterator[tuple[str, bytes]]:
    for name, value in message_examples().items():
        if name.startswith("hotswap.command."):
            yield name, value[0]


@pytest.mark.parametrize(("name", "message"), list(_commands()), ids=[name for name, _message in _commands()])
async def test_no_command_ends_the_agents(name: str, message: bytes) -> None:
    stage = await AgentStage().start()
    try:
        agent = CommandAgent(stage.registry, stage.publisher, TOPICS)
        for number, (_what, value) in enumerate(islice(hostile(message), None, None, 5 if quick() else 1)):
            value = value.replace(b'"command_id":"', b'"command_id":"%d-' % number)
            await agent.handle(command_record(value, offset=number))
        await agent.handle(command_record(register(command_id="next")))
        result = stage.publisher.results()[-1]
        assert (result.command_id, result.status) == ("next", "accepted")
        causes = [
            dict(letter.headers)["hotswap-dead-letter-cause"] for letter in stage.publisher.on(TOPICS.dead_letters)
        ]
        assert not [cause for cause in causes if b"handling it failed" in cause]
    finally:
        await stage.stop()


def _chained(fold: RegistryFold, value: bytes) -> bytes:
    """The event as the next one of its stream, as somebody would write it who may write to the log."""
    stream = fold.streams.get("digits")
    envelope: dict[str, Any] = msgspec.json.decode(value)
    sequence = b"%d" % (1 if stream is None else stream.state.sequence + 1)
    previous = "0" * 64 if stream is None else stream.head_digest
    value = value.replace(b'"sequence":%d,' % envelope["sequence"], b'"sequence":%s,' % sequence, 1)
    return value.replace(envelope["previous"].encode(), previous.encode(), 1)


def _history() -> list[bytes]:
    """The examples of events, which are one model's history."""
    events = [value for values in message_examples().values() for value in values if b'"specversion"' in value]
    return sorted(events, key=lambda value: int(msgspec.json.decode(value)["sequence"]))


EVENTS = _history()


@pytest.mark.parametrize("number", range(len(EVENTS)))
def test_no_event_ends_who_folds_the_log(number: int) -> None:
    """Each event of a history, with each of its parts replaced in turn, at its place in the chain: it counts or it is
    void, and the state can be published all the same."""
    before = RegistryFold()
    for offset, value in enumerate(EVENTS[:number]):
        before.apply(LogRecord(offset, 0, b"digits", value))
    raw = msgspec.json.decode(EVENTS[number], type=dict[str, msgspec.Raw])
    # A quick run takes every fifth, of each event others.
    for what, data in islice(hostile(bytes(raw["data"])), *((number % 5, None, 5) if quick() else (None,))):
        fold = RegistryFold()
        fold.next_offset = number
        for name, stream in before.streams.items():
            fold.streams[name] = copy(stream)
            fold.streams[name].state = stream.state.copy()
        event = msgspec.json.encode({**raw, "data": msgspec.Raw(data)})
        if isinstance(fold.apply(LogRecord(number, 0, b"digits", event)), Void):
            continue
        _check(fold, what)
        for offset, value in enumerate(EVENTS[number + 1 :], number + 1):
            fold.apply(LogRecord(offset, 0, b"digits", _chained(fold, value)))
            _check(fold, what)


def _check(fold: RegistryFold, what: str) -> None:
    """The state can be published, and a worker can go by it."""
    stream = fold.streams["digits"]
    assert encode_registry_state(registry_state(stream)), what
    guard, observer = CircuitGuard("digits", "w1"), Observer("digits", "w1", "run")
    guard.update(stream.state)
    observer.update(stream.state)
    guard.due(1.0)
    guard.observe("v1", answers=10, errors=9, slow=1, now_s=2.0)
    guard.pick_probes(10, "v1")
