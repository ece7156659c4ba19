"""The demo as a user runs it: its own broker, its own processes, its JSON."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from hotswap_stream.cli.demo.report import Act, DemoReport


async def played(tmp_path: Path, *options: str) -> DemoReport:
    """What it found, when it ended well and left nothing behind."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOTSWAP_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hotswap_stream.cli",
        "demo",
        *options,
        "--json",
        str(tmp_path / "demo.json"),
        "--keep",
        str(tmp_path / "home"),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    children = psutil.Process(process.pid)
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-6_000:]
    assert "Unclosed" not in output.decode()
    assert not children.is_running()
    leftovers = [
        other for other in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(other.info["cmdline"] or [])
    ]
    assert leftovers == []
    report = msgspec.json.decode((tmp_path / "demo.json").read_bytes(), type=DemoReport)
    assert (report.lost, report.duplicated, report.errors) == (0, 0, 0)
    assert (report.users, report.users_of_two_versions) == (200, 0)
    assert report.answers == report.requests > 500
    assert report.audit.endswith("chain verified")
    assert all(act.held for act in report.acts)
    return report


def assert_rollouts(shadow: Act, canary: Act, progressive: Act) -> None:
    """What all three must have been, each by its own figures and by the log's story."""
    assert shadow.figures["pairs"] >= 200
    assert 0.85 < shadow.figures["agreement"] <= 1.0
    assert shadow.figures["pairs_with_outputs"] > 0
    assert shadow.figures["answers_by_the_shadow"] == 0

    assert 0 < canary.figures["wrong"] <= canary.figures["answers"]
    assert canary.figures["wrong"] > canary.figures["answers"] / 2
    assert canary.figures["users"] < 100
    assert canary.figures["labels"] > 0
    assert "past validation" in canary.story[0]
    assert ["rollout-analysis: failed" in line for line in canary.story] == [False, False, True, False, False]
    assert "rollout-analysis: archive v" in canary.story[-1]

    assert progressive.figures["users_who_lost_it"] == 0
    weights = [line.split("v2 ")[-1] for line in progressive.story if "the users get" in line]
    assert weights == ["10 %", "50 %", "100 %"]
    told = [line.split("s  ", 1)[1] for line in progressive.story]
    assert [words for line in told for words in ("successful", "v2 into production", "kept") if words in line] == [
        "successful",
        "successful",
        "v2 into production",
        "successful",
        "kept",
    ]
    assert {line.split(":")[0] for line in told[3:]} == {"rollout-analysis"}


def assert_published(act: Act) -> None:
    """A model of scikit-learn, asked while another version took over."""
    assert act.figures["answers_by_v1"] > 0
    assert act.figures["answers_by_v2"] >= 8
    assert act.figures["answers_unlike_the_estimator"] == 0
    assert act.figures["accuracy_of_v2"] > 0.9


@pytest.mark.executed
@pytest.mark.timeout(600)
async def test_the_demo_loses_nothing_and_plays_all_acts(tmp_path: Path) -> None:
    """What a part plays alone is in the unit tests. Half the usual requests: most of them come while it trains."""
    report = await played(tmp_path, "--rate", "50")
    assert len(report.acts) == 9
    assert_rollouts(*report.acts[5:8])
    assert_published(report.acts[8])
    assert set(report.accuracy) == {"v1", "v2", "v5"}
    assert min(report.accuracy["v1"], report.accuracy["v2"]) > 0.9
    assert report.accuracy["v5"] < 0.5
    assert len(report.promotion_to_first_answer_ms) == 4
