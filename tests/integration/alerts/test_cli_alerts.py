"""Alerts and what raises them on the command line, on the real broker; the guide to them line by line."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from hotswap_events.alerts.events import AlertRule
from hotswap_stream.cli.terminal.running import on_registry, run
from tests.support.checkout import ROOT
from tests.support.samples.alerts import raise_alert
from tests.support.stages.command_line import Cli

GUIDE = ROOT / "docs" / "guides" / "alerts.md"

_COMMAND = re.compile(r"^    hotswap-stream (.*)$", re.MULTILINE)

DEFAULT = ["error-rate", "lag", "input-drift", "standstill", "silent-worker", "waiting-run", "split-series"]


@pytest.fixture(autouse=True)
def _in_the_checkout(variables: dict[str, str], one_version: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is in production; what the guide names is found, also by what is no command."""
    monkeypatch.chdir(ROOT)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def raised(rule: AlertRule, value: float, **fields: Any) -> None:
    """As the control agents would, when they had seen it."""
    command = raise_alert(rule, value, command_id=f"raise-{rule.name}-{value}", **fields)
    assert run(on_registry(lambda registry: registry.handle(command))).status == "accepted"


def rules_in_force(cli: Cli) -> dict[str, dict[str, Any]]:
    report = json.loads(cli("alert-policy", "show", "digits", "--json").stdout)
    return {rule["name"]: rule for rule in report["policy"]["rules"]}


def test_every_command_of_the_guide_runs(cli: Cli) -> None:
    """Up to the webhooks: those have a test of their own, with somebody who takes them."""
    shown = _COMMAND.findall(GUIDE.read_text(encoding="utf-8").partition("\n## Webhooks\n")[0])
    assert len(shown) > 10
    told: dict[str, str] = {}
    for command_line in shown:
        if command_line == "alerts list":
            slow = AlertRule(name="latency-ms", metric="latency-ms", above=50.0)
            raised(slow, 64.0, count=1_500, figures={"p50": 12.0}, model_version="v1")
            assert "latency-ms (warning)" in cli("models", "show", "digits").stdout
            assert json.loads(cli("models", "--json").stdout)[0]["alerts_raised"] == 1
        told[command_line] = cli(*shlex.split(command_line)).stdout
    assert "latency-ms p95 64 ms is above 50 ms" in told["alerts list"]
    assert json.loads(told["alerts list --model digits --severity critical --json"])["alerts"] == []
    assert "no alert is raised" in told["alerts list --model digits --as-of 3"]
    story = told["events --model digits"]
    assert "raised the warning alert latency-ms of digits: latency-ms p95 64 ms is above 50 ms" in story
    assert "set the alert policy of digits: error-rate (critical): error-rate above 2 %" in story
    assert "cleared the alert latency-ms of digits (by hand): a backup ran" in cli("events", "--model", "digits").stdout
    (ended,) = json.loads(cli("alerts", "list", "--ended", "--json").stdout)["alerts"]
    assert (ended["status"], ended["rule"]["name"]) == ("ended", "latency-ms")
    assert "operator" in cli("alerts", "list", "--ended").stdout


def test_a_rule_is_added_changed_and_removed(cli: Cli) -> None:
    assert "the default holds" in cli("alert-policy", "show", "digits").stdout
    cli("alert-policy", "set", "digits", "--rule", "error-rate>2%", "--rule", "latency-ms>50,for_seconds=10")
    rules = rules_in_force(cli)
    assert list(rules) == [
        "error-rate",
        "lag",
        "input-drift",
        "standstill",
        "silent-worker",
        "waiting-run",
        "split-series",
        "latency-ms",
    ]
    assert (rules["error-rate"]["above"], rules["error-rate"]["severity"]) == (0.02, "critical")
    assert rules["latency-ms"]["for_seconds"] == 10.0
    cli(
        "alert-policy",
        "set",
        "digits",
        "--remove",
        "lag",
        "--remove",
        "input-drift",
        "--remove",
        "standstill",
        "--remove",
        "silent-worker",
        "--remove",
        "waiting-run",
        "--remove",
        "split-series",
    )
    assert list(rules_in_force(cli)) == ["error-rate", "latency-ms"]
    assert "unchanged" in cli("alert-policy", "set", "digits", "--rule", "error-rate>2%").stdout
    cli("alert-policy", "set", "digits", "--default")
    assert list(rules_in_force(cli)) == [
        "error-rate",
        "lag",
        "input-drift",
        "standstill",
        "silent-worker",
        "waiting-run",
        "split-series",
    ]


def test_what_is_wrong_is_said(cli: Cli, tmp_path: Path) -> None:
    assert "say what to watch" in cli("alert-policy", "set", "digits", code=2).output
    assert "no rule 'slow'" in cli("alert-policy", "set", "digits", "--remove", "slow", code=2).output
    assert "a share from 0 to 1" in cli("alert-policy", "set", "digits", "--rule", "error-rate>2", code=3).output
    file = tmp_path / "policy.toml"
    file.write_text("[[rules]]\nname = 'a'\nmetric = 'lag'\nabove = 1\nwindow = 2\n")
    assert "rules.0.window is unknown" in cli("alert-policy", "set", "digits", "--file", str(file), code=2).output
    assert "exclude each other" in cli("alert-policy", "set", "digits", "-f", str(file), "--default", code=2).output
    assert "it has error-rate, lag" in cli("alerts", "clear", "digits", "slow", code=3).output
    assert "unchanged" in cli("alerts", "clear", "digits", "lag").stdout
    for arguments in (("alerts", "list", "--model", "nobody"), ("alert-policy", "show", "nobody")):
        assert "there is digits" in cli(*arguments, code=3).output
    cli("alert-policy", "set", "nobody", "--rule", "lag>5", code=3)
