"""Records that no honest client writes, for tests on the real broker."""

from collections.abc import Sequence

from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it does not say what it exports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)


def write_packed(
    kafka: str,
    topic: str,
    values: Sequence[bytes],
    *,
    partition: int = 0,
    key: bytes | None = None,
    codec: str = "zstd",
) -> list[int]:
    """One compressed batch that unpacks to as much as one likes; the offsets of its records. Blocking."""
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "compression.type": codec,
            "message.max.bytes": 1_000_000_000,
            "batch.size": 2_000_000_000,
            "queue.buffering.max.kbytes": 2_000_000,
            "linger.ms": 1_000,
        }
    )
    offsets: list[int] = []
    errors: list[str] = []

    def delivered(error: object, message: object) -> None:
        if error is not None:
            errors.append(str(error))
        else:
            offsets.append(message.offset())  # type: ignore[attr-defined]

    for value in values:
        producer.produce(topic, value, key, partition, on_delivery=delivered)
    producer.flush(60)
    assert not errors, errors
    assert len(offsets) == len(values)
    return offsets


def set_topic(kafka: str, topic: str, **settings: str) -> None:
    """Change settings of a topic, with `_` for `.` in their names. Blocking."""
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    admin = AdminClient({"bootstrap.servers": kafka})
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def give_partitions(kafka: str, topic: str, count: int) -> None:
    """Bring it to that number of partitions. Blocking."""
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_partitions([NewPartitions(topic, count)]).values():
        future.result(30)


def delete_topic(kafka: str, topic: str) -> None:
    """Blocking."""
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.delete_topics([topic]).values():
        future.result(30)
