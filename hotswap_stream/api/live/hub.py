"""Makes the messages of `/api/live`, once for all clients; while nobody listens it costs nothing."""

import asyncio
import time

import msgspec
import structlog
from msgspec import Struct

from hotswap_events.rollouts.evidence import RolloutEvidence
from hotswap_events.training.progress import TrainingProgressed
from hotswap_stream.api.live.messages import LiveHeartbeat, LiveObserved, LiveState
from hotswap_stream.api.live.ring import Ring, Sent
from hotswap_stream.api.live.training import is_of_a_run
from hotswap_stream.api.monitoring.overview import Look, look_at
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.keys.access import Caller
from hotswap_stream.application.monitoring.overview import together
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.application.registry.feed import LogEntry
from hotswap_stream.application.registry.fold import Void
from hotswap_stream.application.registry.queries import model_summary
from hotswap_stream.application.registry.tail import TailEntry
from hotswap_stream.application.registry.view import registry_state
from hotswap_stream.application.rollouts.view import rollout_report
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

OBSERVED_SECONDS = 1.0
HEARTBEAT_SECONDS = 5.0
GATHER_SECONDS = 0.05
"""Events that come within it make one `state` of their model."""
WAITING_MAX = 8_192
"""Records and pieces of evidence that wait for their turn; of more, all clients are let go and begin anew."""
END_SECONDS_MAX = 2.0
MODELS_AT_ONCE = 25
"""Looked at before others on the event loop have their turn: some milliseconds."""

_encode = msgspec.json.Encoder().encode


def message(event: str, data: Struct, *, offset: int | None = None) -> bytes:
    """Return one server-sent event; `offset` is its id."""
    told = b"" if offset is None else b"id: %d\n" % offset
    return b"event: %s\n%sdata: %s\n\n" % (event.encode(), told, _encode(data))


class LiveHub:
    """One per server. `join` and `leave` say how many clients there are; `ring` has what they get."""

    def __init__(self, runtime: ApiRuntime) -> None:
        self.ring = Ring()
        self._runtime = runtime
        self._clients = 0
        self._records: list[TailEntry] = []
        self._evidence: list[RolloutEvidence] = []
        self._training: list[TrainingProgressed] = []
        self._woken = asyncio.Event()
        self._looks: dict[str, Look] = {}
        """How each model did when it was told last."""
        self._known = False
        self._turn = asyncio.Lock()
        self._tasks = WatchedTasks("the live stream")
        self._stop = [runtime.registry.listen(self._hear_record)]
        if runtime.services.evidence is not None:
            self._stop.append(runtime.services.evidence.listen(self._hear_evidence))
        if runtime.services.training_progress is not None:
            self._stop.append(runtime.services.training_progress.listen(self._hear_training))

    async def close(self) -> None:
        """Make no more messages."""
        for stop in self._stop:
            stop()
        self._stop = []
        await self._tasks.stop()

    async def join(self) -> None:
        """Make messages from here on, for one client more."""
        async with self._turn:
            self._clients += 1
            if self._clients == 1:
                self._records, self._evidence, self._training = [], [], []
                self.ring.drop()
                await self._look_again()
                self._tasks.start(self._run(), name="live-hub")
        self.flush()

    async def leave(self) -> None:
        """Make messages for one client less."""
        async with self._turn:
            self._clients -= 1
            if self._clients == 0:
                await self._tasks.stop()
                self._tasks = WatchedTasks("the live stream")

    def flush(self) -> None:
        """Let the ring have what waits: what comes after it is of later offsets."""
        if len(self._records) + len(self._evidence) + len(self._training) > WAITING_MAX:
            self._records, self._evidence, self._training = [], [], []
            self.ring.drop()
        self.ring.add([*self._of_records(), *self._of_evidence(), *self._of_training()])

    def observed(self, caller: Caller) -> LiveObserved:
        """Return how all models of a caller did when it was told last."""
        return self._told(self._looks, caller)

    def _hear_record(self, entry: TailEntry) -> None:
        if self._clients:
            self._records.append(entry)
            self._woken.set()

    def _hear_evidence(self, record: RolloutEvidence) -> None:
        if self._clients and self._goes_on(record):
            self._evidence.append(record)
            self._woken.set()

    def _hear_training(self, progress: TrainingProgressed) -> None:
        if self._clients and is_of_a_run(self._runtime.registry.stream(progress.model_name), progress):
            self._training.append(progress)
            self._woken.set()

    def _goes_on(self, record: RolloutEvidence) -> bool:
        """Return whether the log knows of the rollout: whoever writes to the topic makes none up."""
        stream = self._runtime.registry.stream(record.model_name)
        rollout = None if stream is None else stream.state.rollout
        return rollout is not None and rollout.rollout_id == record.rollout_id

    async def _run(self) -> None:
        observed_s = beaten_s = time.monotonic()
        while True:
            try:
                self._woken.clear()
                self.flush()
                now_s = time.monotonic()
                if now_s - observed_s >= OBSERVED_SECONDS:
                    observed_s = now_s
                    changed = await self._look_again()
                    if changed:
                        self.ring.add([self._observed(changed)])
                if now_s - beaten_s >= HEARTBEAT_SECONDS:
                    beaten_s = now_s
                    self.ring.add([await self._heartbeat()])
                await asyncio.sleep(GATHER_SECONDS)
                left_s = min(observed_s + OBSERVED_SECONDS, beaten_s + HEARTBEAT_SECONDS) - time.monotonic()
                async with asyncio.timeout(max(0.0, left_s)):
                    await self._woken.wait()
            except TimeoutError:
                continue
            except Exception:  # noqa: BLE001 - what one message is made of must not end the stream for good
                _log.exception("live_message_not_made")
                await asyncio.sleep(OBSERVED_SECONDS)

    def _of_records(self) -> list[Sent]:
        records, self._records = self._records, []
        entries = [(entry, self._runtime.feed.entry(entry.record)) for entry in records]
        changed = dict.fromkeys(
            str(shown.event.get("subject"))
            for entry, shown in entries
            if shown.event is not None and not isinstance(entry.outcome, Void)
        )
        states = [sent for name in changed if (sent := self._state(name)) is not None]
        return [*states, *(_event(shown) for _entry, shown in entries)]

    def _state(self, model_name: str) -> Sent | None:
        stream = self._runtime.registry.stream(model_name)
        if stream is None:
            return None
        told = LiveState(
            offset=stream.offset,
            summary=model_summary(stream),
            model=registry_state(stream),
            rollout=rollout_report(stream.state),
        )
        return Sent(message("state", told), model_name)

    def _of_evidence(self) -> list[Sent]:
        records, self._evidence = self._evidence, []
        return [Sent(message("evidence", record), record.model_name) for record in records]

    def _of_training(self) -> list[Sent]:
        heard, self._training = self._training, []
        return [Sent(message("training", progress), progress.model_name) for progress in heard]

    async def _look_again(self) -> dict[str, Look]:
        """Look at all models; return those that do otherwise than when it was told last."""
        changed: dict[str, Look] = {}
        traffic = self._runtime.services.traffic
        known = traffic is not None and traffic.known
        everything, self._known = known != self._known, known
        for number, stream in enumerate(list(self._runtime.registry.fold.streams.values()), start=1):
            name, look = stream.state.model_name, look_at(self._runtime, stream)
            if everything or self._looks.get(name) != look:
                changed[name] = self._looks[name] = look
            if number % MODELS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return changed

    def _observed(self, changed: dict[str, Look]) -> Sent:
        everybody = Caller(name=None, scopes=frozenset())
        return Sent(
            message("observed", self._told(changed, everybody)),
            parts=lambda caller: message("observed", self._told(changed, caller)),
        )

    def _told(self, looks: dict[str, Look], caller: Caller) -> LiveObserved:
        mine = [look for name, look in looks.items() if caller.may_on(name)]
        all_mine = together(look.line for name, look in self._looks.items() if caller.may_on(name))
        return LiveObserved(
            at=self._runtime.services.clock.now(),
            known=self._known,
            hurts=all_mine.hurts,
            needs_you=all_mine.needs_you,
            moves=all_mine.moves,
            calm=all_mine.calm,
            requests_per_second=all_mine.requests_per_second,
            lines=tuple(look.line for look in mine),
            health=tuple(look.health for look in mine if look.health is not None),
        )

    async def _heartbeat(self) -> Sent:
        registry, behind_by = self._runtime.registry, None
        try:
            async with asyncio.timeout(END_SECONDS_MAX):
                registry.check_followed()
                behind_by = max(0, await registry.log.end_offset() - registry.fold.next_offset)
        except (HotswapError, TimeoutError):
            pass
        now, offset = self._runtime.services.clock.now(), registry.fold.next_offset
        return Sent(message("heartbeat", LiveHeartbeat(at=now, offset=offset, behind_by=behind_by)))


def _event(entry: LogEntry) -> Sent:
    subject = None if entry.event is None else entry.event.get("subject")
    name = subject if isinstance(subject, str) else None
    return Sent(message("event", entry, offset=entry.offset), name, unlimited_only=name is None)
