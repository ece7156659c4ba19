"""The registry of one process: it follows the log, handles commands, and writes the log's own events."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext

import structlog

from hotswap_events.commands import AnyCommand, CommandResult
from hotswap_events.envelope import GENESIS
from hotswap_events.log_stream import LOG_STREAM, LogBegun, LogEvent
from hotswap_stream.application.clock import Clock, Ids
from hotswap_stream.application.log.identity import LogMemory
from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.application.registry.commands import DECIDE_ATTEMPTS_MAX, CommandHandler
from hotswap_stream.application.registry.event_writer import EventWriter
from hotswap_stream.application.registry.follower import RegistryFollower
from hotswap_stream.domain.versions.validation import DEFAULT_VALIDATION_POLICY, ValidationPolicy
from hotswap_stream.errors import HotswapError, LogUnavailableError

_log = structlog.get_logger(__name__)


class Registry(RegistryFollower):
    """Follows the log and handles commands. One instance per process; start it, then use it from one event loop."""

    def __init__(
        self,
        log: RegistryLog,
        *,
        clock: Clock,
        ids: Ids,
        source: str,
        policy: ValidationPolicy = DEFAULT_VALIDATION_POLICY,
        memory: LogMemory | None = None,
        begins_log: bool = False,
        begin_alone: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        on_model_created: Callable[[str], Awaitable[None]] | None = None,
        on_artifact_named: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """Make a registry that is not started yet.

        Args:
            log: The log to follow and to append to.
            clock: Dates the events.
            ids: Names the events, and the log if this registry begins it.
            source: Names this process in every event it writes.
            policy: The validation policy of models that have none of their own.
            memory: What earlier processes saw of the log; None remembers nothing.
            begins_log: Whether to give an empty log an identity.
            begin_alone: Opened around that, so that of processes that start together only one does it.
            on_model_created: Called with the model's name after the model's first event.
            on_artifact_named: Called with the digest before an event is written that names an artifact; what it raises
                keeps the event from being written.
        """
        super().__init__(log, memory=memory)
        self._ids = ids
        self._source = source
        self._writer = EventWriter(clock=clock, ids=ids, source=source)
        self._begins_log = begins_log
        self._begin_alone = begin_alone
        self._commands = CommandHandler(
            self,
            self._writer,
            clock=clock,
            policy=policy,
            on_model_created=on_model_created,
            on_artifact_named=on_artifact_named,
        )

    async def handle(self, command: AnyCommand, *, actor_by: str | None = None) -> CommandResult:
        """Apply one command once.

        Args:
            command: What is asked for.
            actor_by: By which way its actor is known, for its events; None: it is what this process says.

        Returns:
            What came of it; a refusal is a result, too.

        Raises:
            LogUnavailableError: Nothing was written.
            AppendOutcomeUnknownError: Something may have been written; the same command again, with the same id, finds
                out.
            LogReplacedError: Another log stands in the place of the one that was followed.
            UnreadableEventError: Only a newer release may decide this command on this model.
        """
        return await self._commands.handle(command, actor_by=actor_by)

    async def record(self, data: LogEvent, *, actor: str, command_id: str, reason: str | None = None) -> int:
        """Write an event of the log itself, not of a model.

        Returns:
            The event's offset.

        Raises:
            HotswapError: One of those of `handle`.
        """
        for _attempt in range(DECIDE_ATTEMPTS_MAX):
            self.check_followed()
            read_to, log = self.fold.next_offset, self.fold.log
            values = self._writer.values(
                LOG_STREAM,
                (data,),
                sequence=log.sequence,
                previous=log.head_digest,
                actor=actor,
                command_id=command_id,
                reason=reason,
            )
            offset = await self.log.append(LOG_STREAM.encode(), values)
            if await self.read_back(offset, values, read_to):
                return offset
        raise LogUnavailableError(f"lost against other writers {DECIDE_ATTEMPTS_MAX} times; try again")

    async def _on_empty(self) -> None:
        """Give an empty log an identity. Several may do so at once: the first beginning counts."""
        if not self._begins_log:
            return
        async with self._begin_alone():
            if not await self.log.end_offset():  # or another process began it meanwhile
                await self._begin()

    async def _begin(self) -> None:
        begun = LogBegun(log_id=self._ids.new_id())
        values = self._writer.values(
            LOG_STREAM, (begun,), sequence=0, previous=GENESIS, actor=self._source, command_id=begun.log_id
        )
        try:
            await self.log.append(LOG_STREAM.encode(), values)
        except HotswapError as error:  # who may only read can read an empty log
            _log.warning("registry_log_not_begun", cause=str(error))
