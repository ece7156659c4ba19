"""Every process on a cluster with TLS, SASL and access rules: known by password, certificate or token, with its rights.

One broker has all three doors. Each role is a user of its own and has exactly what `hotswap-stream acls` prints.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from msgspec import json

from hotswap_events.commands import CommandResult
from hotswap_events.topics import Topics
from hotswap_stream import bootstrap
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.sessions import open_producer, open_reader
from tests.support.kafka.secured_broker import (
    PASSWORD,
    Authority,
    SecuredBroker,
    TokenServer,
    secured_broker,
    unsigned_token,
)
from tests.support.stages.command_line import command_line
from tests.support.stages.secured import MODEL, PREFIX, ROLES, Secured, SecuredProcesses, Way, principal

TOPICS = Topics(PREFIX)
SECONDS_MAX = 60.0
REQUEST = b'{"id": "by-topic", "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}'


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with secured_broker(tmp_path_factory.mktemp("secured")) as broker:
        broker.add_users(principal(role) for role in ROLES)
        yield broker


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    server = TokenServer(life_seconds=300)
    yield server
    server.close()


@pytest.fixture(scope="module")
def stage(broker: SecuredBroker, tmp_path_factory: pytest.TempPathFactory) -> Secured:
    stage = Secured(broker, tmp_path_factory.mktemp("environment"))
    stage.give_rights()
    stage.serve_model(broker.by_password)
    return stage


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["password", "certificate", "token"])
def test_every_process_works_with_exactly_its_rights(way: str, stage: Secured, tokens: TokenServer) -> None:
    known: dict[str, Way] = {
        "password": stage.broker.by_password,
        "certificate": stage.broker.by_certificate,
        "token": lambda name: stage.broker.by_token(name, tokens),
    }
    known_by = known[way]
    with SecuredProcesses(stage, known_by) as processes:
        processes.until(lambda: processes.ask().status_code == 200, "an answer over HTTP")
        run = processes.call("POST", f"/api/models/{MODEL}/training-requests", {"trainer": "copy", "run_id": way})
        assert run.status_code == 200, run.text
        asyncio.run(_ask_by_topic(stage, known_by))
        asyncio.run(_command_by_topic(stage, known_by, f"switch-{way}"))
        runs = f"/api/models/{MODEL}/training-runs/{way}"
        processes.until(lambda: processes.call("GET", runs).json()["status"] == "succeeded", "a run that succeeded")
        with command_line(stage.variables("operator", known_by)) as cli:
            assert MODEL in cli("models").output
            assert "one" in cli("fleet").output
    said = processes.logs()
    assert "uthoriz" not in said, said
    assert PASSWORD.format("") not in said
    if way == "token":
        assert set(tokens.handed_out) >= {principal(role) for role in ("api", "agents", "worker", "trainer")}


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


async def _command_by_topic(stage: Secured, known_by: Way, command_id: str) -> None:
    """As a program of others, write a command and read what came of it."""
    options = bootstrap.connection(stage.settings("commander", known_by)).client_options()
    command = {
        "type": "hotswap.command.switch.v1",
        "command_id": command_id,
        "actor": "ci",
        "model_name": MODEL,
        "model_version": "v1",
    }
    async with (
        open_producer(options, flush_seconds_max=SECONDS_MAX) as producer,
        open_reader(options, TOPICS.command_results) as consumer,
    ):
        await producer.send_and_wait(TOPICS.commands, json.encode(command), MODEL.encode())
        async with asyncio.timeout(SECONDS_MAX):
            async for record in consumer:
                result = json.decode(record.value, type=CommandResult)
                if result.command_id == command_id:
                    assert result.status in ("accepted", "unchanged", "refused"), result
                    return


async def test_what_a_role_does_not_need_is_refused(stage: Secured) -> None:
    """Of each role, things that would do harm and that others may."""
    forbidden_writes = {
        "api": (TOPICS.responses(MODEL), TOPICS.observations, TOPICS.fleet),
        "agents": (TOPICS.responses(MODEL), TOPICS.keys, TOPICS.commands),
        "worker": (TOPICS.requests(MODEL), TOPICS.keys, TOPICS.commands),
        "trainer": (TOPICS.keys, TOPICS.fleet, TOPICS.responses(MODEL)),
        "operator": (TOPICS.responses(MODEL), TOPICS.observations),
        "commander": (TOPICS.registry, TOPICS.keys),
        "producer": (TOPICS.responses(MODEL), TOPICS.registry, TOPICS.commands),
        "consumer": (TOPICS.requests(MODEL), TOPICS.responses(MODEL)),
    }
    assert forbidden_writes.keys() == set(ROLES)
    for role, topics in forbidden_writes.items():
        options = bootstrap.connection(stage.settings(role, stage.broker.by_password)).client_options()
        async with open_producer(options, flush_seconds_max=SECONDS_MAX) as producer:
            for topic in topics:
                with pytest.raises(TopicAuthorizationFailedError):
                    await producer.send_and_wait(topic, b"{}", b"k")
    for role, topic in (("producer", TOPICS.responses(MODEL)), ("consumer", TOPICS.registry), ("worker", TOPICS.keys)):
        options = bootstrap.connection(stage.settings(role, stage.broker.by_password)).client_options()
        with pytest.raises(TopicAuthorizationFailedError):
            async with open_reader(options, topic) as reader, asyncio.timeout(SECONDS_MAX):
                await reader.getone()
    options = bootstrap.connection(stage.settings("consumer", stage.broker.by_password)).client_options()
    member = clients.consumer(TOPICS.responses(MODEL), **options, group_id=f"{PREFIX}.workers.{MODEL}")
    try:
        with pytest.raises(GroupAuthorizationFailedError):
            await member.start()
    finally:
        await member.stop()


def test_who_is_not_let_in_hears_what_to_do(stage: Secured, tokens: TokenServer, tmp_path: Path) -> None:
    broker, name = stage.broker, principal("operator")
    by_password, by_certificate = broker.by_password(name), broker.by_certificate(name)
    stranger, (certificate, key) = Authority(tmp_path, "stranger"), Authority(tmp_path, "others").issue("eve")
    unnamed = {variable: "" for variable in by_certificate if "CERTIFICATE" in variable or "KEY" in variable}
    wrong = "wrong-and-secret"
    cases: dict[str, tuple[dict[str, str], int]] = {
        "does not accept HOTSWAP_KAFKA_SASL_USERNAME and HOTSWAP_KAFKA_SASL_PASSWORD": (
            {**by_password, "HOTSWAP_KAFKA_SASL_PASSWORD": wrong},
            4,
        ),
        "are HOTSWAP_KAFKA_OAUTH_CLIENT_ID, _CLIENT_SECRET and _SCOPE right": (
            {**broker.by_token(name, tokens), "HOTSWAP_KAFKA_OAUTH_CLIENT_SECRET": wrong},
            1,
        ),
        "HOTSWAP_KAFKA_SSL_CA_FILE must name the authority": (
            {**by_password, "HOTSWAP_KAFKA_SSL_CA_FILE": str(stranger.file)},
            1,
        ),
        "set HOTSWAP_KAFKA_SASL_MECHANISM to one that it knows": (
            {**by_password, "HOTSWAP_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"},
            4,
        ),
        "is HOTSWAP_KAFKA_SECURITY_PROTOCOL SSL right": ({**by_certificate, **unnamed}, 1),
        "is HOTSWAP_KAFKA_SECURITY_PROTOCOL PLAINTEXT right": (
            {"HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": broker.sasl},
            1,
        ),
        "is HOTSWAP_KAFKA_SECURITY_PROTOCOL SASL_SSL right": (
            {**by_password, "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": broker.root},
            1,
        ),
        "where none is shown that it trusts": (
            {
                **by_certificate,
                "HOTSWAP_KAFKA_SSL_CERTIFICATE_FILE": str(certificate),
                "HOTSWAP_KAFKA_SSL_KEY_FILE": str(key),
            },
            1,
        ),
        "HOTSWAP_KAFKA_SSL_KEY_PASSWORD right": (
            {**by_certificate, "HOTSWAP_KAFKA_SSL_KEY_PASSWORD_FILE": "", "HOTSWAP_KAFKA_SSL_KEY_PASSWORD": wrong},
            78,
        ),
        "`hotswap-stream acls` prints": ({**by_password, "HOTSWAP_TOPIC_PREFIX": "others"}, 78),
    }
    for said, (variables, code) in cases.items():
        with command_line({"HOTSWAP_TOPIC_PREFIX": PREFIX, "HOTSWAP_HOME": str(tmp_path), **variables}) as cli:
            output = " ".join(cli("models", code=code).output.split())
        assert said in output, (said, output)
        assert wrong not in output
        assert PASSWORD.format(name) not in output


def test_a_token_in_a_file_is_taken_anew(stage: Secured, tmp_path: Path) -> None:
    file = tmp_path / "token"
    variables = {
        **stage.broker.by_password(""),
        "HOTSWAP_KAFKA_SASL_USERNAME": "",
        "HOTSWAP_KAFKA_SASL_PASSWORD": "",
        "HOTSWAP_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "HOTSWAP_KAFKA_OAUTH_TOKEN_FILE": str(file),
        "HOTSWAP_TOPIC_PREFIX": PREFIX,
        "HOTSWAP_HOME": str(tmp_path),
    }
    with command_line(variables) as cli:
        assert "cannot be read" in cli("models", code=1).output
        file.write_text(unsigned_token(principal("operator"), -60))
        assert "expired" in cli("models", code=1).output
        file.write_text(unsigned_token("", 60))
        assert "does not accept the token" in " ".join(cli("models", code=4).output.split())
        file.write_text(unsigned_token(principal("operator"), 300))
        assert MODEL in cli("models").output
