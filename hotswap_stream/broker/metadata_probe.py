"""Ask a broker who it is: one Kafka Metadata request over a socket, without a client library's start-up."""

import asyncio
import struct
from dataclasses import dataclass

from hotswap_stream.broker.ports import HOST

_METADATA, _METADATA_VERSION, _CORRELATION_ID = 3, 5, 1
_ANSWER_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """What one broker answered: the cluster's id and the ids of the brokers that are registered and unfenced."""

    cluster_id: str | None
    broker_ids: frozenset[int]


async def ask_broker(port: int, timeout_s: float) -> ClusterSeen | None:
    """The answer of the broker on a loopback port; None when nothing there speaks Kafka within `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(_request())
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                if not 0 < size <= _ANSWER_BYTES_MAX:
                    return None
                return parse_answer(await reader.readexactly(size))
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, struct.error, UnicodeDecodeError, IndexError):
        return None


def _request() -> bytes:
    # Header v1 without client id; then no topics (an empty array) and no topic creation.
    body = struct.pack(">hhih", _METADATA, _METADATA_VERSION, _CORRELATION_ID, -1) + struct.pack(">ib", 0, 0)
    return struct.pack(">i", len(body)) + body


def parse_answer(answer: bytes) -> ClusterSeen | None:
    """A Metadata v5 response body after its size. None when it answers another request."""
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
