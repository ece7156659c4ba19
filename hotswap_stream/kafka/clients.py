"""The asyncio clients of Kafka, built in one place, so that three rules hold for all of them.

No client makes a topic. A broker with `auto.create.topics.enable` (Kafka's default) makes any topic that a client asks
about, with the broker's settings instead of ours, unless the question says otherwise. aiokafka has no setting for that,
so the question is changed on its way.

No consumer reads what a transaction did not commit, nor waits for what only a reader of uncommitted records would see.

A cluster that does not let us in, or that we do not trust, is an error that says which setting decides.

A closed connection ends. In uvloop one with TLS that is closed while an answer is on its way may wait for ever.
"""

import asyncio
from time import monotonic
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

import hotswap_stream.kafka.total_records  # noqa: F401 - whoever connects reads what others wrote, whatever it is
from hotswap_stream.kafka.security.denied import token_not_accepted, why_denied

ISOLATION_LEVEL = "read_committed"

_SECURITY = (
    "_security_protocol",
    "_ssl_context",
    "_sasl_mechanism",
    "_sasl_plain_username",
    "_sasl_plain_password",
    "_sasl_oauth_token_provider",
)

_AT_ONCE_SECONDS = 2.0

_CLOSE_SECONDS_MAX = 0.3
"""How long the other side may take to say goodbye: nothing is lost without it, since who waits for answers has them."""

_AnyClient = TypeVar("_AnyClient")


class _AskingConnection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka is not typed
    """A connection whose questions about topics create none, and whose close ends."""

    def send(self, request: Any, expect_response: bool = True) -> Any:
        if isinstance(request, MetadataRequest):
            request._allow_auto_topic_creation = False
        return super().send(request, expect_response)

    def close(self, reason: Any = None, exc: Any = None) -> Any:
        writer = self._writer
        closed = super().close(reason, exc)
        if writer is not None and not closed.done():
            asyncio.get_running_loop().call_later(_CLOSE_SECONDS_MAX, writer.transport.abort)
        return closed


class _AskingClient(AIOKafkaClient):  # type: ignore[misc]
    """A client all of whose connections are such, and which says why no broker lets it in."""

    async def bootstrap(self) -> None:
        began_s = monotonic()
        try:
            await super().bootstrap()
        except KafkaConnectionError as error:
            if self._security_protocol == "PLAINTEXT" and monotonic() - began_s > _AT_ONCE_SECONDS:
                raise  # servers that are silent do not say why
            options = {name.removeprefix("_"): getattr(self, name) for name in _SECURITY}
            if (denied := await why_denied(self.hosts, options)) is not None:
                raise denied from error
            raise
        if self._sasl_mechanism == "OAUTHBEARER" and not self.cluster.brokers():
            raise token_not_accepted(",".join(f"{host}:{port}" for host, port, _family in self.hosts))

    async def _get_conn(self, node_id: Any, **options: Any) -> Any:
        connection = await super()._get_conn(node_id, **options)
        if connection is not None:
            connection.__class__ = _AskingConnection
        return connection


def consumer(*topics: str, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer with aiokafka's options, not started. It commits nothing unless it is told to."""
    return never_creating(
        AIOKafkaConsumer(*topics, **{"enable_auto_commit": False, **options, "isolation_level": ISOLATION_LEVEL})
    )


def producer(**options: Any) -> AIOKafkaProducer:
    """Return a producer with aiokafka's options, not started. What it sends to a topic that is not there fails."""
    return never_creating(AIOKafkaProducer(**options))


def admin_client(**options: Any) -> AIOKafkaAdminClient:
    """Return an admin client with aiokafka's options, not started. `describe_topics` of a name only asks."""
    return never_creating(AIOKafkaAdminClient(**options))


def never_creating(client: _AnyClient) -> _AnyClient:
    """Return the same client of aiokafka, not started yet, whose questions create no topics from now on."""
    inner = getattr(client, "_client", None) or client.client  # type: ignore[attr-defined]  # a producer's is public
    inner.__class__ = _AskingClient
    return client
