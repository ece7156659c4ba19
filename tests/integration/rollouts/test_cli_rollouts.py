"""Rollouts, the validation policy and the clean-up on the command line, on the real broker."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.stages.command_line import Cli, read_json

STRATEGY = """
[strategy]
kind = "progressive"
steps = [
  { step = "set_weight", weight = 500 },
  { step = "analysis", duration_seconds = 600, metrics = ["latency"] },
  { step = "set_weight", weight = 5_000 },
  { step = "pause" },
]

[policy]
alpha = 0.01
bake_seconds = 300
metrics = [
  { metric = "success-rate", margin = 0.01 },
  { metric = "latency", threshold = 0.05, slow_ms = 50.0 },
]
"""


def shares(report: dict[str, Any]) -> dict[str, int]:
    return {arm["model_version"]: arm["weight"] for arm in report["traffic"]["arms"]}


@pytest.mark.usefixtures("two_versions")
def test_a_strategy_file_from_start_to_promotion_and_back(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "careful.toml"
    file.write_text(STRATEGY)
    started = read_json(cli("rollout", "start", "digits", "v2", "--file", str(file), "--reason", "faster", "--json"))
    assert (started["status"], started["rollout_id"]) == ("accepted", "r1")
    report = read_json(cli("rollout", "show", "digits", "--json"))
    assert shares(report) == {"v1": 9_500, "v2": 500}
    assert (report["rollout"]["policy"]["alpha"], report["rollout"]["policy"]["answers_min"]) == (0.01, 100)
    shown = cli("rollout", "show", "digits").stdout
    assert "progressive: 5 %, analysis of latency, 50 %, pause until resumed" in shown
    assert "v2 5 %" in " ".join(shown.split())
    assert "advance, pause, promote, abort, set-strategy" in shown

    assert "digits r1: running" in cli("rollout", "status", "digits").stdout
    over = cli("rollout", "status", "digits", "--watch", "--timeout", "0", "-o", "jsonl", code=124)
    assert json.loads(over.stdout)["standing"] == "moves"
    late = cli("rollout", "advance", "digits", "--step", "0", code=3)
    assert "refused (conflict)" in late.stderr
    assert "digits: paused" in cli("rollout", "pause", "digits").output
    waiting = cli("rollout", "status", "digits", "--watch", code=6)
    assert "try: hotswap-stream rollout resume digits" in waiting.stderr
    cli("rollout", "resume", "digits")
    assert "step-entered, weights-set, step-entered" in cli("rollout", "advance", "digits", "--step", "1").output
    assert shares(read_json(cli("rollout", "show", "digits", "--json"))) == {"v1": 5_000, "v2": 5_000}
    promoted = cli("rollout", "advance", "digits", "--rollout", "r1", "--reason", "looks good")
    assert "digits v2: completed, promoted, before: v1" in promoted.output
    assert read_json(cli("rollout", "show", "digits", "--json"))["rollout"]["status"] == "baking"
    assert "digits v1: bake-ended, rolled-back, before: v2" in cli("rollout", "abort", "digits").output
    assert "rolled-back" in cli("rollout", "status", "digits", "-w", code=5).stdout
    assert "unknown-rollout" in cli("rollout", "status", "digits", "--rollout", "r9", code=3).stderr
    (ended,) = read_json(cli("rollout", "list", "digits", "--json"))["rollouts"]
    assert (ended["rollout_id"], ended["status"]) == ("r1", "rolled-back")
    assert "rolled-back" in cli("rollout", "list", "digits").stdout
    told = cli("events", "--model", "digits").stdout
    assert "ended rollout r1 of digits: promoted, v2; it bakes for 300 s: looks good" in told


@pytest.mark.usefixtures("two_versions")
def test_every_strategy_as_options(cli: Cli) -> None:
    cli("rollout", "start", "digits", "v2", "--shadow", "25%")
    rows = [line.split() for line in cli("rollout", "show", "digits").stdout.splitlines()]
    assert ["v2", "25", "%", "shadows"] in rows
    assert [row for row in rows if row[-1:] == ["answers"]] == [["v1", "100", "%", "answers"]]
    for options, split in (
        (("--canary", "12.5%"), {"v1": 8_750, "v2": 1_250}),
        (("--fixed", "v2"), {"v1": 0, "v2": 10_000}),
        (("--ab", "v1=3000", "--ab", "v2=70%"), {"v1": 3_000, "v2": 7_000}),
        (("--fleet", "50%", "--fleet-worker", "worker-1"), {"v1": 10_000, "v2": 0}),
        (("--steps", "5%,analysis:60,pause"), {"v1": 9_500, "v2": 500}),
    ):
        cli("rollout", "set-strategy", "digits", *options)
        assert shares(read_json(cli("rollout", "show", "digits", "--json"))) == split, options
    cli("rollout", "abort", "digits", "--no-archive")
    cli("rollout", "start", "digits", "v2", "--canary", "500", "--no-auto-promote", "--bake-seconds", "60")
    assert "completed, promoted" in cli("rollout", "promote", "digits", "v2").output
    kept = cli("rollout", "promote", "digits")
    assert "bake-ended" in kept.output
    assert "v2 serves" in cli("rollout", "status", "digits", "--watch", code=0).stdout
    assert "no rollout of digits goes on" in cli("rollout", "show", "digits").stdout


@pytest.mark.usefixtures("two_versions")
def test_what_is_no_strategy_is_told(cli: Cli, tmp_path: Path) -> None:
    for options, words in (
        ((), "name one strategy"),
        (("--canary", "5%", "--shadow", "5%"), "2 were given"),
        (("--canary", "5 percent"), "not a share"),
        (("--canary", "101%"), "0% to 100%"),
        (("--steps", "5%,pause:soon"), "whole seconds"),
        (("--ab", "v1"), "VERSION=SHARE"),
    ):
        assert words in " ".join(cli("rollout", "start", "digits", "v2", *options, code=2).stderr.split())
    for text, words in (
        ("[strategy", "neither TOML nor"),
        ("[strategy]\nkind = 'canary'\nweight = 500\nwait = 3", "wait is unknown"),
        ("[stratgy]\nkind = 'canary'", "stratgy is unknown"),
        ("[strategy]\nkind = 'canary'\nweight = 20_000", "<= 10000"),
        ("[strategy]\nkind = 'canary'\nweight = 500\n[policy]\nmetrics = [{metric = 'speed'}]", "speed"),
    ):
        file = tmp_path / "wrong.toml"
        file.write_text(text)
        told = cli("rollout", "start", "digits", "v2", "--file", str(file), code=2).stderr
        assert words in " ".join(told.replace("│", " ").split()), text
    assert "illegal-step" in cli("rollout", "pause", "digits", code=3).stderr
    assert "there is digits" in cli("rollout", "show", "faces", code=3).stderr


@pytest.mark.usefixtures("two_versions")
def test_the_gates_of_a_model(cli: Cli, tmp_path: Path) -> None:
    assert "the default" in cli("validation-policy", "show", "digits").stdout
    file = tmp_path / "gates.json"
    file.write_text(json.dumps({"gates": [{"figure": "macro_f1", "threshold": 0.8}]}))
    assert "validation-policy-set" in cli("validation-policy", "set", "digits", str(file)).output
    assert "macro_f1" in cli("validation-policy", "show", "digits").stdout
    refused = cli("validate", "digits", "v2", "--accuracy", "0.9", "--baseline-accuracy", "0.9", code=3)
    assert "figures need 'macro_f1'" in refused.stderr
    figures = ("--accuracy", "0.95", "--figure", "macro_f1=0.7", "--baseline-accuracy", "0.9")
    assert "validated, archived" in cli("validate", "digits", "v2", *figures).output


@pytest.mark.usefixtures("two_versions")
def test_a_clean_up_says_what_it_would_do_and_does_it(cli: Cli, tmp_path: Path) -> None:
    planned = cli("cleanup", "digits", "--keep", "0")
    assert "1 would be deleted" in planned.output
    store = tmp_path / "home" / "artifacts"
    assert len(list(store.rglob("*.safetensors"))) == 2
    # As if they had been put there, and registered, two hours ago: what is younger stays.
    for path in (path for path in store.rglob("*") if path.is_file()):
        os.utime(path, (time.time() - 7_200, time.time() - 7_200))
    (done,) = read_json(cli("cleanup", "--keep", "0", "--apply", "--json"))
    assert [entry["model_version"] for entry in done["deleted"]] == ["v2"]
    assert [entry["kept_because"] for entry in done["kept"]] == ["in production"]
    assert len(list(store.rglob("*.safetensors"))) == 1
    assert "lost its artifact" in cli("switch", "digits", "v2", code=3).stderr
    assert "gave up the artifact of v2" in cli("events", "--type", "artifact-deleted").stdout
    assert "there is digits" in cli("cleanup", "faces", "--keep", "1", code=3).stderr
