"""The configuration of a development broker: quick to start, quick to notice a lost node, small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hotswap_stream.broker.ports import HOST

LOG_FILE_BYTES_MAX = 10 * 1024 * 1024
LOG_FILES_MAX = 3
LOG_FILE_NAME = "broker.{generation}.log"

# A broker that was killed may come back only when its former session has ended: 3.8 s after a kill instead of 10.8.
_SESSION_TIMEOUT_MS = 3_000
_HEARTBEAT_MS = 500
# Without a word of the controller for so long the others choose another one; until then none can be put out.
_CONTROLLER_SILENCE_MS = 1_000
_LISTENERS = ("listeners", "advertised.listeners", "listener.security.protocol.map")


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Where one node listens on the loopback interface: for clients and brokers, and for controllers."""

    node_id: int
    broker_port: int
    controller_port: int


def broker_properties(
    node: NodePorts, cluster: Sequence[NodePorts], data_dir: Path, overrides: Mapping[str, str]
) -> dict[str, object]:
    """Return Kafka's `server.properties` for one combined broker and controller in `cluster`.

    `overrides` win, but listeners of theirs come beside our own, which the nodes and we need.
    """
    replicas = min(3, len(cluster))
    in_sync_min = 2 if replicas >= 3 else 1
    values: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": node.node_id,
        "controller.quorum.voters": ",".join(f"{peer.node_id}@{HOST}:{peer.controller_port}" for peer in cluster),
        "listeners": f"PLAINTEXT://{HOST}:{node.broker_port},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{node.broker_port}",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data_dir,
        # A misspelt topic name is an error, not a new topic with one partition.
        "auto.create.topics.enable": False,
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync_min,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync_min,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync_min,
        "share.coordinator.state.topic.num.partitions": 4,
        # Groups form at once, and a consumer may ask to be missed after a second.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1_000,
        "group.consumer.min.session.timeout.ms": 1_000,
        "group.consumer.session.timeout.ms": 10_000,
        "group.consumer.min.heartbeat.interval.ms": 500,
        "group.consumer.heartbeat.interval.ms": 3_000,
        "broker.session.timeout.ms": _SESSION_TIMEOUT_MS,
        "broker.heartbeat.interval.ms": _HEARTBEAT_MS,
        "controller.quorum.fetch.timeout.ms": _CONTROLLER_SILENCE_MS,
        # By default the controller writes twice a second that nothing is new: a third of what an idle broker costs.
        "metadata.max.idle.interval.ms": 5_000,
        # What a budget of disk space lets go is gone at once: at full speed half a minute is gigabytes.
        "log.retention.check.interval.ms": 5_000,
        "log.segment.delete.delay.ms": 1_000,
        "log.initial.task.delay.ms": 5_000,
        "log.index.size.max.bytes": 1024 * 1024,
        "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "num.recovery.threads.per.data.dir": 1,
    }
    beside = {name: f"{values[name]},{overrides[name]}" for name in _LISTENERS if name in overrides}
    return {**values, **overrides, **beside}


def logging_properties(log_dir: Path) -> dict[str, object]:
    """Return the configuration of java.util.logging: files of a limited size, and a new one at each start."""
    handler = "java.util.logging.FileHandler"
    pattern = str(log_dir).replace("%", "%%") + "/" + LOG_FILE_NAME.format(generation="%g")
    return {
        "handlers": handler,
        ".level": "INFO",
        f"{handler}.pattern": pattern,
        f"{handler}.limit": LOG_FILE_BYTES_MAX,
        f"{handler}.count": LOG_FILES_MAX,
        f"{handler}.append": False,
        f"{handler}.encoding": "UTF-8",
        f"{handler}.formatter": "java.util.logging.SimpleFormatter",
        "java.util.logging.SimpleFormatter.format": "%1$tF %1$tT.%1$tL %4$s %3$s %5$s%6$s%n",
        # Three hundred lines of configuration values at each start are no help in a log's tail.
        "org.apache.kafka.common.config.AbstractConfig.level": "WARNING",
    }
