"""What a gap between answers is said to have been made of."""

from pathlib import Path

import numpy as np
import pytest

from tests.torture.facts import Blocked, Fault, RunFacts, Said
from tests.torture.gaps import Gap, longest_gaps, longest_wait_ms
from tests.torture.worker_words import said_by_workers

BEGAN_MS = 1_000_000


def fault(kind: str, target: str, at_s: float, seconds: float = 0.0) -> Fault:
    return Fault(kind=kind, target=target, at_s=at_s, seconds=seconds)


def has(worker: str, at_s: float, *partitions: int) -> Said:
    return Said(at_s=at_s, worker=worker, partitions=partitions)


def begins(worker: str, at_s: float) -> Said:
    return Said(at_s=at_s, worker=worker)


def gap(
    faults: list[Fault], said: list[Said], blocked: list[Blocked], until_s: float = 20.0, written_s: float = 0.0
) -> Gap:
    """The only gap of a partition that was answered until 10 s after the beginning, and then again.

    `written_s`: when the request at its end was in its topic.
    """
    run = RunFacts(seed=1, requests_min=1, faults_min=0, faults=faults, said=said, blocked=blocked, began_ms=BEGAN_MS)
    times = [BEGAN_MS + 1_000 * second for second in (*range(11), until_s, until_s + 0.5)]
    written = [BEGAN_MS + 1_000 * written_s for _ in times]
    in_partitions, anywhere = longest_gaps(run, [np.array(times, np.int64)], [np.array(written, np.int64)])
    longest = in_partitions[0]
    assert (longest.seconds, longest.from_s) == (until_s - 10, 10)
    assert (anywhere[0].seconds, anywhere[0].partition) == (until_s - 10, None)
    return longest


def parts(found: Gap) -> dict[str, float]:
    names = ("blocked", "paused", "starting", "regrouping", "unwritten", "served")
    return {name: seconds for name in names if (seconds := getattr(found, f"{name}_s"))}


@pytest.mark.parametrize(
    ("faults", "said", "blocked", "made_of"),
    [
        ([], [has("w1", 1, 0)], [], {"served": 10}),
        (
            [fault("kill", "w1", 10)],
            [has("w1", 1, 0), begins("w1", 11), has("w1", 14, 0)],
            [],
            {"starting": 4, "served": 6},
        ),
        (
            [fault("kill", "w1", 10)],
            [has("w1", 1, 0), has("w2", 2), has("w2", 15, 0)],
            [],
            {"regrouping": 5, "served": 5},
        ),
        (
            [fault("pause", "w1", 10, 6)],
            [has("w1", 1, 0)],
            [],
            {"paused": 6, "served": 4},
        ),
        (
            [fault("remove", "w1", 9)],
            [has("w1", 1, 0), has("w1", 12), begins("w2", 12.5), has("w2", 17, 0)],
            [],
            {"served": 5, "regrouping": 0.5, "starting": 4.5},
        ),
        (
            [fault("broker-kill", "node 1", 10, 3)],
            [has("w1", 1, 0)],
            [Blocked(from_s=10, until_s=13, partitions=(0, 4)), Blocked(from_s=10, until_s=19, partitions=(1,))],
            {"blocked": 3, "served": 7},
        ),
        # A worker that ended by itself: it says that it begins
        ([], [has("w1", 1, 0), begins("w1", 12), has("w1", 13, 0)], [], {"served": 9, "starting": 1}),
    ],
)
def test_each_moment_counts_for_what_was_the_matter(
    faults: list[Fault], said: list[Said], blocked: list[Blocked], made_of: dict[str, float]
) -> None:
    found = gap(faults, said, blocked)
    assert parts(found) == pytest.approx(made_of, abs=0.06)
    assert sum(parts(found).values()) == pytest.approx(found.seconds, abs=0.06)


def test_faults_that_fall_into_it_are_named() -> None:
    faults = [
        fault("kill", "w1", 2),
        fault("broker-stop", "node 0", 5, 6),
        fault("kill", "w2", 9.5),
        fault("kill", "w1", 19.9),
        fault("kill", "w3", 20.1),
    ]
    found = gap(faults, [], [])
    assert found.faults == ["broker-stop node 0 at 5.0 for 6.0", "kill w2 at 9.5", "kill w1 at 19.9"]
    assert "kill w2 at 9.5" in found.line()


def test_nothing_waited_while_the_next_request_was_not_in_its_topic() -> None:
    """Where a broker could not have taken it, that is the reason, whoever has the partition."""
    blocked = [Blocked(from_s=11, until_s=13, partitions=(0,))]
    found = gap([], [has("w1", 1, 0)], blocked, written_s=16)
    assert parts(found) == {"blocked": 2, "unwritten": 4, "served": 4}
    assert parts(gap([], [has("w1", 1, 0)], [], written_s=9)) == {"served": 10}


def test_the_longest_wait_begins_when_the_request_is_there() -> None:
    answered = np.array([1_000, 9_000, 9_500, 12_500], np.int64)
    written = np.array([0, 8_000, 8_600, 9_600], np.int64)
    assert longest_wait_ms(answered, written) == 2_900
    assert longest_wait_ms(answered[:1], written[:1]) == 0
    assert longest_wait_ms(answered[:3], written[:3]) == 1_000


def test_of_gaps_at_one_time_the_longest_is_shown_with_how_many_are_alike() -> None:
    run = RunFacts(seed=1, requests_min=1, faults_min=0, began_ms=0)
    answered = [
        np.array([0, 500, 5_500, 6_000, 9_000], dtype=np.int64),
        np.array([0, 600, 5_000, 6_000, 9_000], dtype=np.int64),
        np.array([0, 500, 1_000, 1_500], dtype=np.int64),
    ]
    in_partitions, anywhere = longest_gaps(run, answered, answered)
    assert [(each.partition, each.seconds, each.alike) for each in in_partitions] == [(0, 5.0, 1), (0, 3.0, 1)]
    assert [(each.from_s, each.seconds) for each in anywhere] == [(1.5, 3.5), (6.0, 3.0)]


def test_logs_tell_of_starts_and_partitions_and_of_nothing_else(tmp_path: Path) -> None:
    lines = [
        '{"event": "worker_started", "timestamp": "1970-01-01T00:16:41.500000Z", "models": ["m"]}',
        '{"event": "partitions_assigned", "timestamp": "1970-01-01T00:16:43Z", "partitions": [2, 0]}',
        '{"event": "partitions_assigned", "timestamp": "no time", "partitions": [1]}',
        '{"event": "version_loaded", "timestamp": "1970-01-01T00:16:44Z"}',
        "error: a line that is no JSON",
        "[]",
        '"text"',
    ]
    (tmp_path / "w1.log").write_text("\n".join(lines))
    (tmp_path / "agents.log").write_text(lines[0])
    assert said_by_workers(tmp_path, BEGAN_MS) == [begins("w1", 1.5), has("w1", 3, 2, 0)]
