"""Whether one more request to a model may be taken, and if not, when to come again."""

import math
import time
from collections import Counter
from typing import Literal

from msgspec import Struct

from hotswap_events.inference.fleet import HEARTBEAT_SECONDS
from hotswap_stream.application.inference.fleet import FleetView
from hotswap_stream.errors import HotswapError

RETRY_AFTER_SECONDS_MAX = 30
WORKER_ABSENT_SECONDS_MAX = 2 * HEARTBEAT_SECONDS
"""A worker that starts again is back in that time, and answers what was asked meanwhile."""

RefusalKind = Literal["busy", "share-used-up", "no-worker"]


class NotAdmittedError(HotswapError):
    """The request is not taken; nothing was sent."""

    retriable = True

    def __init__(self, kind: RefusalKind, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_s = retry_after_s


def retry_after_seconds(retry_after_s: float) -> int:
    """Return whole seconds as HTTP wants them: at least one, at most RETRY_AFTER_SECONDS_MAX."""
    return max(1, min(RETRY_AFTER_SECONDS_MAX, math.ceil(retry_after_s)))


class AdmissionLimits(Struct, frozen=True, kw_only=True):
    """Limits of one process."""

    in_flight_max: int = 256
    in_flight_per_caller_max: int | None = None
    """Requests in flight of one named caller; None: no limit but the common one."""


class Place:
    """What a request holds: `with admission.place():`."""

    __slots__ = ("_admission", "_began_s", "_caller")

    def __init__(self, admission: "Admission", caller: str | None) -> None:
        self._admission = admission
        self._caller = caller
        self._began_s = time.monotonic()

    def __enter__(self) -> None:
        """Hold it from here on."""

    def __exit__(self, *_exception: object) -> None:
        self._admission.leave(self._caller, time.monotonic() - self._began_s)


class Admission:
    """Counts requests in flight, by caller too, and remembers how long they take."""

    def __init__(self, limits: AdmissionLimits, fleet: FleetView | None) -> None:
        self.in_flight = 0
        self.refused: Counter[RefusalKind] = Counter()
        self._limits = limits
        self._fleet = fleet
        self._by_caller: Counter[str] = Counter()
        self._seconds_each = 0.0
        """A request's time on average, lately."""

    def place(self, caller: str | None = None) -> "Place":
        """Take a place for one request, held until the end of the block that it is for.

        Raises:
            NotAdmittedError: There is none.
        """
        self._check(caller)
        self.in_flight += 1
        if caller is not None:
            self._by_caller[caller] += 1
        return Place(self, caller)

    def leave(self, caller: str | None, seconds: float) -> None:
        """Give a place back that was held for so long."""
        self.in_flight -= 1
        if caller is not None:
            self._by_caller[caller] -= 1
            if not self._by_caller[caller]:
                del self._by_caller[caller]
        self._seconds_each += 0.1 * (seconds - self._seconds_each)

    def check_worker(self, model_name: str) -> None:
        """Check that a live worker has the model.

        Raises:
            NotAdmittedError: None has had it for a while.
        """
        fleet = self._fleet
        if fleet is None or not fleet.known:
            return
        absent_s = fleet.absent_s(model_name)
        if absent_s > WORKER_ABSENT_SECONDS_MAX:
            # The longer there was none, the less likely there is one soon.
            raise self._refuse(
                "no-worker",
                f"no worker has served model {model_name!r} for {absent_s:.0f} s; is one running?",
                absent_s / 2,
            )

    def _check(self, caller: str | None) -> None:
        share = self._limits.in_flight_per_caller_max
        if caller is not None and share is not None and self._by_caller[caller] >= share:
            raise self._refuse(
                "share-used-up", f"{share} requests of {caller!r} are in flight, no more are taken", self._seconds_each
            )
        limit = self._limits.in_flight_max
        if self.in_flight >= limit:
            raise self._refuse("busy", f"{limit} requests are in flight, no more are taken", self._seconds_each)

    def _refuse(self, kind: RefusalKind, message: str, retry_after_s: float) -> NotAdmittedError:
        self.refused[kind] += 1
        return NotAdmittedError(kind, message, retry_after_s=retry_after_s)
