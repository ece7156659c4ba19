"""The id that Kafka gave a topic when it was made, which no other topic anywhere has."""

import base64
from io import BytesIO
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.sessions import open_admin

_NO_ID = b"\0" * 16


class _Uuid:
    """16 bytes, as they are."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka is not typed
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequest_v12(RequestStruct):  # type: ignore[misc]  # noqa: N801 - as aiokafka names them
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicsWithIds(Request[_MetadataRequest_v12]):  # type: ignore[misc]
    """aiokafka's own requests are from before topics had ids. This one never makes a topic."""

    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([(_NO_ID, self._topic, {})], False, False, {})


async def topic_identity(connection: KafkaConnection, topic: str) -> str:
    """Return the topic's id, as Kafka writes ids; in a cluster that gives none, the cluster's.

    Raises:
        LogUnavailableError: There is no such topic, or the cluster cannot be asked.
    """
    try:
        async with open_admin(connection.client_options()) as admin:
            found = await admin._send_request(_TopicsWithIds(topic))
    except (KafkaError, OSError) as error:
        raise LogUnavailableError(f"Kafka at {connection.bootstrap_servers}: {error!r}") from error
    topic_id = next((each[2] for each in found.topics if each[1] == topic and not each[0]), None)
    if topic_id is None:
        raise LogUnavailableError(f"topic {topic!r} is not there")
    if topic_id == _NO_ID:
        return _safe(str(found.cluster_id))
    return base64.urlsafe_b64encode(topic_id).decode("ascii").rstrip("=")


def _safe(cluster_id: str) -> str:
    """Return a cluster's id, which may have any characters, as letters and digits."""
    return base64.urlsafe_b64encode(cluster_id.encode()).decode("ascii").rstrip("=")[:64]
