"""The registry: a follower that folds the log, and command handling on top of it.

Decide on the fold, append the decision as one batch, read it back. If another writer came first, the batch is void for
everyone; the fold has moved on, so decide again. No lock is held across processes and no leader is needed.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from weakref import WeakValueDictionary

import structlog
from msgspec import Struct

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_events.commands import AnyCommand, CommandResult, Refusal
from hotswap_events.registry import ModelPromoted, ModelRolledBack, ModelTrained, RegistryEvent
from hotswap_stream.application.identity import Clock, Ids
from hotswap_stream.application.registry_fold import Applied, Outcome, RegistryFold, Stream, Void
from hotswap_stream.application.registry_log import LogRecord, RegistryLog
from hotswap_stream.domain.decide import decide
from hotswap_stream.domain.state import ModelState
from hotswap_stream.domain.validation import DEFAULT_VALIDATION_POLICY, ValidationPolicy
from hotswap_stream.errors import (
    AppendOutcomeUnknownError,
    DecisionTooLargeError,
    LogUnavailableError,
    UnreadableEventError,
)

_log = structlog.get_logger(__name__)

DECIDE_ATTEMPTS_MAX = 64
TAIL_RECORDS_MAX = 4_096
READ_BACK_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 5.0


class TailEntry(Struct, frozen=True, gc=False):
    """A record of the log with what the fold made of it."""

    record: LogRecord
    outcome: Outcome


Listener = Callable[[TailEntry], None]


class Registry:
    """Follows the log and handles commands. One instance per process; start it, then use it from one event loop."""

    def __init__(
        self,
        log: RegistryLog,
        *,
        clock: Clock,
        ids: Ids,
        source: str,
        policy: ValidationPolicy = DEFAULT_VALIDATION_POLICY,
        on_model_created: Callable[[str], Awaitable[None]] | None = None,
        on_artifact_named: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`on_artifact_named` is called with the digest before an event is written that names an artifact; what it
        raises keeps the event from being written."""
        self.log = log
        self.fold = RegistryFold()
        self.tail: deque[TailEntry] = deque(maxlen=TAIL_RECORDS_MAX)
        self._clock = clock
        self._ids = ids
        self._source = source
        self._policy = policy
        self._on_model_created = on_model_created
        self._on_artifact_named = on_artifact_named
        self._outcomes: OrderedDict[int, Outcome] = OrderedDict()
        self._listeners: list[Listener] = []
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._moved = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, fold the log up to its present end, and go on following it. LogUnavailableError when it cannot."""
        await self.log.start()
        try:
            end = await self.log.end_offset()
            self._follower = asyncio.create_task(self._follow(), name="registry-follower")
            await self.wait_for_offset(end)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop following and disconnect."""
        if self._follower is not None:
            self._follower.cancel()
            # A client may swallow a cancellation; it ends all the same once the log is stopped.
            await asyncio.wait({self._follower}, timeout=STOP_SECONDS_MAX)
        await self.log.stop()
        if self._follower is not None:
            await asyncio.wait({self._follower}, timeout=STOP_SECONDS_MAX)
            if not self._follower.done():
                _log.warning("follower_left_behind", seconds_max=STOP_SECONDS_MAX)
            elif not self._follower.cancelled():
                self._follower.exception()  # looked at: what ended it was told to those who waited for it

    @property
    def healthy(self) -> bool:
        """Whether the follower is running."""
        return self._follower is not None and not self._follower.done()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each record folded from now on, in order; returns the function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def state(self, model_name: str) -> ModelState:
        """The model's state as far as this process has read the log."""
        return self.fold.state(model_name)

    def stream(self, model_name: str) -> Stream | None:
        """The model's stream, or None if it has no events."""
        return self.fold.streams.get(model_name)

    async def catch_up(self) -> None:
        """Read up to the log's present end, so that what any process was answered before is seen."""
        await self.wait_for_offset(await self.log.end_offset())

    async def wait_for_offset(self, next_offset: int, seconds_max: float = READ_BACK_SECONDS_MAX) -> None:
        """Wait until all records before `next_offset` are folded.

        LogUnavailableError when none comes for `seconds_max`: a long log may take its time as long as it moves.
        """
        while self.fold.next_offset < next_offset:
            try:
                async with asyncio.timeout(seconds_max):
                    await self.wait_for_change()
            except TimeoutError:
                raise LogUnavailableError(
                    f"the registry log stands at offset {self.fold.next_offset} for {seconds_max} s; "
                    f"offset {next_offset - 1} was waited for"
                ) from None

    async def wait_for_change(self) -> None:
        """Wait until at least one more record is folded. LogUnavailableError when the follower has ended."""
        if self._follower is None:
            raise LogUnavailableError("the registry log is not being followed: start the registry first")
        if self._follower.done():
            cause = None if self._follower.cancelled() else self._follower.exception()
            raise LogUnavailableError(f"the registry log is no longer followed: {cause or 'stopped'}") from cause
        moved = self._moved
        waiter = asyncio.ensure_future(moved.wait())
        try:
            await asyncio.wait({waiter, self._follower}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()

    async def _follow(self) -> None:
        async for page in self.log.follow(self.fold.next_offset):
            for record in page:
                self._fold_record(record)
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    def _fold_record(self, record: LogRecord) -> None:
        outcome = self.fold.apply(record)
        if isinstance(outcome, Void):
            write = _log.debug if outcome.kind == "conflict" else _log.warning
            write("event_void", offset=record.offset, kind=outcome.kind, reason=outcome.reason)
        self._outcomes[record.offset] = outcome
        if len(self._outcomes) > TAIL_RECORDS_MAX:
            self._outcomes.popitem(last=False)
        entry = TailEntry(record, outcome)
        self.tail.append(entry)
        for listener in tuple(self._listeners):
            listener(entry)

    async def handle(self, command: AnyCommand) -> CommandResult:
        """Apply one command once. Refusals come back as results.

        LogUnavailableError: nothing was written. AppendOutcomeUnknownError: it may have been; the same command again,
        with the same id, finds out. UnreadableEventError: only a newer release may decide on this model.
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
        state = self._decidable(model_name)
        decision = decide(state, command, self._policy)
        if isinstance(decision, Refusal) or not decision.events:
            # Nothing was appended that would have found out a stale fold: read to the end before answering.
            await self.catch_up()
            state = self._decidable(model_name)
            decision = decide(state, command, self._policy)
            if isinstance(decision, Refusal):
                return CommandResult(
                    command_id=command.command_id, status="refused", model_name=model_name, refusal=decision
                )
            if not decision.events:
                return self._unchanged(command, state, decision.unchanged_because)
        if self._on_artifact_named is not None:
            for data in decision.events:
                if isinstance(data, ModelTrained):
                    await self._on_artifact_named(data.artifact.digest)
        is_new, sequence = not state.exists, state.sequence + len(decision.events)
        try:
            values = self._encode(command, decision.events)
            first_offset = await self.log.append(model_name.encode(), values)
        except DecisionTooLargeError as error:
            refusal = Refusal(code="invalid-value", reason=f"the command carries too much: {error}")
            return CommandResult(
                command_id=command.command_id, status="refused", model_name=model_name, refusal=refusal
            )
        except AppendOutcomeUnknownError:
            with suppress(LogUnavailableError):
                await self.catch_up()
            if command.command_id not in self.state(model_name).command_ids:
                raise
            result = self._unchanged(command, self.state(model_name), "applied, though the log did not confirm it")
        else:
            last_offset = first_offset + len(values) - 1
            try:
                await self.wait_for_offset(last_offset + 1)
            except LogUnavailableError as error:
                raise AppendOutcomeUnknownError(f"appended at offset {first_offset}, not read back: {error}") from error
            if not isinstance(self._outcomes.get(first_offset), Applied):
                return None
            result = self._accepted(command, decision.events, last_offset, sequence)
        if is_new and self._on_model_created is not None:
            await self._on_model_created(model_name)
        return result

    def _decidable(self, model_name: str) -> ModelState:
        state = self.state(model_name)
        if state.unknown_event_type is not None:
            raise UnreadableEventError(
                f"model {model_name!r} has an event {state.unknown_event_type!r} that this release cannot read; "
                "send commands through the newer release"
            )
        return state

    def _encode(self, command: AnyCommand, events: tuple[RegistryEvent, ...]) -> list[bytes]:
        stream = self.stream(command.model_name) or Stream(ModelState(command.model_name))
        sequence, previous, now = stream.state.sequence, stream.head_digest, self._clock.now()
        values: list[bytes] = []
        for data in events:
            sequence += 1
            value = REGISTRY_CODEC.encode(
                REGISTRY_CODEC.envelope(
                    data,
                    id=self._ids.new_id(),
                    source=self._source,
                    subject=command.model_name,
                    time=now,
                    sequence=sequence,
                    previous=previous,
                    actor=command.actor,
                    reason=command.reason,
                    causationid=command.command_id,
                    correlationid=command.correlation_id or command.command_id,
                    traceparent=command.traceparent,
                )
            )
            previous = digest_of(value)
            values.append(value)
        return values

    def _unchanged(self, command: AnyCommand, state: ModelState, because: str | None) -> CommandResult:
        stream = self.stream(command.model_name)
        return CommandResult(
            command_id=command.command_id,
            status="unchanged",
            model_name=command.model_name,
            model_version=getattr(command, "model_version", None) or state.active_version,
            offset=None if stream is None else stream.offset,
            sequence=state.sequence,
            detail=because,
        )

    def _accepted(
        self, command: AnyCommand, events: tuple[RegistryEvent, ...], last_offset: int, sequence: int
    ) -> CommandResult:
        previous: str | None = None
        version: str | None = getattr(command, "model_version", None)
        rollout_id: str | None = None
        for data in events:
            rollout_id = getattr(data, "rollout_id", rollout_id)
            if isinstance(data, ModelTrained):
                version = data.model_version
            elif isinstance(data, ModelPromoted):
                version, previous = data.model_version, data.previous_version
            elif isinstance(data, ModelRolledBack):
                version, previous = data.model_version, data.from_version
        return CommandResult(
            command_id=command.command_id,
            status="accepted",
            model_name=command.model_name,
            model_version=version,
            previous_version=previous,
            rollout_id=rollout_id,
            offset=last_offset,
            sequence=sequence,
            event_types=tuple(REGISTRY_CODEC.type_name(data) for data in events),
        )
