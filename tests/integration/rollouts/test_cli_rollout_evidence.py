"""`rollout report` and `rollout backtest`, on observations in the real broker's topics."""

import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import structlog
from confluent_kafka import Producer
from typer.testing import CliRunner

from hotswap_stream.cli.app import build_app
from tests.support.checkout import ROOT
from tests.support.samples.observations import ObservedTraffic
from tests.support.stages.command_line import Cli

GUIDE = ROOT / "docs" / "guides" / "rollouts-by-evidence.md"

LENIENT = """
[policy]
metrics = [{ metric = "success-rate", margin = 0.5 }]
promote_on_operational = true
answers_min = 400
"""


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("two_versions")
def test_what_was_observed_is_reported_and_tried_again(
    cli: Cli,
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
) -> None:
    cli("rollout", "start", "digits", "v2", "--canary", "5%")
    rollout = json.loads(cli("rollout", "show", "digits", "--json").stdout)["rollout"]
    traffic = ObservedTraffic()
    traffic.now = msgspec.convert(rollout["started_at"], type(traffic.now)) + timedelta(seconds=1)
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    for _second in range(60):
        for record in traffic.second({"v1": 0.99, "v2": 0.8}, {"v1": 9_500, "v2": 500}):
            producer.produce(f"{topic_prefix}.observations", msgspec.json.encode(record), b"digits")
    producer.flush(60)

    report = json.loads(cli("rollout", "report", "digits", "--json").stdout)
    assert [(arm["arm"], arm["requests"]) for arm in report["arms"]] == [("baseline", 22_800), ("candidate", 1_200)]
    assert report["advice"] == "roll back"
    drawn = tmp_path / "report.svg"
    said = cli("rollout", "report", "digits", "--rollout", "r1", "--plot", str(drawn)).stdout
    assert "roll back: success-rate of v2 is shown to be worse" in said
    assert drawn.read_text(encoding="utf-8").startswith("<svg")
    assert "there is r1" in cli("rollout", "report", "digits", "--rollout", "r7", code=3).output

    lenient = tmp_path / "lenient.toml"
    lenient.write_text(LENIENT)
    [tried] = json.loads(cli("rollout", "backtest", "digits", "--policy", str(lenient), "--json").stdout)
    assert (tried["actual"]["outcome"], tried["trial"]["outcome"]) == ("undecided", "promoted")
    assert tried["trial"]["cost"]["requests"] == 400
    assert tried["actual"]["cost"]["requests"] == 1_200
    since = ("--from", "2020-01-01T00:00:00Z", "-o", "wide")
    assert "v2 in production" in cli("rollout", "backtest", "digits", "--policy", str(lenient), *since).stdout
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("metrics = [{ metric = 'latency', margin = 0.5 }]")
    assert "needs slow_ms" in cli("rollout", "backtest", "digits", "--policy", str(wrong), code=2).output
    assert "began in that time" in cli(
        "rollout", "backtest", "digits", "--policy", str(lenient), "--to", "2020-01-01T00:00:00Z", code=3
    ).output  # fmt: skip


@pytest.mark.usefixtures("two_versions")
def test_every_command_of_the_guide_runs(
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = re.findall(r"^    hotswap-stream (.*)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) >= 6
    cli("rollout", "start", "digits", "v2", "--canary", "5%")
    monkeypatch.chdir(ROOT)
    for command_line in shown:
        cli(*shlex.split(command_line.replace("report.svg", str(tmp_path / "report.svg"))))
    assert (tmp_path / "report.svg").exists()


def test_the_group_has_both_commands() -> None:
    said = CliRunner().invoke(build_app(), ["rollout", "--help"]).output
    assert "backtest" in said
    assert "report" in said
