"""The plan of a long run, what its report judges, and its picture."""

from xml.etree import ElementTree

import numpy as np
import pytest

from tests.soak.flatness import Series
from tests.soak.plan import PARTS, TOUCHED, SoakPlan, steps_of
from tests.soak.plot import drawn
from tests.soak.report import Change, DiskPoint, SoakReport, summary
from tests.soak.samples import role_of
from tests.torture.check import Verdict, by_tenth

MIB = 1024**2


def report(
    *, p99_last: int = 110, minutes: float = 30, leak_bytes: float = 0.0, last_bytes: float = 500.0
) -> SoakReport:
    plan = SoakPlan(seconds=60 * minutes)
    at_s = [5.0 * number for number in range(int(plan.seconds / 5))]
    middle = len(at_s) // 2
    broker = [int(500 * 1_000 * n + (last_bytes - 500) * 1_000 * max(0, n - middle)) for n in range(len(at_s))]
    return SoakReport(
        seed=1,
        seconds=plan.seconds,
        plan=plan,
        verdict=Verdict(passed=True, answer_ms_by_tenth=[{"p50": 5, "p90": 9, "p99": 100}] * 9 + [{"p99": p99_last}]),
        changes=[Change(10.0, "kill", "w2", "done")],
        series=[Series("w1", 7, "memory", at_s, [100 * MIB + leak_bytes * s for s in at_s])],
        disk=[DiskPoint(s, 1_000 * n, broker[n], 0) for n, s in enumerate(at_s)],
    )


def test_a_run_in_which_nothing_grows_or_slows_passes() -> None:
    run = report()
    run.judge()
    assert run.passed, run.examples
    assert run.p99_ratio == 1.1
    assert [each.flat for each in run.flatness] == [True]
    assert run.broker_bytes_a_request == pytest.approx((500, 500), rel=0.02)


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (report(leak_bytes=20_000.0), "grows"),
        (report(last_bytes=1_000.0), "grows"),
        (report(p99_last=121), "slower"),
    ],
)
def test_what_grows_or_slows_fails(run: SoakReport, problem: str) -> None:
    run.judge()
    assert not run.passed
    assert list(run.problems) == [problem], run.examples
    assert "FAILED" in summary(run)


def test_what_the_checker_found_fails_it() -> None:
    run = report()
    run.verdict.passed, run.verdict.problems, run.verdict.examples = False, {"passed-over": 2}, ["passed-over: 3…4"]
    run.judge()
    assert (run.passed, run.problems) == (False, {"passed-over": 2})
    assert "passed-over: 3…4" in summary(run)


def test_a_short_run_says_its_tenths_and_does_not_judge_them() -> None:
    run = report(minutes=5, p99_last=300)
    run.judge()
    assert run.passed, run.examples
    assert (run.p99_ratio, run.p99_judged) == (3.0, False)


def test_every_tenth_has_the_same_changes_and_one_worker_has_none() -> None:
    plan = SoakPlan()
    steps = steps_of(plan, 3, "kill", "remove", "add", "swap", "rollout", "train")
    assert steps == steps_of(plan, 3, "kill", "remove", "add", "swap", "rollout", "train")
    assert [step.at_s for step in steps] == sorted(step.at_s for step in steps)
    parts = [
        [(round(step.at_s % 180.0, 1), step.kind, step.target) for step in steps if step.at_s // 180.0 == part]
        for part in range(PARTS)
    ]
    assert all(part == parts[0] for part in parts)
    assert {step.target for step in steps if step.kind in ("kill", "remove", "add")} == set(TOUCHED)
    assert all(step.as_swap().kind == step.target for step in steps if step.kind == "swap")


def test_the_picture_is_svg_with_every_process_and_change_in_it() -> None:
    run = report()
    run.series[0].process = "<w1>"
    run.judge()
    root = ElementTree.fromstring(drawn(run))  # noqa: S314 - our own
    words = " ".join(root.itertext())
    assert "<w1>" in words
    assert "kill w2" in words
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 4


def test_percentiles_by_tenth_are_those_of_the_time_in_which_requests_were_made() -> None:
    asked = np.arange(1_000, dtype=np.int64)
    tenths = by_tenth(asked, asked // 100)
    assert [tenth["p99"] for tenth in tenths] == list(range(10))
    assert by_tenth(asked[:0], asked[:0]) == []
    assert by_tenth(np.array([0, 999]), np.array([1, 2]))[1:9] == [{}] * 8


@pytest.mark.parametrize(
    ("argv", "role"),
    [
        (["/x/jdk/bin/java", "-Xmx1g", "kafka.Kafka"], "broker"),
        (["python", "-m", "hotswap_stream.cli", "worker", "--name", "w2", "--model", "m"], "w2"),
        (["python", "-m", "hotswap_stream.cli", "trainers"], "trainers"),
        (["python", "-m", "hotswap_stream.cli", "train", "taught"], None),
        (["python", "-m", "tests.torture.produce"], None),
        ([], None),
    ],
)
def test_processes_are_told_apart_by_their_commands(argv: list[str], role: str | None) -> None:
    assert role_of(argv) == role
