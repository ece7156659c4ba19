"""Faust, contained: with `contained_faust`, the only module that imports it.

What Faust does here: consume, hold the table with its changelog, commit. What it may not do, each for a reason measured
on faust-streaming 0.15.3:

- acknowledge by itself: its streams acknowledge an event when an agent raises or is cancelled, and a commit then skips
  it. Streams are `noack`; an event is acknowledged by us, after the agent's body ended well.
- go on after an event that was not acknowledged: its commit rule takes a gap of one for none. A body that fails
  therefore holds its stream for ever, and the process ends.
- fetch between restoring its table and going back to the committed offsets: it clears its queues after it went back,
  and what it fetched in between was lost (13 of 1,000 commands in 1 of 27 kills under load); see `ContainedRecovery`.
- go back only where something was committed: what it had fetched of a new partition, and dropped because it was not
  restored yet, was never read again (a process killed before its first commit); see `ContainedConsumerThread`.
- create topics: it would choose their settings. Nor may its questions about topics make the broker create them.
- commit offsets while what they led to is not yet in a changelog: it waits for its own buffer for a tenth of a second,
  and never hears that a record was refused; see `ContainedBuffer`.
- read what a transaction did not commit; see `ContainedConsumerThread`.
- wait, when it restores a table, for an offset at the changelog's end that holds no record; see `ContainedRecovery`.
- decide alone that all is well: a recovery or a consumer that stands still logs nothing; see `ProgressWatch`.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import faust
import faust.streams
import structlog
from aiokafka.errors import KafkaError
from faust.auth import OAuthCredentials
from faust.exceptions import ProducerSendError

from hotswap_stream.agents.contained_faust import ContainedApp, ContainedTableManager
from hotswap_stream.application.topics.access import KafkaAccess
from hotswap_stream.application.topics.records import InboundRecord, OutboundRecord
from hotswap_stream.errors import ConfigurationError, LogUnavailableError

_log = structlog.get_logger(__name__)

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 10.0
PUBLISH_SECONDS_MAX = 20.0
SESSION_SECONDS = 10
HEARTBEAT_SECONDS = 3
COMMIT_SECONDS = 0.3
BUFFERED_RECORDS_MAX = 500
"""Records read ahead per topic; of at most 1 MiB each."""

Body = Callable[[InboundRecord], Awaitable[None]]
"""What an agent does with one record. Returning acknowledges it; raising ends the process before that."""


class FaustAgents:
    """One Faust app: a table, and bodies fed one record after the other, per topic.

    `group` is the consumer group and `instance` names this process in it for good, so that it gets its partitions back
    at once when it is started again. `table_topic` is the table's changelog. Build and use it in one event loop.
    """

    def __init__(self, access: KafkaAccess, *, group: str, instance: str, table_topic: str) -> None:
        if getattr(faust.streams, "_CStreamIterator", None) is None:
            raise ConfigurationError(
                "faust-streaming runs without its compiled parts, and would then acknowledge records it skips: "
                "unset NO_CYTHON and install a wheel of faust-streaming built for this platform"
            )
        self._app = ContainedApp(
            group,
            broker=[f"kafka://{server.strip()}" for server in access.bootstrap_servers.split(",")],
            broker_credentials=_credentials(access),
            broker_session_timeout=SESSION_SECONDS,
            broker_heartbeat_interval=HEARTBEAT_SECONDS,
            broker_commit_interval=COMMIT_SECONDS,
            consumer_group_instance_id=instance,
            consumer_auto_offset_reset="earliest",
            producer_linger=0,
            producer_request_timeout=PUBLISH_SECONDS_MAX,
            processing_guarantee="at_least_once",
            store="memory://",
            table_standby_replicas=0,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_wait_empty=False,
            stream_buffer_maxsize=BUFFERED_RECORDS_MAX,
            web_enabled=False,
            worker_redirect_stdouts=False,
            autodiscover=False,
            TableManager=ContainedTableManager,
        )
        self._table = self.add_table("table", table_topic, partitions=1)
        self._failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._ended: asyncio.Task[Any] | None = None

    @property
    def table(self) -> MutableMapping[bytes, bytes]:
        """The table; change it only from a body, which must be fed by a topic of one partition."""
        return self._table

    def add_table(self, name: str, topic: str, *, partitions: int) -> MutableMapping[bytes, bytes]:
        """Return one more table. Call it before `start`.

        Change the table only from bodies fed by topics of as many partitions: what a body changes is in the partition
        that its record is in.

        Args:
            name: Of the table, in the app.
            topic: Its changelog, which must exist.
            partitions: Of the changelog.
        """
        table: MutableMapping[bytes, bytes] = self._app.Table(
            name,
            key_type=bytes,
            value_type=bytes,
            partitions=partitions,
            changelog_topic=self._app.topic(
                topic, **_BYTES, partitions=partitions, compacting=True, acks=False, internal=True, allow_empty=True
            ),
        )
        return table

    def consume(self, topic: str, body: Body) -> None:
        """Feed `body` with the records of a topic. Call it before `start`."""
        next_offsets: dict[tuple[int, int], int] = {}

        async def agent(stream: Any) -> None:
            unacknowledged = stream.noack()
            async for event in unacknowledged.events():
                record = _inbound(event.message)
                assignment = (event.message.generation_id, record.partition)
                expected = next_offsets.get(assignment, record.offset)
                if record.offset > expected:
                    # Retention, transaction markers and aborted records leave holes: nothing to warn of.
                    _log.info("offsets_without_records", topic=topic, partition=record.partition, first_offset=expected)
                next_offsets[assignment] = record.offset + 1
                try:
                    await body(record)
                except Exception as error:  # noqa: BLE001 - whatever it is, the record must not be acknowledged
                    self._fail(error)
                    await asyncio.get_running_loop().create_future()
                await unacknowledged.ack(event)

        self._app.agent(self._app.topic(topic, **_BYTES, allow_empty=True), name=f"agent:{topic}", concurrency=1)(agent)

    async def publish(self, record: OutboundRecord) -> None:
        """Return once all in-sync replicas have the record.

        Raises:
            LogUnavailableError: That cannot be known in time.
        """
        try:
            async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                await self._app.producer.send_and_wait(
                    record.topic, record.key, record.value, None, None, list(record.headers)
                )
        except (ProducerSendError, KafkaError, TimeoutError) as error:
            raise LogUnavailableError(f"a record for {record.topic!r} was not confirmed: {error!r}") from error

    async def flush(self) -> None:
        """Return once the changelogs have all that was written into the tables.

        Raises:
            LogUnavailableError: They have not in time.
        """
        try:
            async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                await self._app.producer.flush()
            self._app.check_changelogs()
        except (ProducerSendError, KafkaError, TimeoutError) as error:
            raise LogUnavailableError(f"the tables' changelogs were not confirmed: {error!r}") from error

    async def start(self) -> None:
        """Join the group, restore the tables, begin to consume.

        Raises:
            LogUnavailableError: That takes too long.
        """
        starting = asyncio.create_task(self._app.start(), name="faust-start")
        ended = self._ended = asyncio.create_task(self._wait_ended(), name="faust-ended")
        await asyncio.wait(
            {starting, ended, self._failure}, timeout=START_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED
        )
        if starting.done() and not self._failure.done():
            try:
                await starting
            except Exception as error:
                raise LogUnavailableError(f"Faust did not start: {error!r}") from error
            return
        starting.cancel()
        if self._failure.done():
            raise self._failure.result()
        raise LogUnavailableError(f"Faust did not start within {START_SECONDS_MAX} s: {self._app.crash_reason!r}")

    async def failure(self) -> BaseException:
        """Wait until something went wrong for good, and return it."""
        ended = self._ended
        waiting = {self._failure} if ended is None else {self._failure, ended}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._failure.done():
            return self._failure.result()
        return LogUnavailableError(f"Faust ended: {self._app.crash_reason!r}")

    def owns(self, topic: str) -> bool:
        """Return whether this process was given partitions of the topic."""
        return bool(self.owned_partitions(topic))

    def owned_partitions(self, topic: str) -> frozenset[int]:
        """Return the partitions of the topic that this process was given."""
        return frozenset(found.partition for found in self._app.consumer.assignment() if found.topic == topic)

    async def stop(self) -> bool:
        """Commit what was acknowledged and leave.

        Returns:
            False when Faust did not manage in time: its threads still run, and only the end of the process ends them.
        """
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await self._app.stop()
        except Exception as error:  # noqa: BLE001 - nothing is lost: what was not committed is read again
            _log.warning("faust_stop_failed", cause=repr(error))
            return False
        finally:
            if self._ended is not None:
                self._ended.cancel()
        return True

    async def _wait_ended(self) -> None:
        await self._app.wait_for_stopped()

    def _fail(self, error: BaseException) -> None:
        if not self._failure.done():
            self._failure.set_result(error)


_BYTES: dict[str, Any] = {
    "key_type": bytes,
    "value_type": bytes,
    "key_serializer": "raw",
    "value_serializer": "raw",
}


def _inbound(message: Any) -> InboundRecord:
    return InboundRecord(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=round(message.timestamp * 1000),
        key=message.key,
        value=message.value,
        headers=tuple(message.headers or ()),
    )


def _credentials(access: KafkaAccess) -> Any:
    """Return Faust's word for the cluster's security; None for none. ConfigurationError."""
    options = access.client_options()
    context = options.get("ssl_context")
    match access.security_protocol:
        case "PLAINTEXT":
            return None
        case "SSL":
            return faust.SSLCredentials(context)
    if "sasl_oauth_token_provider" in options:
        return OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    return faust.SASLCredentials(
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        ssl_context=context,
        mechanism=options["sasl_mechanism"],
    )
