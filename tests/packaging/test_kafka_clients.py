"""Every Kafka client of the package comes from one of three places, which keep it from making topics."""

import ast
from collections.abc import Iterable

from tests.support.checkout import ROOT, naming, nodes_of

PACKAGE = ROOT / "hotswap_stream"
BUILT_IN = {
    "kafka/clients.py",
    "kafka/librdkafka.py",
    "workers/inference/kafka_clients.py",
    # Its cluster lives for seconds, and makes no topics by itself.
    "broker/start_training/traffic.py",
}
CLIENTS = {"AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "Consumer", "Producer", "AdminClient"}


def _built(nodes: Iterable[ast.AST]) -> set[str]:
    """Names of Kafka clients whose constructor is called."""
    return {
        name
        for node in nodes
        if isinstance(node, ast.Call)
        and (name := node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")) in CLIENTS
    }


def test_no_other_module_builds_a_kafka_client() -> None:
    building = {
        str(path.relative_to(PACKAGE)): built
        for path in naming(PACKAGE.rglob("*.py"), CLIENTS)
        if (built := _built(nodes_of(path)))
    }
    assert set(building) == BUILT_IN, building
