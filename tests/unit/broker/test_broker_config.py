"""What the broker is told: its properties, its logging, and how both are written."""

from pathlib import Path

import pytest

from hotswap_stream.broker.broker_config import NodePorts, broker_properties, logging_properties
from hotswap_stream.broker.java.properties import render_properties


def cluster_of(count: int) -> list[NodePorts]:
    return [NodePorts(node, 20_000 + node, 21_000 + node) for node in range(1, count + 1)]


@pytest.mark.parametrize(("count", "replicas", "in_sync"), [(1, 1, 1), (2, 2, 1), (3, 3, 2), (5, 3, 2)])
def test_replication_fits_the_number_of_nodes(count: int, replicas: int, in_sync: int) -> None:
    cluster = cluster_of(count)
    values = broker_properties(cluster[0], cluster, Path("/data"), {})
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        assert values[f"{topic}.replication.factor"] == replicas
    assert values["default.replication.factor"] == replicas
    assert values["min.insync.replicas"] == in_sync
    assert values["transaction.state.log.min.isr"] == in_sync


def test_every_listener_is_on_the_loopback_interface() -> None:
    cluster = cluster_of(3)
    values = broker_properties(cluster[1], cluster, Path("/data"), {})
    assert values["listeners"] == "PLAINTEXT://127.0.0.1:20002,CONTROLLER://127.0.0.1:21002"
    assert values["advertised.listeners"] == "PLAINTEXT://127.0.0.1:20002"
    assert values["controller.quorum.voters"] == "1@127.0.0.1:21001,2@127.0.0.1:21002,3@127.0.0.1:21003"


def test_options_of_the_caller_win() -> None:
    cluster = cluster_of(1)
    values = broker_properties(cluster[0], cluster, Path("/data"), {"auto.create.topics.enable": "true"})
    assert values["auto.create.topics.enable"] == "true"


def test_logging_has_a_size_limit_and_doubles_percent_signs_of_the_path() -> None:
    values = logging_properties(Path("/data/100%"))
    assert values["java.util.logging.FileHandler.pattern"] == "/data/100%%/broker.%g.log"
    assert values["java.util.logging.FileHandler.limit"] == 10 * 1024 * 1024
    assert values["java.util.logging.FileHandler.count"] == 3


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "key=true\n"),
        (5, "key=5\n"),
        ("a b", "key=a b\n"),
        (" a", "key=\\ a\n"),
        ("back\\slash", "key=back\\\\slash\n"),
        ("größe", "key=gr\\u00f6\\u00dfe\n"),
        ("two\nlines", "key=two\\u000alines\n"),
        ("🙂", "key=\\ud83d\\ude42\n"),
    ],
)
def test_properties_are_escaped_for_java(value: object, written: str) -> None:
    assert render_properties({"key": value}) == written


def test_keys_are_escaped_for_java() -> None:
    assert render_properties({"a:b=c d": 1}) == "a\\:b\\=c\\ d=1\n"
