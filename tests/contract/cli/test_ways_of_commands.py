"""Which way each command goes: none needs Kafka silently where the context names an API."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from typer.main import get_command
from typer.testing import CliRunner

from hotswap_stream.cli.app import build_app
from hotswap_stream.cli.terminal.exit_codes import CONFIGURATION, NOT_AUTHENTICATED
from hotswap_stream.cli.terminal.running import NEEDS_CLUSTER
from tests.support.samples.artifacts import linear_artifact

DENIED = b'{"code": "unauthorized", "detail": "nobody may"}'

BY_API = """
status / status -w / top / top m / why r / why 0:3 --model m / models / models show m / versions m / compare m v1 v2
events / alerts list / alerts acknowledge m r / alerts snooze m r --for 2h / alerts clear m r / fleet / windows m
drift m / rollback m / switch m v1 / disable m / enable m / circuit show m / circuit open m / circuit open m v1
circuit probe m / circuit reset m / publish m FILE / register m FILE / register m --digest sha256:0
validate m v1 --accuracy 1 / evaluate m v1 / stage m v1 / promote m v1 / reload m / archive m v1
rollout start m v1 --canary 10% / rollout show m / rollout advance m / rollout pause m / rollout resume m
rollout promote m / rollout abort m / rollout set-strategy m --canary 10% / rollout list m / rollout status m
rollout report m / rollout backtest m --policy POLICY / feedback m --id r --label 1 / alert-policy show m
alert-policy set m --default / serving-policy show m / serving-policy set m --probes 3 / validation-policy show m
validation-policy get m / validation-policy set m GATES / validation-set show m / validation-set choose m SET
retention show m / retention set m / runs list / runs show m r / runs request m --trainer als / runs cancel m r
runs follow m r / runs files m r / runs compare m r s / mlflow export-run m r
triggers list / triggers show m / triggers set m --none / triggers fire m / triggers history m
dataset add m SET
triggers backtest m / dataset build m / dataset list m / dataset show m d / dataset export m d --output OUT
tag m a=b / alias m a v1 / cleanup --keep 1 / audit verify / audit acknowledge 0 --digest none / audit export OUT
audit show / webhooks list / webhooks add w https://w.example / webhooks remove w
keys create k --scope read / keys list / keys show k / keys rotate k / keys revoke k
"""
"""Asked of the API where a context names one."""

BY_CLUSTER = """
audit reproduce m --id r / make-heuristic m --output 0.5,0.5 / profile m v1 --data FILE / export m v1 OUT
train m / loadtest m / artifacts environments / artifacts forget e
registry accept --yes / registry restore FILE / topics / topics grow m 8 / doctor / reset / webhooks test
"""
"""They need Kafka or the artifact store itself, and say so."""

LOCAL = """
registry known
acls / plugins / open / context list / context show / context use c / context add c --url http://c.example
context remove c / webhooks secret / generate-data OUT / validation-set pack SET --output OUT / healthy worker
mlflow import m SET / mlflow import-all x / demo / trainers / run-trainer / run-training / run-dataset-build
do-run
"""
"""They go nowhere, or look at what is here first (`mlflow import`, which then goes as `publish` does)."""

SERVING = "up / serve / watch m . / worker / agents / broker / api / run-api-process"
"""Processes: they take their place from their environment, never from a context."""


def lines(text: str) -> list[list[str]]:
    return [each.split() for each in text.replace("\n", " / ").split(" / ") if each.strip()]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    made = {
        "FILE": linear_artifact(seed=1),
        "POLICY": b"[policy]\n",
        "GATES": b"pass_margin = 0.02\n",
    }
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    np.savez(tmp_path / "SET.npz", x=np.zeros((2, 4), np.float32), labels=np.zeros(2, np.int64))
    return {"SET": str(tmp_path / "SET.npz"), **{name: str(tmp_path / name) for name in (*made, "OUT")}}


class _Denying(BaseHTTPRequestHandler):
    """An API that opens nothing to anybody, so that a command ends with its first question."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with suppress(ConnectionError):  # who is denied may leave while it still sends
            super().handle()

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(401)
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(DENIED)))
        self.end_headers()
        self.wfile.write(DENIED)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Denying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Laptop:
    """Runs commands with a context of that API."""

    def __init__(self, url: str, folder: Path, files: dict[str, str]) -> None:
        self._app, self._runner, self._files = build_app(), CliRunner(), files
        self._variables = {
            "HOTSWAP_API_URL": url,
            "HOTSWAP_API_KEY": "k" * 40,
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": None,
            "HOTSWAP_HOME": str(folder / "home"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def run(self, words: list[str]) -> tuple[int, str]:
        ended = self._runner.invoke(self._app, [self._files.get(word, word) for word in words], env=self._variables)
        return ended.exit_code, ended.output


@pytest.fixture
def laptop(url: str, tmp_path: Path, files: dict[str, str]) -> Iterator[Laptop]:
    yield Laptop(url, tmp_path, files)
    structlog.reset_defaults()  # the commands pointed the log at streams that ended with them


def test_what_goes_by_an_api_asks_it(laptop: Laptop) -> None:
    ended = {" ".join(words): laptop.run(words) for words in lines(BY_API)}
    assert {command: end for command, end in ended.items() if end[0] != NOT_AUTHENTICATED} == {}


def test_what_needs_the_cluster_says_so(laptop: Laptop) -> None:
    ended = {" ".join(words): laptop.run(words) for words in lines(BY_CLUSTER)}
    assert {
        command: end for command, end in ended.items() if end[0] != CONFIGURATION or NEEDS_CLUSTER not in end[1]
    } == {}


def test_every_command_is_in_one_of_the_lists() -> None:
    listed = [words for text in (BY_API, BY_CLUSTER, LOCAL, SERVING) for words in lines(text)]
    every = list(_paths(get_command(build_app()), ()))
    missing = [path for path in every if not any(words[: len(path)] == list(path) for words in listed)]
    assert missing == []
    two_ways = {" ".join(path) for path in every if len(_ways(path)) > 1}
    assert two_ways == set()


def _ways(path: tuple[str, ...]) -> list[str]:
    return [
        text
        for text in (BY_API, BY_CLUSTER, LOCAL, SERVING)
        if any(words[: len(path)] == list(path) for words in lines(text))
    ]


def _paths(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path
        return
    for name, each in inner.items():
        yield from _paths(each, (*path, name))
