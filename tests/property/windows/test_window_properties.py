"""Windows read back are bit for bit those of a worker that never stopped: whatever crashed, slept, or was compacted."""

from collections.abc import Sequence

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hotswap_events.inference.messages import InferRequest, InferTensor
from hotswap_events.inference.windows import WindowRecord, WindowRule, WindowsMarker
from hotswap_stream.application.windows.fold import WindowFold
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request
from hotswap_stream.workers.inference.requests.tensors import Array
from hotswap_stream.workers.inference.windows.partition import PartitionWindows
from hotswap_stream.workers.inference.windows.steps import Taken
from hotswap_stream.workers.inference.windows.window import Window, window_of
from tests.support.examples import examples

MODEL = "m"
RULE = WindowRule(input="history", datatype="FP32", features=2, steps=5)
KEYS = [b"a", b"b", b"c", b"d", b"e"]

Log = list[Request]
Topic = list[tuple[bytes, bytes | None]]


def request(offset: int, key: bytes | None, steps: int, request_id: str | None = None) -> Request:
    """Steps that tell their offset and place."""
    values = np.array([[offset, place] for place in range(steps)], "<f4")
    tensor = InferTensor(name="history", shape=[steps, 2], datatype="FP32", data=values.tobytes())
    record = RequestRecord("t", 0, offset, 0, key, b"", [])
    return Request(record, InferRequest(inputs=[tensor], id=request_id), True, None)


requests = st.lists(
    st.tuples(st.sampled_from([*KEYS, None]), st.integers(0, 8), st.sampled_from([None, None, "x", "y", "z"])),
    min_size=1,
    max_size=60,
).map(lambda some: [request(offset, *each) for offset, each in enumerate(some)])


def new_life(name: str, keys_max: int = 100) -> PartitionWindows:
    return PartitionWindows(MODEL, name, next_offset=0, keys_max=keys_max)


def flushed(life: PartitionWindows, records_max: int) -> Topic:
    """What a flush writes."""
    records: Topic = [
        (key, None if record is None else msgspec.msgpack.encode(record)) for key, record in life.changes(records_max)
    ]
    marker = life.marker()
    assert marker is not None
    records.append((marker[0], msgspec.msgpack.encode(marker[1])))
    return records + [(key, None) for key in life.deletions()]


def compacted(topic: Topic) -> Topic:
    """The last record of each key, at its place."""
    last = {key: place for place, (key, _) in enumerate(topic)}
    return [record for place, record in enumerate(topic) if last[record[0]] == place]


def take_over(name: str, topic: Topic, log: Log, position: int, keys_max: int = 100) -> PartitionWindows:
    """A new life that reads the topic, and then the requests from the marker on."""
    fold = WindowFold(WindowRecord)
    for key, value in topic:
        fold.apply(key, value)
    assert fold.unreadable == 0
    life = new_life(name, keys_max)
    assert fold.marker is not None
    life.restore(
        [(key, window_of(record, writers)) for key, record, writers in fold.windows()],
        fold.marker,
        fold.marker_writers,
    )
    assert life.next_offset <= position
    for entry in log[life.next_offset : position]:
        life.take(entry, evict=False)
    life.end_replay(position)
    return life


def contents(life: PartitionWindows) -> dict[bytes, tuple[bytes, int, dict[str, int]]]:
    return {key: (window.latest().tobytes(), window.request_offset, window.ids) for key, window in life.items()}


def never_stopped(log: Log, position: int, keys_max: int = 100) -> PartitionWindows:
    life = new_life("never", keys_max)
    life.change_rule(RULE)
    for entry in log[:position]:
        life.take(entry)
    return life


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "flush", "flush", "crash", "crash-in-flush", "rejoin", "zombie", "compact"]),
        st.integers(0, 12),
    ),
    max_size=30,
)


@settings(max_examples=examples(300))
@given(log=requests, actions=ACTIONS)
def test_whoever_takes_over_has_the_same_windows(log: Log, actions: Sequence[tuple[str, int]]) -> None:
    name = "life0"
    life = new_life(name)
    life.change_rule(RULE)
    topic: Topic = flushed(life, 100)
    answered = 0
    zombies: list[PartitionWindows] = []
    for number, (action, amount) in enumerate(actions, start=1):
        if action == "take":
            for entry in log[life.next_offset : life.next_offset + amount]:
                life.take(entry)
        elif action == "flush":
            answered = max(answered, life.next_offset)  # only what was answered is written
            topic += flushed(life, amount)
        elif action == "zombie" and zombies:
            # It wakes, goes on for a while, and writes what it has.
            zombie = zombies[amount % len(zombies)]
            for entry in log[zombie.next_offset : zombie.next_offset + amount]:
                zombie.take(entry)
            answered = max(answered, zombie.next_offset)
            topic += flushed(zombie, amount)
        elif action == "compact":
            topic = compacted(topic)
        elif action == "rejoin":
            # It lost its partitions and got them back: what it took in is read again, written under the same keys.
            life = take_over(name, topic, log, answered)
            assert contents(life) == contents(never_stopped(log, answered))
        elif action.startswith("crash"):
            if action == "crash-in-flush":
                answered = max(answered, life.next_offset)
                topic += flushed(life, 100)[:amount]
            else:
                zombies.append(life)
            answered = min(len(log), answered + amount % 3)  # more answers than were written of
            name = f"life{number}"
            life = take_over(name, topic, log, answered)
            assert contents(life) == contents(never_stopped(log, answered))
    for entry in log[life.next_offset :]:
        life.take(entry)
    assert contents(life) == contents(never_stopped(log, len(log)))


@settings(max_examples=examples(200))
@given(log=requests, keys_max=st.integers(1, 4), actions=ACTIONS)
def test_with_too_many_series_no_window_has_a_gap(log: Log, keys_max: int, actions: Sequence[tuple[str, int]]) -> None:
    """A window that made room may be back after a crash, as long as it was; it never lacks a step in between."""
    # A window that made room takes the ids with it, so copies are another matter.
    log = [msgspec.structs.replace(entry, body=InferRequest(inputs=entry.body.inputs)) for entry in log]
    life = new_life("life0", keys_max)
    life.change_rule(RULE)
    topic: Topic = flushed(life, 100)
    for number, (action, amount) in enumerate(actions, start=1):
        if action == "take":
            for entry in log[life.next_offset : life.next_offset + amount]:
                life.take(entry)
        elif action == "flush":
            topic += flushed(life, amount)
        elif action == "compact":
            topic = compacted(topic)
        elif action.startswith("crash"):
            topic += flushed(life, 100)[:amount]
            life = take_over(f"life{number}", topic, log, life.next_offset, keys_max)
        assert len(life) <= keys_max
        full = dict(never_stopped(log, life.next_offset).items())
        lasting = dict(never_stopped(log, life.next_offset, keys_max).items())
        for key, window in life.items():
            steps = window.latest().tolist()
            assert full[key].latest().tolist()[-len(steps) :] == steps
        for key, window in lasting.items():
            kept = {name: found.steps for name, found in life.items()}
            assert kept[key] >= window.steps


@given(pieces=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), max_size=40))
def test_a_window_holds_the_latest_steps_and_what_it_gave_stays(pieces: list[tuple[int, int]]) -> None:
    """Each piece: how many steps come, and how many may be kept from then on (never fewer than before)."""
    window = Window(RULE)
    everything: list[list[float]] = []
    given_out: list[tuple[Array, list[list[float]]]] = []
    steps_max, kept = 0, 0
    for added, limit in pieces:
        steps_max = max(steps_max, limit)
        steps = [[float(len(everything) + place), -1.0] for place in range(added)]
        everything += steps
        window.append(np.array(steps, "<f4"), steps_max)
        kept = min(kept + added, steps_max)
        given_out.append((window.latest(), everything[-kept:]))
    for array, wanted in given_out:
        assert array.tolist() == wanted


def test_a_copy_of_a_request_brings_nothing_and_says_of_which() -> None:
    life = new_life("w")
    life.change_rule(RULE)
    first, copy = life.take(request(0, b"a", 2, "x")), life.take(request(1, b"a", 2, "x"))
    assert isinstance(first, Taken)
    assert isinstance(copy, Taken)
    assert (first.duplicate_of, copy.duplicate_of) == (None, 0)
    assert copy.steps.tobytes() == first.steps.tobytes()
    other_series = life.take(request(2, b"b", 2, "x"))
    assert isinstance(other_series, Taken)
    assert other_series.duplicate_of is None


def test_a_series_with_other_features_begins_anew_at_its_next_step() -> None:
    life = new_life("w")
    life.change_rule(RULE)
    life.take(request(0, b"a", 2))
    life.take(request(1, b"b", 2))
    life.change_rule(WindowRule(input="other", datatype="FP32", features=2, steps=5))
    tensor = InferTensor(name="other", shape=[1, 2], datatype="FP32", data=[1.0, 2.0])
    life.take(Request(RequestRecord("t", 0, 2, 0, b"a", b"", []), InferRequest(inputs=[tensor]), False, None))
    windows = dict(life.items())
    assert windows[b"a"].latest().tolist() == [[1.0, 2.0]]
    assert windows[b"b"].steps == 2


def test_a_request_topic_made_anew_does_not_lose_to_the_old_offsets() -> None:
    log = [request(offset, b"a", 1) for offset in range(10)] + [request(10, b"quiet", 1)]
    life = never_stopped(log, 11)
    topic = flushed(life, 100)
    fold = WindowFold(WindowRecord)
    for key, value in topic:
        fold.apply(key, value)
    after = new_life("after")
    assert isinstance(fold.marker, WindowsMarker)
    after.restore(
        [(key, window_of(record, writers)) for key, record, writers in fold.windows()],
        fold.marker,
        fold.marker_writers,
    )
    after.forget_offsets(0)
    after.take(request(0, b"a", 1))
    topic += flushed(after, 100)
    again = take_over("again", topic, [request(0, b"a", 1)], 1)
    assert contents(again) == contents(after)
    assert dict(again.items())[b"a"].request_offset == 0


def test_what_a_sleeper_writes_late_does_not_win_even_after_compaction() -> None:
    """By offset it would lose, but compaction knows no offsets: it keeps the last record of each key."""
    log = [request(offset, key, 1) for offset, key in enumerate([b"a", b"a", b"a", b"a", b"b"])]
    sleeper = new_life("sleeper")
    sleeper.change_rule(RULE)
    topic = flushed(sleeper, 100)
    for entry in log[:2]:
        sleeper.take(entry)
    successor = take_over("successor", topic, log, 2)
    for entry in log[2:4]:
        successor.take(entry)
    topic += flushed(successor, 100)
    topic += flushed(sleeper, 100)
    successor.take(log[4])
    topic = compacted(topic + flushed(successor, 100))
    assert contents(take_over("next", topic, log, 5)) == contents(never_stopped(log, 5))
