"""Following the registry's log: the fold of what was read, and whether the log still is the one that it was."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import structlog

from hotswap_stream.application.log.guard import LogGuard
from hotswap_stream.application.log.identity import LogMemory, SeenLog
from hotswap_stream.application.log.port import LogRecord, RegistryLog
from hotswap_stream.application.registry.fold import Applied, AppliedToLog, RegistryFold, Stream, Void
from hotswap_stream.application.registry.tail import Tail, TailEntry
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.errors import AppendOutcomeUnknownError, LogReplacedError, LogUnavailableError

_log = structlog.get_logger(__name__)

READ_BACK_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 5.0


Listener = Callable[[TailEntry], None]


class RegistryFollower:
    """Folds the log as it grows. Start it, then use it from one event loop."""

    def __init__(self, log: RegistryLog, *, memory: LogMemory | None = None) -> None:
        self.log = log
        self.fold = RegistryFold()
        self.tail = Tail()
        self.listener_failures = 0
        """Records of which a listener could not take in what they mean."""
        self._guard = LogGuard(log, memory)
        self._listeners: list[Listener] = []
        self._moved = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._lost: LogReplacedError | None = None

    async def start(self) -> None:
        """Connect, fold the log up to its present end, and go on following it.

        Raises:
            LogUnavailableError: The log cannot be read.
            LogReplacedError: It is not the log that was seen before.
        """
        await self.log.start()
        try:
            end = await self._guard.begin()
            if end == 0:
                await self._on_empty()
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
        """Raise an error when nothing may be decided, because what this process knows of the log is old.

        Raises:
            LogUnavailableError: The log is not followed.
            LogReplacedError: The log is not the one that it was.
        """
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
        """Return the model's state as far as this process has read the log."""
        return self.fold.state(model_name)

    def stream(self, model_name: str) -> Stream | None:
        """Return the model's stream, or None if it has no events."""
        return self.fold.streams.get(model_name)

    async def catch_up(self) -> None:
        """Read up to the log's present end, so that what any process was answered before is seen."""
        read_to, end = self.fold.next_offset, await self.log.end_offset()
        self.check_followed()
        if end < read_to:
            await self.check_log()
        await self.wait_for_offset(end)

    async def wait_for_offset(self, next_offset: int, seconds_max: float = READ_BACK_SECONDS_MAX) -> None:
        """Wait until all records before `next_offset` are folded.

        Raises:
            LogUnavailableError: None came for `seconds_max`: a long log may take its time as long as it moves.
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
        """Wait until one more record is folded, or the follower ends.

        Raises:
            LogUnavailableError: It had ended before.
        """
        self.check_followed()
        moved = self._moved
        waiter, follower = asyncio.ensure_future(moved.wait()), self._follower
        try:
            await asyncio.wait({waiter, *([follower] if follower else [])}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()

    async def ended(self) -> None:
        """Wait until the log is not followed any more.

        Raises:
            LogUnavailableError: Always; it says why the log is not followed.
        """
        if self._follower is not None:
            await asyncio.wait({self._follower})
        self.check_followed()

    async def check_log(self, *, appended: bool = False) -> None:
        """Ask whether the log there still is the one that is followed. `appended`: see `LogGuard.check`.

        Raises:
            LogReplacedError: It is another one.
            LogUnavailableError: It cannot be asked.
        """
        try:
            await self._guard.check(appended=appended)
        except LogReplacedError as error:
            self._lose(error)
            if self._follower is not None:
                self._follower.cancel()
            raise

    async def read_back(self, first_offset: int, values: list[bytes], read_to: int) -> bool:
        """Find out whether what this process appended counts.

        Args:
            first_offset: Offset that the log gave the first of the values.
            values: What was appended, as one batch.
            read_to: The log was folded up to this offset before.

        Returns:
            Whether the first value extends its stream; if not, another writer came first.

        Raises:
            AppendOutcomeUnknownError: The batch could not be read back.
            LogReplacedError: It was appended to another log than the one that is followed.
        """
        if first_offset < read_to:
            self._condemn(first_offset)
        # The append is done: whether it went to this log is asked while it comes back, which saves a way to the broker.
        looking = asyncio.create_task(self.check_log(appended=True), name="registry-look")
        try:
            try:
                await self.wait_for_offset(first_offset + len(values))
            except LogReplacedError:
                raise
            except LogUnavailableError as error:
                raise AppendOutcomeUnknownError(f"appended at offset {first_offset}, not read back: {error}") from error
            entry = self.tail.at(first_offset)
            # By what it is, not by where it stands: in another log the same offset is another record's.
            if entry is not None and entry.record.value != values[0]:
                self._condemn(first_offset)
            try:
                await looking
            except LogReplacedError:
                raise
            except LogUnavailableError as error:
                _log.warning("registry_log_not_looked_at", cause=str(error))
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        return entry is not None and isinstance(entry.outcome, Applied | AppliedToLog)

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
        """Decide nothing from here on: what was folded is not what the log holds."""
        if self._lost is None:
            self._lost = error
            _log.error("registry_log_replaced", cause=str(error))

    def _fold_record(self, record: LogRecord) -> None:
        if self._guard.seen is None:
            self._guard.read(record)
        outcome = self.fold.apply(record)
        if isinstance(outcome, Void):
            write = _log.debug if outcome.kind == "conflict" else _log.warning
            write("event_void", offset=record.offset, kind=outcome.kind, reason=outcome.reason)
        entry = TailEntry(record, outcome)
        self.tail.add(entry)
        for listener in tuple(self._listeners):
            try:
                listener(entry)
            except Exception:  # noqa: BLE001 - what one listener makes of one record must not end the fold for all
                self.listener_failures += 1
                _log.exception("listener_failed", offset=record.offset)

    def _condemn(self, offset: int) -> NoReturn:
        """Raise the error for a record of ours that stands where another one was read."""
        error = self._guard.overtaken(offset)
        self._lose(error)
        if self._follower is not None:
            self._follower.cancel()
        raise error

    async def _on_empty(self) -> None:
        """Do what is to be done at the start where the log has no record."""
