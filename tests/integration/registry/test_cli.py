"""The command line on the real broker: what it answers, and how it says no."""

import json
import pickle
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from hotswap_stream.adapters.models.openvino import has_bf16
from hotswap_stream.cli.app import build_app
from tests.support.samples.artifacts import linear_artifact
from tests.support.samples.graphs import linear
from tests.support.stages.command_line import Cli, read_json
from tests.support.stages.windows import mean_artifact


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    file.write_bytes(linear_artifact())
    return file


def test_a_version_from_its_file_to_production_and_back(cli: Cli, artifact: Path) -> None:
    registered = read_json(
        cli(
            "register", "digits", str(artifact), "--metric", "accuracy=0.75", "--tag", "team=vision",
            "--code-revision", "207521e0", "--actor", "alice", "--reason", "trained elsewhere", "--json",
        )
    )  # fmt: skip
    assert (registered["status"], registered["model_version"], registered["offset"]) == ("accepted", "v1", 1)
    validated = cli("validate", "digits", "v1", "--accuracy", "0.9", "--promote-first")
    assert "digits v1: validated, promoted" in validated.output
    versions = read_json(cli("versions", "digits", "--json"))
    digest = versions[0]["artifact"]["digest"]
    assert versions[0]["provenance"] == {"origin": "imported", "created_by": "alice", "code_revision": "207521e0"}

    cli("register", "digits", "--digest", digest, "--metric", "accuracy=0.5", "--version", "second")
    refused = cli("promote", "digits", "second", code=3)
    assert "refused (illegal-step)" in refused.stderr
    assert "legal: validate, stage, switch, archive" in refused.stderr
    cli("validate", "digits", "second", "--accuracy", "0.88", "--baseline-accuracy", "0.9")
    switched = cli("promote", "digits", "second", "--reason", "better")
    assert "digits second: promoted, before: v1" in switched.output

    comparison = read_json(cli("compare", "digits", "v1", "second", "--json"))
    assert comparison["metrics"] == [{"name": "accuracy", "left": 0.75, "right": 0.5, "difference": -0.25}]
    assert comparison["same_artifact"] is True
    assert "accuracy" in cli("compare", "digits", "v1", "second").output

    back = read_json(cli("rollback", "digits", "--emergency", "--from", "second", "--json"))
    assert (back["model_version"], back["previous_version"]) == ("v1", "second")
    assert "unchanged: digits v1" in cli("reload", "digits").output
    assert cli("switch", "digits", "second", "--expected-sequence", "1", code=3).stderr.startswith("refused (sequence")
    cli("switch", "digits", "second", "--command-id", "once")
    cli("switch", "digits", "v1", "--command-id", "twice")
    assert read_json(cli("switch", "digits", "second", "--command-id", "once", "--json"))["status"] == "unchanged"

    seen = cli("status")
    assert "1 models · 0 answers/s" in seen.stdout
    assert "no worker answers its requests" in seen.stdout
    assert "no-such-request" in cli("why", "no-such-request", code=1).stderr

    (model,) = read_json(cli("models", "--json"))
    assert (model["model_name"], model["active_version"], model["former_version"]) == ("digits", "v1", "second")
    assert read_json(cli("models", "--stage", "staging", "--json")) == []
    before = read_json(cli("models", "show", "digits", "--as-of", "3", "--json"))
    assert (before["active_version"], before["versions_total"]) == ("v1", 1)
    assert "a rollback goes to" in cli("models", "show", "digits").output
    assert cli("models", "--as-of", "2001-01-01T00:00:00Z", "--json").stdout.strip() == "[]"

    lines = [json.loads(line) for line in cli("events", "--json").stdout.splitlines()]
    assert [entry["offset"] for entry in lines] == list(range(len(lines)))
    assert lines[0]["event"]["type"] == "hotswap.log.begun.v1"
    assert (lines[1]["event"]["actor"], lines[1]["event"]["reason"]) == ("alice", "trained elsewhere")
    rolled_back = cli("events", "--type", "rolled-back").stdout.splitlines()
    assert len(rolled_back) == 1
    assert "rolled digits back from second to v1 (emergency)" in rolled_back[0]
    newest = [json.loads(line)["offset"] for line in cli("events", "--last", "2", "--json").stdout.splitlines()]
    assert newest == [line["offset"] for line in lines[-2:]]
    # The newest of those asked for, wherever in the log they are, also from an offset on.
    assert cli("events", "--type", "rolled-back", "--last", "1").stdout.splitlines() == rolled_back[-1:]
    from_start = cli("events", "--from-offset", "0", "--last", "2", "--json").stdout.splitlines()
    assert [json.loads(line)["offset"] for line in from_start] == newest
    assert "did you mean rolled-back" in cli("events", "--type", "rolled-bak", code=2).stderr


def test_tags_and_aliases_are_noted_and_shown(cli: Cli) -> None:
    assert "accepted" in cli("tag", "letters", "team=post", "--reason", "to come", "--json").output
    assert cli("tag", "letters", "old=1", "--version", "v1", code=3).stderr.startswith("refused (unknown-version)")
    cli("tag", "letters", "place=here", "--remove", "team")
    assert "place=here" in cli("models", "show", "letters").output
    assert cli("alias", "letters", "blue", "v1", code=3).stderr.startswith("refused (unknown-version)")
    assert "unchanged" in cli("alias", "letters", "blue", "--remove").output
    assert "VERSION" in cli("alias", "letters", "blue", code=2).output


def test_a_graph_of_any_framework_is_tried_registered_and_listed(cli: Cli, tmp_path: Path) -> None:
    graph = tmp_path / "mine.onnx"
    graph.write_bytes(linear())
    registered = cli("register", "mine", str(graph), "--metric", "accuracy=0.9", "--label", "no", "--label", "yes")
    assert "takes x FP32 [free, 4]" in registered.output
    assert "returns y FP32 [free, 2]" in registered.output
    assert "tried with onnx" in registered.output
    (version,) = read_json(cli("versions", "mine", "--json"))
    assert version["trial"]["executor"].startswith("onnx")
    assert version["trial"]["warm_ms"] > 0

    # By its digest it is what it was; the figures of its trial come along.
    cli("register", "mine", "--digest", version["artifact"]["digest"])
    again = read_json(cli("versions", "mine", "--json"))
    assert [found["trial"] for found in again] == [version["trial"]] * 2

    # The same file in lower precision is another version; it was tried with what computes it.
    if has_bf16():
        cli("register", "mine", str(graph), "--label", "no", "--label", "yes", "--precision", "bf16")
        lower = read_json(cli("versions", "mine", "--json"))[0]
        assert (lower["options"], lower["artifact"]) == ({"precision": "bf16"}, version["artifact"])
        assert lower["trial"]["executor"] == "openvino"
    refused = cli("register", "mine", str(graph), "--executor", "onnxruntime", "--precision", "bf16", code=3)
    assert "does not compute with bf16" in refused.output

    disguised = tmp_path / "disguised.onnx"
    disguised.write_bytes(pickle.dumps({"weights": [1.0]}))
    assert "never opened" in cli("register", "mine", str(disguised), code=1).stderr
    wide = cli("register", "mine", str(graph), "--label", "only", code=1).stderr
    assert "1 labels for output 'y' of shape [-1, 2]" in wide
    assert len(read_json(cli("versions", "mine", "--json"))) == 2 + has_bf16()


def test_wrong_names_list_the_right_ones(cli: Cli, artifact: Path) -> None:
    assert "there is none yet" in cli("models", "show", "faces", code=3).stderr
    cli("register", "digits", str(artifact))
    assert "digits" in cli("models", "show", "faces", code=3).stderr
    unknown = cli("versions", "faces", "--json", code=3)
    assert read_json(unknown)["legal"] == ["digits"]
    refused = cli("stage", "digits", "v7", "--json", code=3)
    assert read_json(refused)["refusal"]["legal"] == ["v1"]
    assert read_json(refused)["refusal"]["code"] == "unknown-version"
    missing = cli("register", "digits", "--digest", f"sha256:{'0' * 64}", code=3)
    assert "put it there first" in missing.stderr


def test_two_environments_side_by_side(cli: Cli, variables: dict[str, str], artifact: Path) -> None:
    other = f"{variables['HOTSWAP_TOPIC_PREFIX'][:50]}-other"
    cli("register", "digits", str(artifact))
    assert read_json(cli("models", "--json", HOTSWAP_TOPIC_PREFIX=other)) == []
    topics = read_json(cli("topics", "--json"))
    names = [topic["name"].removeprefix(variables["HOTSWAP_TOPIC_PREFIX"]) for topic in topics]
    assert names[:3] == [".registry", ".registry-state", ".commands"]
    assert names[-2:] == [".requests.digits", ".responses.digits"]
    assert f"{other}.registry" in cli("topics", HOTSWAP_TOPIC_PREFIX=other).output


def test_topics_for_windows_are_made_where_the_version_in_production_takes_them(
    cli: Cli, variables: dict[str, str], tmp_path: Path, artifact: Path
) -> None:
    def listed() -> list[str]:
        found = [topic["name"] for topic in read_json(cli("topics", "--json"))]
        return [name.removeprefix(variables["HOTSWAP_TOPIC_PREFIX"]) for name in found if ".windows." in name]

    forecaster = tmp_path / "forecaster.safetensors"
    forecaster.write_bytes(mean_artifact())
    cli("register", "digits", str(artifact))
    cli("register", "loads", str(forecaster))
    assert listed() == [], "nothing is in production"
    cli("switch", "loads", "v1")
    cli("switch", "digits", "v1")
    assert listed() == [".windows.loads"]
    cli("register", "loads", str(artifact))
    assert "it has no input 'history'" in cli("switch", "loads", "v2", code=3).stderr
    cli("switch", "loads", "v2", "--allow-signature-change")
    assert listed() == [".windows.loads"], "it is there"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("register", "digits"), "either FILE or --digest"),
        (("register", "digits", "--digest", "x", "--metric", "accuracy"), "key=value"),
        (("register", "digits", "--digest", "x", "--metric", "accuracy=high"), "not a number"),
        (("register", "digits", "/no/such/file"), "does not exist"),
        (("models", "--as-of", "yesterday"), "neither an offset nor a time"),
        (("models", "--as-of", "2026-01-01T00:00:00"), "no time zone"),
        (("models", "--stage", "live"), "production"),
        (("promote", "digits"), "VERSION"),
        (("promot",), "No such command"),
    ],
)
def test_wrong_usage_ends_with_2_before_anything_is_started(arguments: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(build_app(), arguments, env={"HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": ""}, "hotswap-stream up"),
        ({"HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "127.0.0.1:1"),
        ({"HOTSWAP_TOPIC_PREFIX": "Not_valid"}, "HOTSWAP_TOPIC_PREFIX"),
        ({"HOTSWAP_TOPIC_PREFX": "typo"}, "HOTSWAP_TOPIC_PREFX is not a setting"),
        ({"HOTSWAP_LOG_LEVEL": "loud"}, "log_level"),
    ],
)
def test_what_fails_is_one_clear_line(tmp_path: Path, overrides: dict[str, str], words: str) -> None:
    environment = {"HOTSWAP_HOME": str(tmp_path), "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", **overrides}
    result = CliRunner().invoke(build_app(), ["models"], env=environment)
    structlog.reset_defaults()
    assert result.exit_code == (1 if "127.0.0.1:1" in words else 78), result.output
    assert result.stdout == ""
    line, *further = result.stderr.splitlines()
    assert [each for each in further if not each.startswith("try: hotswap-stream ")] == []
    assert line.startswith("error: ")
    assert words in line


def test_an_artifact_file_that_is_none_is_refused(cli: Cli, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"not weights")
    assert "neither a safetensors file nor an ONNX graph" in cli("register", "digits", str(wrong), code=1).stderr
    big = cli("register", "digits", str(wrong), code=1, HOTSWAP_ARTIFACT_BYTES_MAX="10")
    assert "11 bytes; HOTSWAP_ARTIFACT_BYTES_MAX allows 10" in big.stderr


def test_the_log_is_verified_exported_and_a_changed_byte_is_named(cli: Cli, artifact: Path, tmp_path: Path) -> None:
    cli("register", "digits", str(artifact), "--reason", "first\x1b[31m")
    cli("switch", "digits", "v1")
    assert "3 records: 3 valid" in cli("audit", "verify").output
    report = read_json(cli("audit", "verify", "--json"))
    assert report["findings"] == []
    assert report["heads"]["digits"]["sequence"] == 2
    assert "\x1b[31m" not in cli("events").stdout

    export = tmp_path / "log.jsonl"
    written = read_json(cli("audit", "export", str(export), "--json"))
    assert written["records"] == 3
    assert "use --force" in cli("audit", "export", str(export), code=2).stderr
    cli("audit", "export", str(export), "--force")
    assert [file.name for file in tmp_path.glob("log*")] == ["log.jsonl"]
    assert read_json(cli("audit", "verify", str(export), "--json")) == report
    export.write_bytes(export.read_bytes().replace(b"first", b"wirst"))
    broken = cli("audit", "verify", str(export), code=1)
    assert "offset 1, 'digits' event 1" in broken.stderr
    assert "changed" in broken.stderr
    assert read_json(cli("audit", "verify", str(export), "--json", code=1))["findings"][0]["offset"] == 1
    assert "cannot be written" in cli("audit", "export", str(tmp_path / "no" / "log.jsonl"), code=1).stderr

    (before,) = read_json(cli("audit", "show", "--as-of", "1", "--json"))
    assert before["active_version"] is None
    assert "v1" in cli("audit", "show", "digits", "--as-of", "2").output
    assert "no offset 7; it holds 0 to 2" in cli("audit", "show", "--as-of", "7", code=1).stderr
