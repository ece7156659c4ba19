"""What the workers say of themselves, folded: who lives, which versions they hold, whether all serve the active one.

Whether a worker lives is told by when it was last heard, on the clock of whoever listens; no clock is compared with
another machine's. Of what was in the topic before somebody began to listen, the times of append tell how much older a
record is than the newest one.
"""

from datetime import UTC, datetime
from math import inf
from typing import Protocol

import msgspec
import structlog
from msgspec import Struct

from hotswap_events.bounds import TIME_MAX
from hotswap_events.inference.fleet import LIVE_SECONDS_MAX, FleetPlugin, FleetRecord, FleetVersion, ObservationsLost
from hotswap_events.nesting import nests_too_deep
from hotswap_stream.application.inference.lacking import LackedPlugin, lacked_plugins
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.observability.floods import is_logged

_log = structlog.get_logger(__name__)

RECORDS_MAX = 100_000
RECORD_BYTES_MAX = 1_048_576
FORGOTTEN_AT_ONCE = 1_000
"""When all places are taken, as many are freed at once."""
ABSENT_MAX = 10_000
"""Models without a worker whose absence is timed."""
TIME_S_MAX = TIME_MAX.timestamp() - 1
FORGET_SECONDS = 3_600.0
"""A worker that was silent for so long is not shown any more."""

_decoder = msgspec.json.Decoder(FleetRecord)


class FleetWorker(Struct, frozen=True, kw_only=True):
    """One worker's part in one model."""

    worker: str
    live: bool
    """Whether it was heard of lately."""
    silent_seconds: float
    """Since it was last heard, by the clock of whoever listens."""
    seen_at: datetime
    """When its last record was appended, by the broker's clock."""
    registry_offset: int
    """It has folded the registry log up to and with this offset."""
    serving_version: str | None
    serving_registry_offset: int | None
    """Registry offset of the event that chose the serving version."""
    versions: dict[str, FleetVersion]
    """What it holds or tried to load."""
    partitions: tuple[int, ...]
    """Request partitions it answers."""
    waiting: int = 0
    """Requests that wait in these partitions, as of its last look."""
    observations_lost: ObservationsLost
    """What it could not tell of its answers since it started."""
    trouble: str | None = None
    """Why it does not get on with the model's requests; null while it does."""
    stalled_partitions: tuple[int, ...] = ()
    """Those of `partitions` in which requests wait, and none was answered for long."""
    unserved_partitions: tuple[int, ...] = ()
    """Request partitions given to it that it cannot answer: the model's topics do not fit each other."""
    advice: str | None = None
    """What somebody should mend, and how."""
    plugins: tuple[FleetPlugin, ...] = ()
    """Architectures and runtimes that it has beside those that it always has."""
    kinds: tuple[str, ...] = ()
    """Kinds of artifacts that it can load; empty if it does not say."""
    release: str | None = None
    """The release of hotswap-stream that it runs; null if it does not say."""


class ModelFleet(Struct, frozen=True, kw_only=True):
    """All workers of one model, beside what the registry wants."""

    model_name: str
    active_version: str | None
    active_registry_offset: int | None
    """Registry offset of the event that put it into production."""
    live_workers: int
    serving_active_workers: int
    """Live ones that serve the version in production."""
    whole_fleet_serves_active: bool
    """Whether there are live workers, and all of them serve the version in production."""
    workers: tuple[FleetWorker, ...]
    lacked_plugins: tuple[LackedPlugin, ...] = ()
    """Code that versions need and live workers lack."""


class FleetView(Protocol):
    """The fleet as far as it is known here."""

    @property
    def known(self) -> bool:
        """Whether the fleet topic is read and caught up; without it, nothing follows from a worker's absence."""
        ...

    def workers(self, model_name: str) -> tuple[FleetWorker, ...]:
        """Return those of one model by name, dead ones too for a while."""
        ...

    def absent_s(self, model_name: str) -> float:
        """Return for how many seconds no live worker has had the model; 0 if one has it."""
        ...


def fleet_record(key: bytes | None, value: bytes) -> FleetRecord | None:
    """Decode a record; None for any bytes that are none, or that speak of another worker or model than their key."""
    if len(value) > RECORD_BYTES_MAX or nests_too_deep(value):
        return None
    try:
        record = _decoder.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return record if key == f"{record.worker}/{record.model_name}".encode() else None


class _Heard(Struct, frozen=True, gc=False):
    record: FleetRecord
    heard_s: float
    appended_s: float


class FleetFold:
    """Records of the fleet topic by worker and model.

    `heard_s` and `now_s` are seconds on one clock of the caller's, which never goes back; `appended_s` are unix seconds
    as the records have them. Read what is there with `heard_s=appended_s`, and then say `caught_up`.
    """

    def __init__(self) -> None:
        self._records: dict[str, dict[str, _Heard]] = {}
        self._count = 0
        self._absent_since_s: dict[str, float] = {}
        self._newest_s = -inf
        self.unreadable = 0

    def apply(self, key: bytes | None, value: bytes | None, heard_s: float, appended_s: float | None = None) -> None:
        """Fold one record; one that cannot be read is counted and passed over, whatever its bytes."""
        appended_s = heard_s if appended_s is None else appended_s
        self._newest_s = max(self._newest_s, appended_s)
        if value is None:
            worker, _, model_name = (key or b"").decode(errors="replace").rpartition("/")
            self._remove(model_name, worker, heard_s)
            return
        record = fleet_record(key, value)
        if record is None:
            self.unreadable += 1
            if is_logged(self.unreadable):
                _log.warning("fleet_record_unreadable", unreadable=self.unreadable, key=repr(key)[:100])
            return
        of_model = self._records.setdefault(record.model_name, {})
        if record.worker not in of_model:
            if self._count >= RECORDS_MAX:
                self._forget(heard_s)
                of_model = self._records.setdefault(record.model_name, {})
            self._count += 1
        of_model[record.worker] = _Heard(record, heard_s, appended_s)

    def caught_up(self, now_s: float) -> None:
        """Take what was read so far as what was there before.

        Each record counts as heard as long ago as it is older than the newest one. If all of them are old, the newest
        worker lives on until `LIVE_SECONDS_MAX` have passed here.
        """
        for of_model in self._records.values():
            for worker, heard in of_model.items():
                age_s = max(0.0, self._newest_s - heard.appended_s)
                of_model[worker] = _Heard(heard.record, now_s - age_s, heard.appended_s)
        self._absent_since_s.clear()

    def model_names(self) -> tuple[str, ...]:
        """Return the models that some worker spoke of."""
        return tuple(sorted(name for name, workers in self._records.items() if workers))

    def workers(self, model_name: str, now_s: float) -> tuple[FleetWorker, ...]:
        """Return the workers of one model by name; those silent for long are left out."""
        return tuple(
            FleetWorker(
                worker=heard.record.worker,
                live=now_s - heard.heard_s <= LIVE_SECONDS_MAX,
                silent_seconds=round(max(0.0, now_s - heard.heard_s), 3),
                seen_at=datetime.fromtimestamp(min(TIME_S_MAX, max(0.0, heard.appended_s)), UTC),
                registry_offset=heard.record.registry_offset,
                serving_version=heard.record.serving_version,
                serving_registry_offset=heard.record.serving_registry_offset,
                versions=heard.record.versions,
                partitions=heard.record.partitions,
                waiting=heard.record.waiting,
                observations_lost=heard.record.observations_lost,
                trouble=heard.record.trouble,
                stalled_partitions=heard.record.stalled_partitions,
                unserved_partitions=heard.record.unserved_partitions,
                advice=heard.record.advice,
                plugins=heard.record.plugins,
                kinds=heard.record.kinds,
                release=heard.record.release,
            )
            for _, heard in sorted(self._records.get(model_name, {}).items())
            if now_s - heard.heard_s <= FORGET_SECONDS
        )

    def has(self, model_name: str, worker: str) -> bool:
        """Return whether a worker spoke of a model and did not take it back."""
        return worker in self._records.get(model_name, {})

    def last_words(self, model_name: str) -> dict[str, float]:
        """Return when the last record of each worker of a model was appended."""
        return {worker: heard.appended_s for worker, heard in self._records.get(model_name, {}).items()}

    def absent_s(self, model_name: str, now_s: float) -> float:
        """How long no live worker has had the model. Where none ever had it, since it was first asked for."""
        of_model = self._records.get(model_name)
        if not of_model:
            while len(self._absent_since_s) >= ABSENT_MAX:
                del self._absent_since_s[next(iter(self._absent_since_s))]
            return max(0.0, now_s - self._absent_since_s.setdefault(model_name, now_s))
        last_s = max(heard.heard_s for heard in of_model.values())
        return max(0.0, now_s - last_s - LIVE_SECONDS_MAX)

    def _remove(self, model_name: str, worker: str, now_s: float) -> None:
        of_model = self._records.get(model_name)
        if of_model is None or of_model.pop(worker, None) is None:
            return
        self._count -= 1
        if not of_model:
            del self._records[model_name]
            while len(self._absent_since_s) >= ABSENT_MAX:
                del self._absent_since_s[next(iter(self._absent_since_s))]
            self._absent_since_s[model_name] = now_s

    def _forget(self, now_s: float) -> None:
        """Make room: those silent for long, and if that is not enough, some of those silent longest."""
        everybody = sorted(
            (heard.heard_s, name, worker)
            for name, workers in self._records.items()
            for worker, heard in workers.items()
        )
        for position, (heard_s, name, worker) in enumerate(everybody):
            if position >= FORGOTTEN_AT_ONCE and now_s - heard_s <= FORGET_SECONDS:
                break
            self._remove(name, worker, now_s)


def model_fleet(model_name: str, state: ModelState, active_offset: int, workers: tuple[FleetWorker, ...]) -> ModelFleet:
    """Compare the workers of a model with what the registry wants."""
    live = [worker for worker in workers if worker.live]
    active = state.active_version
    serving = [
        worker
        for worker in live
        if worker.serving_version == active and (worker.serving_registry_offset or 0) >= active_offset
    ]
    return ModelFleet(
        model_name=model_name,
        active_version=active,
        active_registry_offset=None if active is None else active_offset,
        live_workers=len(live),
        serving_active_workers=0 if active is None else len(serving),
        whole_fleet_serves_active=active is not None and bool(live) and len(serving) == len(live),
        workers=workers,
        lacked_plugins=lacked_plugins(live),
    )
