"""Contexts: kept in a file of the user's alone, chosen by a command or an option, overruled by the environment."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hotswap_stream.cli.app import build_app
from hotswap_stream.cli.planes.contexts import context_environment, contexts_file
from tests.support.stages.command_line import Cli, command_line, read_json

CLUSTER = ("--bootstrap-servers", "kafka-1:9093", "--prefix", "prod", "--security-protocol", "SASL_SSL")
HERE = "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv(HERE, raising=False)
    monkeypatch.delenv("HOTSWAP_TOPIC_PREFIX", raising=False)
    monkeypatch.setenv("HOTSWAP_HOME", str(tmp_path / "home"))
    with command_line() as invoke:
        yield invoke


def test_contexts_from_the_first_to_the_last(cli: Cli) -> None:
    assert "context add" in cli("context", "list").stdout
    assert "commands go there from now on" in cli("context", "add", "prod", *CLUSTER).stdout
    cli("context", "add", "laptop", "--url", "https://models.example", "--key-variable", "MODELS_KEY")
    assert [(each["name"], each["current"]) for each in read_json(cli("context", "list", "--json"))] == [
        ("laptop", False), ("prod", True),
    ]  # fmt: skip
    now = read_json(cli("context", "show", "--json"))
    assert (now["context"], now["place"], now["topic_prefix"]) == ("prod", "kafka-1:9093", "prod")
    cli("context", "use", "laptop")
    assert context_environment({"MODELS_KEY": "secret"}) == {
        "MODELS_KEY": "secret",
        "HOTSWAP_API_URL": "https://models.example",
        "HOTSWAP_API_KEY": "secret",
    }
    assert "API https://models.example" in cli("context", "show", "laptop").stdout
    assert read_json(cli("--context", "prod", "context", "show", "--json"))["context"] == "prod"
    cli("context", "remove", "laptop")
    assert cli("context", "list", "-o", "name").stdout == "prod\n"
    assert context_environment({}) == {}
    assert "there is prod" in cli("context", "use", "laptop", code=1).stderr


def test_the_environment_wins_and_a_contradiction_is_told(cli: Cli) -> None:
    cli("context", "add", "prod", *CLUSTER)
    assert context_environment({HERE: "mine:9092"}) == {HERE: "mine:9092"}
    assert context_environment({"HOTSWAP_TOPIC_PREFIX": "blue"})["HOTSWAP_TOPIC_PREFIX"] == "blue"
    shown = read_json(cli("context", "show", "--json", **{HERE: "mine:9092"}))
    assert shown["place"] == "mine:9092"
    told = cli("--context", "prod", "models", code=78, **{HERE: "mine:9092"}).stderr
    assert f"unset {HERE}" in told
    assert "there is no context 'blue'" in cli("--context", "blue", "models", code=78).stderr


def test_the_file_is_its_owners_alone_and_no_key_is_shown(cli: Cli) -> None:
    arguments = ["context", "add", "prod", "--url", "https://models.example", "--key", "-"]
    assert CliRunner().invoke(build_app(), arguments, input="s3cret\n").exit_code == 0
    file = contexts_file()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "s3cret" not in cli("context", "show", "prod").output + cli("context", "list", "-o", "yaml").output
    file.chmod(0o644)
    assert f"chmod 600 {file}" in cli("models", code=78).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "either a cluster"),
        (("both", "--url", "http://a", "--bootstrap-servers", "b:1"), "either a cluster"),
        (("mixed", "--url", "http://a", "--prefix", "b"), "topic_prefix"),
        (("key", "--url", "http://a", "--key", "s3cret"), "seen by others"),
        (("protocol", "--bootstrap-servers", "b:1", "--security-protocol", "TLS"), "kafka_security_protocol"),
    ],
)
def test_what_is_no_context_is_told(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    assert said in " ".join(cli("context", "add", *arguments, code=2).stderr.split())
    assert not contexts_file().exists()


def test_a_name_is_one_and_is_not_taken_twice(cli: Cli) -> None:
    assert "no name of a context" in cli("context", "add", "../up", "--url", "http://a", code=78).stderr
    cli("context", "add", "a", "--url", "http://a")
    assert "--replace" in cli("context", "add", "a", "--url", "http://b", code=1).stderr
    assert "http://b" in cli("context", "add", "a", "--url", "http://b", "--replace").stdout


@pytest.mark.parametrize("content", ["{", "[]", '{"contexts": {"a": {"settings": {"home": "x"}}}}', '{"other": 1}'])
def test_a_damaged_file_is_told_and_left_as_it_is(cli: Cli, content: str) -> None:
    file = contexts_file()
    file.parent.mkdir(parents=True)
    file.write_text(content)
    file.chmod(0o600)
    assert str(file) in cli("context", "list", code=78).stderr
    assert file.read_text() == content


def test_processes_that_serve_do_not_heed_the_context(cli: Cli) -> None:
    cli("context", "add", "prod", *CLUSTER)
    from hotswap_stream.cli.terminal.running import prepared_settings

    assert prepared_settings(quiet=True).kafka_bootstrap_servers == "kafka-1:9093"
    assert prepared_settings(quiet=True, heeds_context=False).kafka_bootstrap_servers is None
    assert prepared_settings(quiet=False).kafka_bootstrap_servers is None
    assert json.loads(contexts_file().read_text())["current"] == "prod"
