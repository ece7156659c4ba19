"""`profile` and `drift` on the command line, on the real broker, and every command of the guide."""

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from confluent_kafka import Producer

from hotswap_events.inference.observation import Observation
from tests.support.checkout import ROOT
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.profiles import sketch_of
from tests.support.stages.command_line import Cli

GUIDE = ROOT / "docs" / "guides" / "drift.md"


def observed(kafka: str, topic_prefix: str, records: list[Observation]) -> None:
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    for record in records:
        producer.produce(f"{topic_prefix}.observations", msgspec.json.encode(record), b"digits")
    producer.flush(60)


def records_of(rows: "np.typing.NDArray[np.float32]", worker: str) -> list[Observation]:
    traffic = ObservedTraffic(worker=worker)
    traffic.now = datetime.now(UTC)
    sketches = {"input": sketch_of(rows.mean(axis=1).tolist()), "input.1": sketch_of(rows[:, 1].tolist())}
    return [traffic.record("v1", rows=len(rows), sketches=sketches)]


@pytest.mark.usefixtures("two_versions")
def test_a_version_trained_elsewhere_gets_a_profile_and_a_shift_is_seen(
    cli: Cli,
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
) -> None:
    assert "no profile to compare with" in cli("drift", "digits").stdout
    random = np.random.default_rng(1)
    file = tmp_path / "x.npy"
    np.save(file, random.normal(size=(2_000, 4)).astype(np.float32))
    result = json.loads(cli("profile", "digits", "v1", "--data", str(file), "--source", "a week", "--json").stdout)
    assert (result["status"], result["event_types"]) == ("accepted", ["hotswap.model.profiled.v1"])
    assert "profiled" in cli("profile", "digits", "v2", "--data", str(file)).stdout
    told = cli("events", "--model", "digits").stdout
    assert "profiled v1 of digits (2,000 rows of a week)" in told
    assert "(2,000 rows of x.npy)" in told
    assert "too few rows to tell" in cli("drift", "digits").stdout

    observed(kafka, topic_prefix, records_of(random.normal(size=(1_000, 4)).astype(np.float32), "w1"))
    report = json.loads(cli("drift", "digits", "--json").stdout)
    assert (report["verdict"], report["rows"], report["profile_source"]) == ("none", 1_000, "a week")
    higher = random.normal(size=(3_000, 4)).astype(np.float32)
    higher[:, 1] += 1
    observed(kafka, topic_prefix, records_of(higher, "w2"))
    drawn = tmp_path / "drift.svg"
    said = cli("drift", "digits", "--plot", str(drawn)).stdout
    assert "the live data have shifted" in said
    assert drawn.read_text(encoding="utf-8").startswith("<svg")
    by_name = {each["name"]: each for each in json.loads(cli("drift", "digits", "--json").stdout)["distributions"]}
    assert by_name["input.1"]["verdict"] == "shift"
    assert by_name["input.0"]["verdict"] == "too-few"
    long_ago = cli("drift", "digits", "--to", "2020-01-01T00:00:00Z").stdout
    assert "too few rows to tell" in long_ago


@pytest.mark.usefixtures("two_versions")
def test_wrong_usage_is_told(
    cli: Cli,
    tmp_path: Path,
) -> None:
    file = tmp_path / "x.npy"
    np.save(file, np.zeros((3, 7), np.float32))
    assert "[-1, 4] is needed" in cli("profile", "digits", "v1", "--data", str(file), code=1).stderr
    assert "has no version 'v9'" in cli("profile", "digits", "v9", "--data", str(file), code=3).stderr
    assert "there is no model 'nobody'" in cli("drift", "nobody", code=3).stderr
    assert "is no time" in cli("drift", "digits", "--from", "17", code=2).output
    past, later = "2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"
    assert f"{later} is not before {past}" in cli("drift", "digits", "--from", later, "--to", past, code=2).output
    assert "is not before now" in cli("drift", "digits", "--from", "2999-01-31T12:00:00Z", code=2).output
    assert "too close" in cli("drift", "digits", "--to", "0001-01-01T00:00:00Z", code=2).output
    nowhere = str(tmp_path / "no-folder" / "drift.svg")
    assert "cannot be written: No such file" in cli("drift", "digits", "--plot", nowhere, code=1).stderr.replace(
        "\n", ""
    )
    empty = tmp_path / "empty.npy"
    np.save(empty, np.zeros((0, 4), np.float32))
    assert "has no rows" in cli("profile", "digits", "v1", "--data", str(empty), code=1).stderr


def test_every_command_of_the_guide_runs(
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = re.findall(r"^    hotswap-stream (.*)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) >= 8
    monkeypatch.chdir(tmp_path)
    for command_line in shown:
        cli(*shlex.split(command_line))
    assert (tmp_path / "drift.svg").exists()
    assert "(1,259 rows of last week)" in cli("events", "--model", "digits").stdout
