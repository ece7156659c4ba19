"""What the workers say of themselves, folded: who lives, which versions they hold, whether all serve the active one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from hotswap_events.fleet import LIVE_SECONDS_MAX, FleetRecord, FleetVersion, ObservationsLost
from hotswap_stream.domain.state import ModelState

RECORDS_MAX = 100_000
FORGET_SECONDS = 3_600.0
"""A worker that was silent for so long is not shown any more."""

_decoder = msgspec.json.Decoder(FleetRecord)


class FleetWorker(Struct, frozen=True, kw_only=True):
    """One worker's part in one model."""

    worker: str
    live: bool
    """Whether it was heard of lately."""
    seen_at: datetime
    registry_offset: int
    """It has folded the registry log up to and with this offset."""
    serving_version: str | None
    serving_registry_offset: int | None
    """Of the event that chose the serving version."""
    versions: dict[str, FleetVersion]
    """What it holds or tried to load."""
    partitions: tuple[int, ...]
    """Request partitions it answers."""
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


class ModelFleet(Struct, frozen=True, kw_only=True):
    """All workers of one model, beside what the registry wants."""

    model_name: str
    active_version: str | None
    active_registry_offset: int | None
    """Of the event that put it into production."""
    live_workers: int
    serving_active_workers: int
    """Live ones that serve the version in production."""
    whole_fleet_serves_active: bool
    """Whether there are live workers, and all of them serve the version in production."""
    workers: tuple[FleetWorker, ...]


class FleetView(Protocol):
    """The fleet as far as it is known here."""

    @property
    def known(self) -> bool:
        """Whether the fleet topic is read and caught up; without it, nothing follows from a worker's absence."""
        ...

    def workers(self, model_name: str) -> tuple[FleetWorker, ...]:
        """Those of one model by name, dead ones too for a while."""
        ...

    def absent_s(self, model_name: str) -> float:
        """For how long no live worker has had the model; 0 if one has it."""
        ...


class FleetFold:
    """Records of the fleet topic by worker and model. Times are unix seconds, given by the caller."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, tuple[FleetRecord, float]]] = {}
        self._count = 0
        self._absent_since_s: dict[str, float] = {}
        self.unreadable = 0

    def apply(self, key: bytes | None, value: bytes | None, time_s: float) -> None:
        """Fold one record; one that cannot be read is counted and passed over."""
        worker, _, model_name = (key or b"").decode(errors="replace").rpartition("/")
        of_model = self._records.setdefault(model_name, {})
        if value is None:
            self._count -= of_model.pop(worker, None) is not None
            if not of_model:
                del self._records[model_name]
                self._absent_since_s[model_name] = time_s
            return
        try:
            record = _decoder.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.unreadable += 1
            return
        if worker not in of_model:
            if self._count >= RECORDS_MAX:
                self._forget(time_s)
            self._count += 1
        of_model[worker] = (record, time_s)

    def model_names(self) -> tuple[str, ...]:
        """Models that some worker spoke of."""
        return tuple(sorted(name for name, workers in self._records.items() if workers))

    def workers(self, model_name: str, now_s: float) -> tuple[FleetWorker, ...]:
        """Of one model by name; those silent for long are left out."""
        return tuple(
            FleetWorker(
                worker=record.worker,
                live=now_s - seen_s <= LIVE_SECONDS_MAX,
                seen_at=datetime.fromtimestamp(seen_s, UTC),
                registry_offset=record.registry_offset,
                serving_version=record.serving_version,
                serving_registry_offset=record.serving_registry_offset,
                versions=record.versions,
                partitions=record.partitions,
                observations_lost=record.observations_lost,
                trouble=record.trouble,
                stalled_partitions=record.stalled_partitions,
                unserved_partitions=record.unserved_partitions,
                advice=record.advice,
            )
            for _, (record, seen_s) in sorted(self._records.get(model_name, {}).items())
            if now_s - seen_s <= FORGET_SECONDS
        )

    def absent_s(self, model_name: str, now_s: float) -> float:
        """How long no live worker has had the model. Where none ever had it, since it was first asked for."""
        last_s = max((seen_s for _, seen_s in self._seen(model_name)), default=None)
        if last_s is None:
            return max(0.0, now_s - self._absent_since_s.setdefault(model_name, now_s))
        return max(0.0, now_s - last_s - LIVE_SECONDS_MAX)

    def _seen(self, model_name: str) -> Iterator[tuple[FleetRecord, float]]:
        yield from self._records.get(model_name, {}).values()

    def _forget(self, now_s: float) -> None:
        """Make room: those silent for long, and if that is not enough, the one silent longest."""
        everybody = sorted(
            (seen_s, name, worker) for name, workers in self._records.items() for worker, (_, seen_s) in workers.items()
        )
        for position, (seen_s, name, worker) in enumerate(everybody):
            if position and now_s - seen_s <= FORGET_SECONDS:
                break
            del self._records[name][worker]
            self._count -= 1


def model_fleet(model_name: str, state: ModelState, active_offset: int, workers: tuple[FleetWorker, ...]) -> ModelFleet:
    """The workers of a model beside what the registry wants."""
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
    )
