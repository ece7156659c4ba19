"""An environment on a cluster that lets in whom it knows only: each role is a user with exactly its rights."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from hotswap_events.commands import CommandResult
from hotswap_events.topics import Topics
from hotswap_stream import bootstrap
from hotswap_stream.application.topics.acls import ROLES as ROLES
from hotswap_stream.broker.ports import pick_free_ports
from hotswap_stream.client.topic_commands import TopicCommands
from hotswap_stream.kafka.sessions import open_producer, open_reader
from hotswap_stream.settings import Settings, load_settings
from tests.support.kafka.secured_broker import ASK_SECONDS_MAX, PASSWORD, SecuredBroker
from tests.support.processes.commands import environment_with, hotswap
from tests.support.samples.artifacts import linear_artifact
from tests.support.stages.command_line import command_line, read_json

PREFIX = "guarded"
MODEL = "linear"
KEY = "key-of-those-who-ask"
SECONDS_MAX = 60.0
READY_SECONDS_MAX = 120.0
END_SECONDS_MAX = 60.0
TOPICS = Topics(PREFIX)
REQUEST = b'{"id": "by-topic", "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}'
SERVING = (("agents", "agents"), ("worker", "worker"), ("trainer", "trainers"), ("api", "api"))
"""Role, and the command that is it."""

_TRAINER = """
read -r order
folder=$(printf '%s' "$order" | sed -n 's/.*"folder":"\\([^"]*\\)".*/\\1/p')
cp "$1" "$folder/artifact.safetensors"
echo '{"type": "finished"}'
"""

Way = Callable[[str], dict[str, str]]
"""Settings by which a user is known to the cluster."""


def principal(role: str) -> str:
    """Who a role is on the cluster."""
    return f"hotswap-{role}"


class Secured:
    """The environment. `folder` has its artifacts, and a home for each role."""

    def __init__(self, broker: SecuredBroker, folder: Path) -> None:
        self.broker = broker
        self.folder = folder
        (folder / "copied").write_bytes(linear_artifact(seed=7))
        (folder / "trainer.sh").write_text(_TRAINER)

    def variables(self, role: str, way: Way) -> dict[str, str]:
        """The settings of a role that is known by this way."""
        return {
            **way(principal(role)),
            "HOTSWAP_TOPIC_PREFIX": PREFIX,
            "HOTSWAP_HOME": str(self.folder / f"home-{role}"),
            "HOTSWAP_ARTIFACTS": str(self.folder / "artifacts"),
            "HOTSWAP_REQUEST_PARTITIONS": "1",
            "HOTSWAP_GRAPHS_EXPORTED": "false",
            "HOTSWAP_API_KEYS": f"ada:{KEY}",
            "HOTSWAP_TRAINER_COMMANDS": f"copy=sh {self.folder / 'trainer.sh'} {self.folder / 'copied'}",
        }

    def settings(self, role: str, way: Way) -> Settings:
        return load_settings(self.variables(role, way))

    def give_rights(self) -> None:
        """Give each role what `hotswap-stream acls` says, and nothing else."""
        with command_line({"HOTSWAP_TOPIC_PREFIX": PREFIX}) as cli:
            printed = read_json(cli("acls", "--json"))
        wanted = [
            AclBinding(
                ResourceType[acl["resource"].upper()],
                acl["name"],
                ResourcePatternType.PREFIXED if acl["prefixed"] else ResourcePatternType.LITERAL,
                f"User:{principal(acl['role'])}",
                "*",
                AclOperation[_snake(operation)],
                AclPermissionType.ALLOW,
            )
            for acl in printed
            for operation in acl["operations"]
        ]
        for future in self.broker.admin.create_acls(list(dict.fromkeys(wanted))).values():
            future.result(ASK_SECONDS_MAX)

    def serve_model(self, way: Way) -> None:
        """As the operator, register a small model and put it into production."""
        file = self.folder / "linear.safetensors"
        file.write_bytes(linear_artifact())
        with command_line(self.variables("operator", way)) as cli:
            cli("register", MODEL, str(file))
            cli("switch", MODEL, "v1")


def _snake(name: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in name).lstrip("_").upper()


class SecuredProcesses:
    """Agents, worker, runner and API as processes of their own, all known by one way."""

    def __init__(self, stage: Secured, way: Way) -> None:
        (port,) = pick_free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._stage = stage
        self._way = way
        self._port = port
        self._files = ExitStack()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        for role, command in SERVING:
            variables = {**self._stage.variables(role, self._way), "HOTSWAP_API_PORT": str(self._port)}
            name = ("--name", "one") if role in ("worker", "trainer") else ()
            log = self._files.enter_context(self._log(role).open("wb"))
            self._processes[role] = subprocess.Popen(
                hotswap(command, *name), env=environment_with(variables), stdout=log, stderr=log
            )
        return self

    def __exit__(self, *_of: object) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._files.close()

    def _log(self, role: str) -> Path:
        return self._stage.folder / f"{role}.log"

    def logs(self) -> str:
        """What they all have said."""
        return "\n".join(f"== {role}\n{self._log(role).read_text(errors='replace')}" for role in self._processes)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for what the product promises; AssertionError with the logs if it does not come."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            ended = [role for role, process in self._processes.items() if process.poll() is not None]
            assert not ended, f"{ended} ended:\n{self.logs()}"
            try:
                if condition():
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{what}: not within {READY_SECONDS_MAX:g} s:\n{self.logs()}")

    def ask(self) -> httpx.Response:
        """Ask the model over HTTP."""
        tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}
        return self.call("POST", f"/v2/models/{MODEL}/infer", {"inputs": [tensor]})

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Call the API as somebody with a key."""
        return httpx.request(
            method, f"{self.url}{path}", json=body, headers={"x-api-key": KEY}, timeout=READY_SECONDS_MAX
        )


def check_every_process(stage: Secured, known_by: Way, name: str) -> None:
    """Have every kind of process do its work, each with exactly its rights; none may be told that it lacks one.

    Args:
        stage: The environment.
        known_by: How all of them are known.
        name: Names what this writes, so that it can be done again by another way.
    """
    with SecuredProcesses(stage, known_by) as processes:
        processes.until(lambda: processes.ask().status_code == 200, "an answer over HTTP")
        run = processes.call("POST", f"/api/models/{MODEL}/training-requests", {"trainer": "copy", "run_id": name})
        assert run.status_code == 200, run.text
        asyncio.run(_ask_by_topic(stage, known_by))
        with command_line(stage.variables("operator", known_by)) as cli:
            made = read_json(cli("keys", "create", f"ci-{name}", "--scope", "operate", "--signs", "--json"))
        asyncio.run(_command_by_topic(stage, known_by, name, made["token"]))
        tagged = processes.call("GET", f"/api/events?model_name={MODEL}&type=hotswap.model.tagged.v1&last=2").json()
        told = [(each["event"]["actor"], each["event"]["actorby"]) for each in tagged["events"]]
        assert told == [(f"topic:ci-{name}", "topic"), (f"ci-{name}", "signature")]
        runs = f"/api/models/{MODEL}/training-runs/{name}"
        processes.until(lambda: processes.call("GET", runs).json()["status"] == "succeeded", "a run that succeeded")
        with command_line(stage.variables("operator", known_by)) as cli:
            assert MODEL in cli("models").output
            assert "one" in cli("fleet").output
    said = processes.logs()
    assert "uthoriz" not in said, said
    assert PASSWORD.format("") not in said


async def _ask_by_topic(stage: Secured, known_by: Way) -> None:
    """As a program of others, write a request and read its answer."""
    producer_options = bootstrap.connection(stage.settings("producer", known_by)).client_options()
    consumer_options = bootstrap.connection(stage.settings("consumer", known_by)).client_options()
    async with (
        open_producer(producer_options, flush_seconds_max=SECONDS_MAX) as producer,
        open_reader(consumer_options, TOPICS.responses(MODEL)) as consumer,
    ):
        sent = await producer.send_and_wait(TOPICS.requests(MODEL), REQUEST, partition=0)
        offset = str(sent.offset).encode()
        async with asyncio.timeout(SECONDS_MAX):
            async for record in consumer:
                if any(value == offset for name, value in record.headers if name == "hotswap-request-offset"):
                    assert b"outputs" in record.value
                    return


async def _command_by_topic(stage: Secured, known_by: Way, name: str, token: str) -> None:
    """As a program of others, send a command unsigned, one signed, and one whose signature is not that of the key."""
    options = bootstrap.connection(stage.settings("commander", known_by)).client_options()
    actor = f"ci-{name}"

    async def sent(value: str, signed_by: str | None) -> CommandResult:
        command = {"type": "hotswap.command.tag.v1", "model_name": MODEL, "tags": {name: value}}
        async with TopicCommands(options, actor=actor, token=signed_by, prefix=PREFIX) as commands:
            return await commands.send(command, timeout_s=SECONDS_MAX)

    assert (await sent("unsigned", None)).status == "accepted"
    assert (await sent("signed", token)).status == "accepted"
    forged = await sent("forged", f"{token[:-4]}aaaa")
    assert (forged.status, forged.refusal and forged.refusal.code) == ("refused", "signature-refused")
