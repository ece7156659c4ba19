"""Alert policies as files, and rules as options: what is read, and what is said of what is wrong."""

from pathlib import Path

import msgspec
import pytest
import typer
from msgspec.structs import replace

from hotswap_events.alerts.events import AlertPolicy, AlertRule
from hotswap_stream.cli.alerts.files import alert_policy_of, changed_policy, parse_rule
from hotswap_stream.domain.alerts.limits import wrong_alert_policy
from hotswap_stream.domain.state.alerts import DEFAULT_ALERT_POLICY
from tests.support.checkout import ROOT

EXAMPLES = sorted((ROOT / "examples" / "alerts").iterdir())


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_every_example_is_a_policy_that_can_hold(file: Path) -> None:
    policy = alert_policy_of(file)
    assert len(policy.rules) > 1
    assert wrong_alert_policy(policy) is None


def test_a_file_may_be_json(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_bytes(msgspec.json.encode(DEFAULT_ALERT_POLICY))
    assert alert_policy_of(file) == DEFAULT_ALERT_POLICY


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rule = 1", "rule is unknown; there is rules"),
        ("[[rules]]\nname = 'a'\nmetric = 'lag'\nabove = 1\nabvoe = 2", "rules.0.abvoe is unknown"),
        ("[[rules]]\nmetric = 'lag'\nabove = 1", "missing required field `name`"),
        ("[[rules]]\nname = 'a'\nmetric = 'luck'\nabove = 1", "luck"),
        ("[[rules", "neither TOML nor"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(typer.BadParameter, match=words):
        alert_policy_of(file)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("latency-ms>50", AlertRule(name="latency-ms", metric="latency-ms", above=50.0)),
        ("error-rate > 6.5%", AlertRule(name="error-rate", metric="error-rate", above=0.065)),
        ("accuracy<90%", AlertRule(name="accuracy", metric="accuracy", below=0.9)),
        (
            "answers-per-second < 0.5,name=quiet",
            AlertRule(name="quiet", metric="answers-per-second", below=0.5),
        ),
        ("lag>20000,for_seconds=30", AlertRule(name="lag", metric="lag", above=20_000.0, for_seconds=30.0)),
        (
            "latency-ms>5e2, name=very-slow, quantile=0.99, answers_min=10, severity=critical",
            AlertRule(
                name="very-slow",
                metric="latency-ms",
                above=500.0,
                quantile=0.99,
                answers_min=10,
                severity="critical",
            ),
        ),
    ],
)
def test_a_rule_as_an_option(text: str, rule: AlertRule) -> None:
    assert parse_rule(text).rule == rule


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("error-rate", "mind the quotes"),
        ("error-rate>", "is not METRIC>NUMBER"),
        ("accuracy<", "is not METRIC>NUMBER or METRIC<NUMBER"),
        ("accuracy=90%", "is not METRIC>NUMBER or METRIC<NUMBER"),
        ("accuracy<>90%", "'>90%' is not a number"),
        ("latency>50", "'latency' is no metric; there is latency-ms, error-rate"),
        ("latency-ms>50%", "latency-ms is not in percent"),
        ("latency-ms>fast", "'fast' is not a number"),
        ("latency-ms>50,quantil=0.9", "settings are name, quantile"),
        ("latency-ms>50,quantile", "is not SETTING=VALUE"),
        ("latency-ms>50,quantile=most", "quantile is 'most'; it must be a number"),
        ("latency-ms>50,answers_min=2.5", "answers_min is '2.5'; it must be a whole number"),
        ("latency-ms>50,severity=deadly", "severity is 'deadly'; it must be warning or critical"),
        ("latency-ms>50,above=60", "settings are name"),
        ("latency-ms>50,name=Very slow", "name is 'Very slow'; it must be lower-case letters"),
    ],
)
def test_what_is_wrong_in_an_option_is_said(text: str, words: str) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        parse_rule(text)


def test_a_rule_of_that_name_keeps_what_is_not_named() -> None:
    former = AlertRule(name="error-rate", metric="error-rate", above=0.05, answers_min=500, severity="critical")
    policy = AlertPolicy(rules=(former, AlertRule(name="lag", metric="lag", above=1.0)))
    changed = changed_policy(policy, [parse_rule("error-rate>2%,for_seconds=10")], ())
    assert changed.rules == (replace(former, above=0.02, for_seconds=10.0), policy.rules[1])


def test_a_rule_may_turn_round() -> None:
    former = AlertRule(name="hit-rate", metric="hit-rate", above=0.9, answers_min=500)
    changed = changed_policy(AlertPolicy(rules=(former,)), [parse_rule("hit-rate<20%")], ())
    assert changed.rules == (AlertRule(name="hit-rate", metric="hit-rate", below=0.2, answers_min=500),)


def test_another_metric_under_that_name_is_a_new_rule() -> None:
    policy = AlertPolicy(rules=(AlertRule(name="bad", metric="error-rate", above=0.05, severity="critical"),))
    change = parse_rule("latency-ms>50,name=bad")
    assert changed_policy(policy, [change], ()).rules == (change.rule,)


def test_rules_are_added_and_removed() -> None:
    added = changed_policy(DEFAULT_ALERT_POLICY, [parse_rule("latency-ms>50")], ["lag"])
    assert [rule.name for rule in added.rules] == [
        "error-rate",
        "input-drift",
        "standstill",
        "silent-worker",
        "waiting-run",
        "split-series",
        "latency-ms",
    ]
    with pytest.raises(typer.BadParameter, match="no rule 'lagg'; there is error-rate, lag, input-drift"):
        changed_policy(DEFAULT_ALERT_POLICY, [], ["lagg"])
