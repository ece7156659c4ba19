"""The command line in this process, with a registry of its own on the real broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes.commands import environment_with
from tests.support.samples.artifacts import linear_artifact
from tests.support.stages.command_line import Cli, command_line


@pytest.fixture
def variables(kafka: str, topic_prefix: str, tmp_path: Path) -> dict[str, str]:
    """Settings of a command, as environment variables."""
    return {
        "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "HOTSWAP_TOPIC_PREFIX": topic_prefix,
        "HOTSWAP_HOME": str(tmp_path / "home"),
        "HOTSWAP_REQUEST_PARTITIONS": "1",
        "HOTSWAP_GRAPHS_EXPORTED": "false",  # seconds of each registration
    }


@pytest.fixture
def environment(variables: dict[str, str]) -> dict[str, str]:
    """The environment of a command that is a process of its own; whoever has its key may change things over HTTP."""
    return environment_with({**variables, "HOTSWAP_API_KEYS": "ci:key-of-ci"})


@pytest.fixture
def cli(variables: dict[str, str]) -> Iterator[Cli]:
    with command_line(variables) as cli:
        yield cli


@pytest.fixture
def two_versions(cli: Cli, tmp_path: Path) -> None:
    """v1 is in production, v2 has passed validation."""
    for seed in (1, 2):
        file = tmp_path / f"{seed}.safetensors"
        file.write_bytes(linear_artifact(seed=seed))
        cli("register", "digits", str(file))
    cli("validate", "digits", "v1", "--accuracy", "0.9", "--promote-first")
    cli("validate", "digits", "v2", "--accuracy", "0.91", "--baseline-accuracy", "0.9")


@pytest.fixture
def one_version(cli: Cli, tmp_path: Path) -> None:
    """v1 is in production."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(linear_artifact())
    cli("register", "digits", str(file))
    cli("switch", "digits", "v1")
