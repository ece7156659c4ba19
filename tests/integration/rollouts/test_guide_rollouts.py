"""The guide to rollouts, line by line on the real broker: every command it shows does what it is shown for."""

import re
import shlex
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from hotswap_stream.cli.app import build_app
from tests.support.checkout import ROOT
from tests.support.samples.artifacts import linear_artifact

GUIDE = ROOT / "docs" / "guides" / "rollouts.md"

_COMMAND = re.compile(r"^    hotswap-stream (.*)$", re.MULTILINE)


def test_every_command_of_the_guide_runs(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    runner, told = CliRunner(), dict[str, str]()
    environment = {
        "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "HOTSWAP_TOPIC_PREFIX": topic_prefix,
        "HOTSWAP_HOME": str(tmp_path / "home"),
        "HOTSWAP_REQUEST_PARTITIONS": "1",
    }

    def run(command_line: str) -> None:
        result = runner.invoke(build_app(), shlex.split(command_line), env=environment)
        assert result.exit_code == 0, (command_line, result.output, result.exception)
        told[command_line] = result.output

    for seed in (1, 2):
        file = tmp_path / f"{seed}.safetensors"
        file.write_bytes(linear_artifact(seed=seed))
        run(f"register digits {file}")
    run("validate digits v1 --accuracy 0.9 --promote-first")
    run("validate digits v2 --accuracy 0.91 --baseline-accuracy 0.9")
    shown = _COMMAND.findall(GUIDE.read_text(encoding="utf-8"))
    assert len(shown) > 17
    for command_line in shown:
        run(command_line)
    run("events --model digits --last 100")
    structlog.reset_defaults()

    story = told["events --model digits --last 100"]
    for words in (
        "set the validation policy of digits: pass_margin 0.02",
        "v2 against v1, shadow of 25 % of the requests: first look",
        "to shadow of 100 % of the requests",
        "to canary at 5 %",
        "v1 75 %, v2 25 %",
        "A/B test of v1 50 %, v2 50 %",
        "fleet canary on worker-1",
        "fixed on v1",
        "paused rollout r1 of digits (operator): over lunch",
        "promoted v2 of digits, in place of v1: convinced",
        "rolled digits back from v2 to v1 (rollout): complaints from the field",
    ):
        assert words in story, (words, story)
    assert "was in production" in told["cleanup digits --keep 3"]


def test_each_strategy_is_explained_with_a_command() -> None:
    strategies = GUIDE.read_text(encoding="utf-8").split("## Strategies")[1].split("\n## ")[0]
    sections = dict(section.split("\n", 1) for section in strategies.split("\n### ")[1:])
    assert set(sections) == {"Shadow", "Canary", "A/B test", "A part of the fleet", "Fixed", "Progressive"}
    for name, text in sections.items():
        assert _COMMAND.search(text), name
