"""The registry: a follower that folds the log, and command handling on top of it.

Decide on the fold, append the decision as one batch, read it back. If another writer came first, the batch is void for
everyone; the fold has moved on, so decide again. No lock is held across processes and no leader is needed.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn
from weakref import WeakValueDictionary

import structlog
from msgspec import Struct

from hotswap_events.commands import AnyCommand, CommandResult, Refusal
from hotswap_events.envelope import GENESIS
from hotswap_events.log_stream import LOG_STREAM, LogBegun, LogEvent
from hotswap_events.registry import ModelTrained, RegistryEvent
from hotswap_stream.application.command_results import accepted, refused, unchanged
from hotswap_stream.application.event_writer import EventWriter
from hotswap_stream.application.identity import Clock, Ids
from hotswap_stream.application.log_guard import LogGuard
from hotswap_stream.application.log_identity import LogMemory, SeenLog
from hotswap_stream.application.registry_fold import Applied, AppliedToLog, Outcome, RegistryFold, Stream, Void
from hotswap_stream.application.registry_log import LogRecord, RegistryLog
from hotswap_stream.domain.decide import Decision, decide
from hotswap_stream.domain.emergency_rules import STEPS, emergency
from hotswap_stream.domain.state import ModelState
from hotswap_stream.domain.validation import DEFAULT_VALIDATION_POLICY, ValidationPolicy
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
        memory: LogMemory | None = None,
        begins_log: bool = False,
        on_model_created: Callable[[str], Awaitable[None]] | None = None,
        on_artifact_named: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`on_artifact_named` is called with the digest before an event is written that names an artifact; what it
        raises keeps the event from being written."""
        self.log = log
        self.fold = RegistryFold()
        self.tail: deque[TailEntry] = deque(maxlen=TAIL_RECORDS_MAX)
        self._ids = ids
        self._source = source
        self._writer = EventWriter(clock=clock, ids=ids, source=source)
        self._begins_log = begins_log
        self._policy = policy
        self._on_model_created = on_model_created
        self._on_artifact_named = on_artifact_named
        self._guard = LogGuard(log, memory)
        self._folded: OrderedDict[int, TailEntry] = OrderedDict()
        self._listeners: list[Listener] = []
        self.listener_failures = 0
        """Records of which a listener could not take in what they mean."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._moved = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._lost: LogReplacedError | None = None

    async def start(self) -> None:
        """Connect, fold the log up to its present end, and go on following it. LogUnavailableError when it cannot,
        LogReplacedError when it is not the log that was seen before."""
        await self.log.start()
        try:
            end = await self._guard.begin()
            if end == 0 and self._begins_log:
                await self._begin_log()
                end = await self.log.end_offset()
            self._follower = asyncio.create_task(self._follow_guarded(), name="registry-follower")
            await self.wait_for_offset(end)
            if (obstacle := self.log.obstacle(seconds_min=0.0)) is not None:
                _log.warning("registry_log_held_back", cause=obstacle)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop following and disconnect."""
        if self._follower is not None:
            self._follower.cancel()
            # A client may swallow a cancellation; it ends all the same once the log is stopped.
            await asyncio.wait({self._follower}, timeout=STOP_SECONDS_MAX)
        if self._lost is None:
            self._guard.remember()
        await self.log.stop()
        if self._follower is not None:
            await asyncio.wait({self._follower}, timeout=STOP_SECONDS_MAX)
            if not self._follower.done():
                _log.warning("follower_left_behind", seconds_max=STOP_SECONDS_MAX)
            elif not self._follower.cancelled():
                self._follower.exception()  # looked at: what ended it was told to those who waited for it

    @property
    def healthy(self) -> bool:
        """Whether the log is followed, and is the one that it was."""
        return self._lost is None and self._follower is not None and not self._follower.done()

    @property
    def seen_log(self) -> SeenLog | None:
        """Which log is followed, and how far it was read; None before it has a record."""
        return self._guard.seen

    @property
    def log_identity(self) -> str | None:
        """SHA-256 of the log's first record, hex: no other log has it. None before there is one."""
        return None if self._guard.seen is None else self._guard.seen.identity

    def check_followed(self) -> None:
        """LogUnavailableError when the log is not followed, LogReplacedError when it is not the one that it was: then
        what this process knows of it is old, and nothing may be decided on it."""
        if self._lost is not None:
            raise LogReplacedError(str(self._lost)) from self._lost
        if self._follower is None:
            raise LogUnavailableError("the registry log is not being followed: start the registry first")
        if self._follower.done():
            cause = None if self._follower.cancelled() else self._follower.exception()
            if isinstance(cause, LogReplacedError):
                raise LogReplacedError(str(cause)) from cause
            raise LogUnavailableError(f"the registry log is no longer followed: {cause or 'stopped'}") from cause

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
        read_to, end = self.fold.next_offset, await self.log.end_offset()
        self.check_followed()
        if end < read_to:
            await self._check_log()
        await self.wait_for_offset(end)

    async def wait_for_offset(self, next_offset: int, seconds_max: float = READ_BACK_SECONDS_MAX) -> None:
        """Wait until all records before `next_offset` are folded.

        LogUnavailableError when none comes for `seconds_max`: a long log may take its time as long as it moves.
        """
        while self.fold.next_offset < next_offset:
            try:
                async with asyncio.timeout(seconds_max):
                    await self.wait_for_change()
            except TimeoutError:
                obstacle = self.log.obstacle(seconds_min=0.0)
                raise LogUnavailableError(
                    f"the registry log stands at offset {self.fold.next_offset} for {seconds_max} s; "
                    f"offset {next_offset - 1} was waited for" + ("" if obstacle is None else f": {obstacle}")
                ) from None

    async def wait_for_change(self) -> None:
        """Wait until one more record is folded, or the follower ends. LogUnavailableError when it had ended before."""
        self.check_followed()
        moved = self._moved
        waiter, follower = asyncio.ensure_future(moved.wait()), self._follower
        try:
            await asyncio.wait({waiter, *([follower] if follower else [])}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()

    async def ended(self) -> None:
        """Wait until the log is not followed any more, and raise the LogUnavailableError that says why."""
        if self._follower is not None:
            await asyncio.wait({self._follower})
        self.check_followed()

    async def _follow_guarded(self) -> None:
        """Follow until the log is stopped, or is another one."""
        watching = asyncio.create_task(self._guard.watch(), name="registry-guard")
        following = asyncio.create_task(self._follow(), name="registry-reader")
        try:
            await asyncio.wait({watching, following}, return_when=asyncio.FIRST_COMPLETED)
            for task in (watching, following):
                if task.done():
                    task.result()
        except LogReplacedError as error:
            self._lose(error)
            raise
        finally:
            for task in (watching, following):
                task.cancel()
            await asyncio.gather(watching, following, return_exceptions=True)

    async def _follow(self) -> None:
        async for page in self.log.follow(self.fold.next_offset):
            for record in page.records:
                self._fold_record(record)
            self.fold.pass_over(page.next_offset)
            self._guard.read_to(self.fold.next_offset)
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    def _lose(self, error: LogReplacedError) -> None:
        """From here on nothing is decided: what was folded is not what the log holds."""
        if self._lost is None:
            self._lost = error
            _log.error("registry_log_replaced", cause=str(error))

    async def _check_log(self) -> None:
        """LogReplacedError when the log there is not the one that is followed. LogUnavailableError."""
        try:
            await self._guard.check()
        except LogReplacedError as error:
            self._lose(error)
            if self._follower is not None:
                self._follower.cancel()
            raise

    def _fold_record(self, record: LogRecord) -> None:
        if self._guard.seen is None:
            self._guard.read(record)
        outcome = self.fold.apply(record)
        if isinstance(outcome, Void):
            write = _log.debug if outcome.kind == "conflict" else _log.warning
            write("event_void", offset=record.offset, kind=outcome.kind, reason=outcome.reason)
        entry = self._folded[record.offset] = TailEntry(record, outcome)
        if len(self._folded) > TAIL_RECORDS_MAX:
            self._folded.popitem(last=False)
        self.tail.append(entry)
        for listener in tuple(self._listeners):
            try:
                listener(entry)
            except Exception:  # noqa: BLE001 - what one listener makes of one record must not end the fold for all
                self.listener_failures += 1
                _log.exception("listener_failed", offset=record.offset)

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

    def _condemn(self, offset: int) -> NoReturn:
        """A record of ours stands where another one was read."""
        error = self._guard.overtaken(offset)
        self._lose(error)
        if self._follower is not None:
            self._follower.cancel()
        raise error

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

    async def _begin_log(self) -> None:
        """Give an empty log an identity. Several may do so at once: the first beginning counts."""
        begun = LogBegun(log_id=self._ids.new_id())
        values = self._writer.values(
            LOG_STREAM, (begun,), sequence=0, previous=GENESIS, actor=self._source, command_id=begun.log_id
        )
        try:
            await self.log.append(LOG_STREAM.encode(), values)
        except HotswapError as error:  # who may only read can read an empty log
            _log.warning("registry_log_not_begun", cause=str(error))
