"""Ask a broker who it is and whether it serves groups, set up its topics, and tell the others that one has ended.

Each question is a single Kafka request, sent without a client library.
"""

import asyncio
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from hotswap_stream.broker.ports import HOST

_METADATA, _METADATA_VERSION = 3, 5
_FIND_COORDINATOR, _FIND_COORDINATOR_VERSION = 10, 1
_INCREMENTAL_ALTER_CONFIGS, _INCREMENTAL_ALTER_CONFIGS_VERSION = 44, 0
_UNREGISTER_BROKER, _UNREGISTER_BROKER_VERSION = 64, 0
_BROKER_ID_NOT_REGISTERED = 102
_NO_TAGS = b"\0"
"""At the end of a header and of a body, in those requests that may carry tagged fields."""
_RESOURCE_TOPIC, _SET = 2, 0
_CORRELATION_ID = 1
_ANSWER_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """What one broker said: the cluster's id and the ids of the brokers that are registered and unfenced."""

    cluster_id: str | None
    broker_ids: frozenset[int]


async def ask_cluster(port: int, timeout_s: float) -> ClusterSeen | None:
    """Ask the broker on a loopback port who it is; None when nothing there speaks Kafka within `timeout_s`."""
    # No topics (an empty array), no topic creation.
    answer = await ask_broker(port, _METADATA, _METADATA_VERSION, struct.pack(">ib", 0, 0), timeout_s)
    try:
        return None if answer is None else parse_cluster(answer)
    except (struct.error, UnicodeDecodeError):
        return None


async def ask_for_coordinator(port: int, timeout_s: float) -> bool:
    """Return whether groups can form. The first question makes the broker create the topic of group offsets."""
    group = b"hotswap-stream"
    body = struct.pack(">h", len(group)) + group + struct.pack(">b", 0)
    answer = await ask_broker(port, _FIND_COORDINATOR, _FIND_COORDINATOR_VERSION, body, timeout_s)
    if answer is None or len(answer) < 10:
        return False
    (error_code,) = struct.unpack_from(">h", answer, 8)  # after the correlation id and the throttle time
    return bool(error_code == 0)


async def unregister_broker(controller_port: int, node_id: int, timeout_s: float) -> bool:
    """Have the controllers forget a broker whose process has ended, so that other brokers lead what it led.

    It is registered anew when it is started again. One that runs would be lost to the cluster until then.

    Args:
        controller_port: Where a controller listens on the loopback interface.
        node_id: The broker's.
        timeout_s: How long the controller may take.

    Returns:
        Whether the cluster has no such broker now. Only the controller that is active can say so.
    """
    body = _NO_TAGS + struct.pack(">i", node_id) + _NO_TAGS
    answer = await ask_broker(controller_port, _UNREGISTER_BROKER, _UNREGISTER_BROKER_VERSION, body, timeout_s)
    if answer is None or len(answer) < 11:
        return False
    (error_code,) = struct.unpack_from(">h", answer, 9)  # after the correlation id, no tags, and the throttle time
    return error_code in (0, _BROKER_ID_NOT_REGISTERED)


async def set_topic_configs(port: int, configs: Mapping[str, Mapping[str, str]], timeout_s: float) -> frozenset[str]:
    """Set some settings of topics, and leave the others as they are.

    Args:
        port: Port of the broker on the loopback interface.
        configs: Topic → setting → value.
        timeout_s: How long the broker may take.

    Returns:
        The names of the topics where that was done.
    """
    resources = b"".join(
        struct.pack(">b", _RESOURCE_TOPIC)
        + _encoded(topic)
        + struct.pack(">i", len(values))
        + b"".join(_encoded(name) + struct.pack(">b", _SET) + _encoded(value) for name, value in values.items())
        for topic, values in configs.items()
    )
    body = struct.pack(">i", len(configs)) + resources + struct.pack(">?", False)
    answer = await ask_broker(port, _INCREMENTAL_ALTER_CONFIGS, _INCREMENTAL_ALTER_CONFIGS_VERSION, body, timeout_s)
    try:
        return frozenset() if answer is None else _parse_altered(answer)
    except (struct.error, UnicodeDecodeError):
        return frozenset()


def _parse_altered(answer: bytes) -> frozenset[str]:
    _correlation_id, _throttle_ms, count = struct.unpack_from(">iii", answer)
    at, done = 12, set()
    for _ in range(count):
        (error_code,) = struct.unpack_from(">h", answer, at)
        _message, at = _string(answer, at + 2)
        name, at = _string(answer, at + 1)
        if error_code == 0 and name is not None:
            done.add(name)
    return frozenset(done)


def _encoded(text: str) -> bytes:
    value = text.encode()
    return struct.pack(">h", len(value)) + value


async def ask_broker(port: int, api: int, api_version: int, body: bytes, timeout_s: float) -> bytes | None:
    """Send one request with a header of version 1, and return the body of the answer.

    None when nothing answers within `timeout_s`.
    """
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                request = struct.pack(">hhih", api, api_version, _CORRELATION_ID, -1) + body  # header v1, no client id
                writer.write(struct.pack(">i", len(request)) + request)
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                return await reader.readexactly(size) if 0 < size <= _ANSWER_BYTES_MAX else None
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return None


def parse_cluster(answer: bytes) -> ClusterSeen | None:
    """Read the body of a Metadata v5 response, after its size. None when it belongs to another request."""
    correlation_id, _throttle_ms, broker_count = struct.unpack_from(">iii", answer)
    if correlation_id != _CORRELATION_ID:
        return None
    at = 12
    broker_ids = set()
    for _ in range(broker_count):
        (node_id,) = struct.unpack_from(">i", answer, at)
        _host, at = _string(answer, at + 4)
        _rack, at = _string(answer, at + 4)
        broker_ids.add(node_id)
    cluster_id, at = _string(answer, at)
    return ClusterSeen(cluster_id=cluster_id, broker_ids=frozenset(broker_ids))


def _string(answer: bytes, at: int) -> tuple[str | None, int]:
    (length,) = struct.unpack_from(">h", answer, at)
    if length < 0:
        return None, at + 2
    return answer[at + 2 : at + 2 + length].decode(), at + 2 + length
