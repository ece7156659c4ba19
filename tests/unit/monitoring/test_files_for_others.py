"""The files in `deploy/`: as they are generated, about metrics that exist, and each rule made to fire."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from hotswap_stream.cli.app import build_app
from hotswap_stream.observability.metrics import catalogue
from tests.support.processes.prometheus import program
from tools.dashboards import DASHBOARDS, FOLDER, document, text_of

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
RULE_TESTS = RULES.with_name("rules_test.yml")

_SUFFIXES = ("", "_bucket", "_sum", "_count")


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def known_names() -> set[str]:
    return {
        f"{spec.name}{suffix}" for spec in catalogue() for suffix in (_SUFFIXES if spec.kind == "histogram" else ("",))
    } | {"up"}


def unknown_in(query: str) -> set[str]:
    """Return names of metrics in a query that nothing shows."""
    without_strings = re.sub(r'"[^"]*"', '""', query)
    named = set(re.findall(r"\b((?:hotswap|process|model|request)_\w+)\b(?=\{|\)|\[| |$)", without_strings))
    return named - known_names() - {"model_name", "model_version"}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.name)
def test_dashboards_are_as_they_are_generated(dashboard: Any) -> None:
    path = FOLDER / f"{dashboard.name}.json"
    assert path.read_text(encoding="utf-8") == text_of(dashboard), "run: python -m tools.dashboards"
    assert {each.name for each in FOLDER.iterdir()} == {f"{each.name}.json" for each in DASHBOARDS}
    assert json.loads(path.read_text(encoding="utf-8")) == document(dashboard)
    for panel in dashboard.panels:
        for query, _legend in panel.queries:
            assert not unknown_in(query), query


def test_rules_name_metrics_and_commands_that_there_are() -> None:
    commands = get_command(build_app()).commands  # type: ignore[attr-defined]
    for rule in rules():
        assert not unknown_in(rule["expr"]), rule
        _program, name, *_rest = rule["annotations"]["command"].split()
        assert name in commands, rule


def test_prometheus_takes_the_rules_and_its_configuration() -> None:
    promtool = program("promtool")
    for what in (("rules", RULES), ("config", RULES.with_name("prometheus.yml"))):
        done = subprocess.run(
            [promtool, "check", *map(str, what)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_fires_when_it_should() -> None:
    tried = {
        each["alertname"]
        for test in yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]
        for each in test["alert_rule_test"]
        if each["exp_alerts"]
    }
    assert tried == {rule["alert"] for rule in rules()}
    promtool = program("promtool")
    done = subprocess.run(
        [promtool, "test", "rules", str(RULE_TESTS)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
