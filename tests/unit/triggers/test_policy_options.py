"""Training policies of files and of options."""

from pathlib import Path
from typing import Any

import pytest
import typer
from msgspec.structs import replace

from hotswap_events.training.policy import DataTrigger, DriftTrigger, QualityTrigger, ScheduleTrigger, TrainingPolicy
from hotswap_stream.cli.triggers.policy_options import changed, parameters_of, policy_of_file
from hotswap_stream.domain.triggers.limits import wrong_training_policy
from tests.support.checkout import ROOT
from tests.support.samples.triggers import EVERYTHING

EXAMPLE = ROOT / "examples" / "triggers" / "weekly.toml"


def test_the_example_is_a_policy() -> None:
    policy = policy_of_file(EXAMPLE)
    assert wrong_training_policy(policy) is None
    assert policy.schedule == ScheduleTrigger(cron="0 3 * * 1", timezone="Europe/Berlin")
    assert policy.freeze[0].days == ("fri", "sat")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('after = "shadow"', "trainer"),
        ('trainer = "t"\ncommand = "rm"', "command is unknown"),
        ('trainer = "t"\n[drift]\nlimit = 2', "limit"),
        ('trainer = "t"\n[drift]\nlimit = 0.1\nmetrik = "x"', "metrik"),
        ('trainer = "t"\n[data]\nrows = 10.5', "rows"),
        ("trainer =", "neither TOML"),
    ],
)
def test_what_no_file_can_be(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(typer.BadParameter, match=words):
        policy_of_file(file)


def test_options_change_what_they_name() -> None:
    policy = changed(None, {"trainer": "als", "cron": "0 3 * * 1", "drift": None})
    assert policy == TrainingPolicy(trainer="als", schedule=ScheduleTrigger(cron="0 3 * * 1"))
    more = changed(
        policy, {"timezone": "Europe/Berlin", "drift": 0.2, "quality": "ndcg:0.1", "rows": 5, "cooldown": 9.0}
    )
    assert more == replace(
        policy,
        schedule=ScheduleTrigger(cron="0 3 * * 1", timezone="Europe/Berlin"),
        drift=DriftTrigger(limit=0.2),
        quality=QualityTrigger(metric="ndcg", drop=0.1),
        data=DataTrigger(rows=5),
        cooldown_seconds=9.0,
    )
    assert changed(more, {"datasets": ["july"]}).datasets == ("july",)
    assert changed(more, {"files": True}).data == DataTrigger(rows=5, files=True)
    assert changed(EVERYTHING, {}) == EVERYTHING


@pytest.mark.parametrize(
    "options",
    [
        {"cron": "0 3 * * 1"},
        {"trainer": "t", "timezone": "UTC"},
        {"trainer": "t", "quality": "accuracy"},
        {"trainer": "t", "quality": "beauty:0.1"},
        {"trainer": "t", "after": "party"},
        {"trainer": "t", "drift": 7.0},
    ],
)
def test_what_no_options_can_be(options: dict[str, Any]) -> None:
    with pytest.raises(typer.BadParameter):
        changed(None, options)


def test_parameters_are_numbers_truths_or_text() -> None:
    read = parameters_of(["a=1", "b=0.5", "c=true", "d=null", "e=x=y", "f=[1]", "g="])
    assert read == {"a": 1, "b": 0.5, "c": True, "d": None, "e": "x=y", "f": "[1]", "g": ""}
    assert parameters_of(None) is None
    with pytest.raises(typer.BadParameter):
        parameters_of(["no"])
