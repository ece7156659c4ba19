"""The registry: command handling on top of a follower that folds the log.

Decide on the fold, append the decision as one batch, read it back. If another writer came first, the batch is void for
everyone; the fold has moved on, so decide again. No lock is held across processes and no leader is needed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from weakref import WeakValueDictionary

import structlog

from hotswap_events.commands import AnyCommand, CommandResult, Refusal
from hotswap_events.envelope import GENESIS
from hotswap_events.log_stream import LOG_STREAM, LogBegun, LogEvent
from hotswap_events.registry import ModelTrained, RegistryEvent
from hotswap_stream.application.clock import Clock, Ids
from hotswap_stream.application.log.identity import LogMemory
from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.application.registry.command_results import accepted, refused, unchanged
from hotswap_stream.application.registry.event_writer import EventWriter
from hotswap_stream.application.registry.fold import Applied, AppliedToLog, Stream
from hotswap_stream.application.registry.follower import RegistryFollower
from hotswap_stream.domain.decide import Decision, decide
from hotswap_stream.domain.emergency_rules import STEPS, emergency
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.versions.validation import DEFAULT_VALIDATION_POLICY, ValidationPolicy
from hotswap_stream.errors import (
    AppendOutcomeUnknownError,
    DecisionTooLargeError,
    HotswapError,
    LogReplacedError,
    LogUnavailableError,
    UnreadableEventError,
)

_log = structlog.get_logger(__name__)

DECIDE_ATTEMPTS_MAX = 64


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
        on_model_created: Callable[[str], Awaitable[None]] | None = None,
        on_artifact_named: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`on_artifact_named` is called with the digest before an event is written that names an artifact; what it
        raises keeps the event from being written."""
        super().__init__(log, memory=memory)
        self._ids = ids
        self._source = source
        self._writer = EventWriter(clock=clock, ids=ids, source=source)
        self._begins_log = begins_log
        self._policy = policy
        self._on_model_created = on_model_created
        self._on_artifact_named = on_artifact_named
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def handle(self, command: AnyCommand) -> CommandResult:
        """Apply one command once. Refusals come back as results.

        LogUnavailableError: nothing was written. AppendOutcomeUnknownError: it may have been; the same command again,
        with the same id, finds out. LogReplacedError: another log stands in the place of the one that was followed.
        UnreadableEventError: only a newer release may decide this command on this model.
        """
        async with self._locks.setdefault(command.model_name, asyncio.Lock()):
            for _attempt in range(DECIDE_ATTEMPTS_MAX):
                result = await self._try(command)
                if result is not None:
                    return result
            return CommandResult(
                command_id=command.command_id,
                status="failed",
                model_name=command.model_name,
                detail=f"lost against other writers {DECIDE_ATTEMPTS_MAX} times; send it again, same command_id",
            )

    async def _try(self, command: AnyCommand) -> CommandResult | None:
        """One round of decide, append, read back; None when another writer won and it must be decided again."""
        model_name = command.model_name
        self.check_followed()
        decision = self._decide(command)
        if isinstance(decision, Refusal) or not decision.events:
            # Nothing was appended that would have found out a stale fold: read to the end before answering.
            await self.catch_up()
            decision = self._decide(command)
            if isinstance(decision, Refusal):
                return refused(command, decision)
            if not decision.events:
                await self._check_log()
                return unchanged(command, self.stream(model_name), decision.unchanged_because)
        state, read_to = self.state(model_name), self.fold.next_offset
        is_new, sequence = not state.exists, state.sequence + len(decision.events)
        # Before anything is waited for: what is folded meanwhile must make these events void, not be built upon.
        values = self._encode(command, decision.events)
        await self._name_artifacts(decision.events)
        try:
            first_offset = await self.log.append(model_name.encode(), values)
        except DecisionTooLargeError as error:
            return refused(command, Refusal(code="invalid-value", reason=f"the command carries too much: {error}"))
        except AppendOutcomeUnknownError:
            with suppress(LogUnavailableError):
                await self.catch_up()
            if command.command_id not in self.state(model_name).command_ids:
                raise
            result = unchanged(command, self.stream(model_name), "applied, though the log did not confirm it")
        else:
            if not await self._read_back(first_offset, values, read_to):
                return None
            last_offset = first_offset + len(values) - 1
            result = accepted(command, decision.events, last_offset=last_offset, sequence=sequence)
        if is_new and self._on_model_created is not None:
            await self._on_model_created(model_name)
        return result

    async def _name_artifacts(self, events: tuple[RegistryEvent, ...]) -> None:
        if self._on_artifact_named is not None:
            for data in events:
                if isinstance(data, ModelTrained):
                    await self._on_artifact_named(data.artifact.digest)

    async def _read_back(self, first_offset: int, values: list[bytes], read_to: int) -> bool:
        """Whether what was appended counts. `read_to`: the log was folded up to there before.

        LogReplacedError when it was appended to another log than the one that is followed.
        """
        if first_offset < read_to:
            self._condemn(first_offset)
        try:
            await self.wait_for_offset(first_offset + len(values))
        except LogReplacedError:
            raise
        except LogUnavailableError as error:
            raise AppendOutcomeUnknownError(f"appended at offset {first_offset}, not read back: {error}") from error
        entry = self._folded.get(first_offset)
        # By what it is, not by where it stands: in another log the same offset is another record's.
        if entry is not None and entry.record.value != values[0]:
            self._condemn(first_offset)
        try:
            await self._check_log()
        except LogReplacedError:
            raise
        except LogUnavailableError as error:
            _log.warning("registry_log_not_looked_at", cause=str(error))
        return entry is not None and isinstance(entry.outcome, Applied | AppliedToLog)

    def _decide(self, command: AnyCommand) -> Decision:
        state = self.state(command.model_name)
        known = state.unknown_event_type is None or command.command_id in state.command_ids
        if not known and emergency(state, command) is None:
            raise UnreadableEventError(
                f"model {command.model_name!r} has an event {state.unknown_event_type!r} that this release cannot "
                f"read; it can {', '.join(STEPS)}, and for all else send commands through the newer release"
            )
        return decide(state, command, self._policy)

    def _encode(self, command: AnyCommand, events: tuple[RegistryEvent, ...]) -> list[bytes]:
        stream = self.stream(command.model_name) or Stream(ModelState(command.model_name))
        return self._writer.values(
            command.model_name,
            events,
            sequence=stream.state.sequence,
            previous=stream.head_digest,
            actor=command.actor,
            reason=command.reason,
            command_id=command.command_id,
            correlation_id=command.correlation_id,
            traceparent=command.traceparent,
        )

    async def record(self, data: LogEvent, *, actor: str, command_id: str, reason: str | None = None) -> int:
        """Write an event of the log itself, not of a model; returns its offset. The errors are those of `handle`."""
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
            if await self._read_back(offset, values, read_to):
                return offset
        raise LogUnavailableError(f"lost against other writers {DECIDE_ATTEMPTS_MAX} times; try again")

    async def _on_empty(self) -> None:
        """Give an empty log an identity. Several may do so at once: the first beginning counts."""
        if not self._begins_log:
            return
        begun = LogBegun(log_id=self._ids.new_id())
        values = self._writer.values(
            LOG_STREAM, (begun,), sequence=0, previous=GENESIS, actor=self._source, command_id=begun.log_id
        )
        try:
            await self.log.append(LOG_STREAM.encode(), values)
        except HotswapError as error:  # who may only read can read an empty log
            _log.warning("registry_log_not_begun", cause=str(error))
