"""Command handling: decide on the fold, append the decision as one batch, read it back.

If another writer came first, the batch is void for everyone; the fold has moved on, so decide again. No lock is held
across processes and no leader is needed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from weakref import WeakValueDictionary

from hotswap_events.commands import AnyCommand, CommandResult, Refusal
from hotswap_events.dataset import DatasetBuilt
from hotswap_events.registry.events import ModelTrained, RegistryEvent
from hotswap_events.validation.sets import ValidationSetChosen
from hotswap_stream.application.clock import Clock
from hotswap_stream.application.command_digest import command_digest, used_otherwise
from hotswap_stream.application.registry.command_results import accepted, refused, unchanged
from hotswap_stream.application.registry.event_writer import EventWriter
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.registry.follower import RegistryFollower
from hotswap_stream.domain.decide import Decision, decide
from hotswap_stream.domain.emergency_rules import STEPS, emergency
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.versions.validation import ValidationPolicy
from hotswap_stream.errors import (
    AppendOutcomeUnknownError,
    DecisionTooLargeError,
    LogUnavailableError,
    UnreadableEventError,
)

DECIDE_ATTEMPTS_MAX = 64


class CommandHandler:
    """Handles commands on the log that one follower follows, one command per model at a time.

    `on_model_created` is called with the model's name after the model's first event; `on_artifact_named` with the
    digest before an event is written that names an artifact: what it raises keeps the event from being written.
    """

    def __init__(
        self,
        follower: RegistryFollower,
        writer: EventWriter,
        *,
        clock: Clock,
        policy: ValidationPolicy,
        on_model_created: Callable[[str], Awaitable[None]] | None,
        on_artifact_named: Callable[[str], Awaitable[None]] | None,
    ) -> None:
        self._follower = follower
        self._writer = writer
        self._clock = clock
        self._policy = policy
        self._on_model_created = on_model_created
        self._on_artifact_named = on_artifact_named
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def handle(self, command: AnyCommand, *, actor_by: str | None = None) -> CommandResult:
        """Apply one command once; see `Registry.handle`."""
        async with self._locks.setdefault(command.model_name, asyncio.Lock()):
            for _attempt in range(DECIDE_ATTEMPTS_MAX):
                result = await self._try(command, actor_by)
                if result is not None:
                    return result
            return CommandResult(
                command_id=command.command_id,
                status="failed",
                model_name=command.model_name,
                detail=f"lost against other writers {DECIDE_ATTEMPTS_MAX} times; send it again, same command_id",
            )

    async def _try(self, command: AnyCommand, actor_by: str | None) -> CommandResult | None:
        """Decide, append and read back once.

        Returns:
            The result; None when another writer won and the command must be decided again.
        """
        follower, model_name = self._follower, command.model_name
        follower.check_followed()
        if (late := self._expired(command)) is not None and command.command_id not in follower.state(
            model_name
        ).command_ids:
            return refused(command, late)
        if (mismatch := self._used_otherwise(command)) is not None:
            return refused(command, mismatch)
        decision = self._decide(command)
        if isinstance(decision, Refusal) or not decision.events:
            # Nothing was appended that would have found out a stale fold: read to the end before answering.
            await follower.catch_up()
            if (mismatch := self._used_otherwise(command)) is not None:
                return refused(command, mismatch)
            decision = self._decide(command)
            if isinstance(decision, Refusal):
                return refused(command, decision)
            if not decision.events:
                await follower.check_log()
                return unchanged(command, follower.stream(model_name), decision.note)
        state, read_to = follower.state(model_name), follower.fold.next_offset
        is_new, sequence = not state.exists, state.sequence + len(decision.events)
        # Before anything is waited for: what is folded meanwhile must make these events void, not be built upon.
        values = self._encode(command, decision.events, actor_by)
        await self._name_artifacts(decision.events)
        try:
            first_offset = await follower.log.append(model_name.encode(), values)
        except DecisionTooLargeError as error:
            return refused(command, Refusal(code="invalid-value", reason=f"the command carries too much: {error}"))
        except AppendOutcomeUnknownError:
            with suppress(LogUnavailableError):
                await follower.catch_up()
            if command.command_id not in follower.state(model_name).command_ids:
                raise
            result = unchanged(command, follower.stream(model_name), "applied, though the log did not confirm it")
        else:
            if not await follower.read_back(first_offset, values, read_to):
                return None
            last_offset = first_offset + len(values) - 1
            result = accepted(command, decision.events, last_offset=last_offset, sequence=sequence, note=decision.note)
        if is_new and self._on_model_created is not None:
            await self._on_model_created(model_name)
        return result

    async def _name_artifacts(self, events: tuple[RegistryEvent, ...]) -> None:
        if self._on_artifact_named is not None:
            for data in events:
                if isinstance(data, ModelTrained):
                    await self._on_artifact_named(data.artifact.digest)
                    if data.graph is not None:
                        await self._on_artifact_named(data.graph.digest)
                elif isinstance(data, ValidationSetChosen):
                    await self._on_artifact_named(data.validation_set.artifact_digest)
                elif isinstance(data, DatasetBuilt):
                    await self._on_artifact_named(data.artifact_digest)

    def _used_otherwise(self, command: AnyCommand) -> Refusal | None:
        stream = self._follower.stream(command.model_name)
        return None if stream is None else used_otherwise(command, stream.command_digests)

    def _expired(self, command: AnyCommand) -> Refusal | None:
        """Return the refusal of a command whose time is over: whoever sent it has long done something else."""
        if command.expires_at is None or (now := self._clock.now()) < command.expires_at:
            return None
        late_s = (now - command.expires_at).total_seconds()
        return Refusal(
            code="command-expired",
            reason=f"the command was to be carried out before {command.expires_at.isoformat()}, {late_s:.0f} s ago; "
            "look at what is there now, and send a new one if it still fits",
        )

    def _decide(self, command: AnyCommand) -> Decision:
        state = self._follower.state(command.model_name)
        known = state.unknown_event_type is None or command.command_id in state.command_ids
        if not known and emergency(state, command) is None:
            raise UnreadableEventError(
                f"model {command.model_name!r} has an event {state.unknown_event_type!r} that this release cannot "
                f"read; it can {', '.join(STEPS)}, and for all else send commands through the newer release"
            )
        return decide(state, command, self._policy)

    def _encode(self, command: AnyCommand, events: tuple[RegistryEvent, ...], actor_by: str | None) -> list[bytes]:
        stream = self._follower.stream(command.model_name) or Stream(ModelState(command.model_name))
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
            actor_by=actor_by,
            # Whoever writes to the log himself, the product's parts and its command line, names ids for himself.
            command_digest=None if actor_by is None else command_digest(command),
        )
