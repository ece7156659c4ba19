"""The last minute of each model's answers: rate, errors and waits by version. Pure: the time comes in.

The window is a row of slices of five seconds, each at the time of the broker's clock at which its observations were
appended: it holds what came in the last minute, and up to one slice more.
"""

from collections import Counter
from collections.abc import Iterator
from math import inf
from typing import Protocol

from msgspec import Struct, field

from hotswap_events.inference.messages import ErrorCode
from hotswap_stream.application.monitoring.answered import NO_VERSION, Answered
from hotswap_stream.application.monitoring.figures import AnswerFigures
from hotswap_stream.application.monitoring.sequences import Sequences
from hotswap_stream.observability.metrics import MODELS_MAX, OTHER, VERSIONS_MAX

WINDOW_SECONDS = 60
SLICE_SECONDS = 5
_SLICES = WINDOW_SECONDS // SLICE_SECONDS


class RecentSums(Struct, gc=False):
    """What one version did in a slice of time, or in the whole window. Shadows are left out."""

    answers: int = 0
    errors: Counter[ErrorCode] = field(default_factory=Counter)
    total: Counter[int] = field(default_factory=Counter)
    compute: Counter[int] = field(default_factory=Counter)

    def add(self, found: AnswerFigures) -> None:
        """Count an observation."""
        self.answers += found.answers
        self.errors.update(found.errors)
        self.total.update(found.total.buckets)
        self.compute.update(found.compute.buckets)

    def merge(self, other: "RecentSums") -> None:
        """Count what another slice did."""
        self.answers += other.answers
        self.errors.update(other.errors)
        self.total.update(other.total)
        self.compute.update(other.compute)


class TrafficView(Protocol):
    """What is known here of the answers of the whole fleet."""

    @property
    def known(self) -> bool:
        """Whether the observations are followed; else the figures are as old as they may be."""
        ...

    @property
    def answered(self) -> Answered:
        """Sums since this process began to count."""
        ...

    def recent(self, model_name: str) -> dict[str, RecentSums]:
        """Return what each version of a model did in the last minute; `none` are requests no version was chosen for."""
        ...


class Traffic:
    """Count observations, each once, for both kinds of figures."""

    def __init__(self) -> None:
        self.answered = Answered()
        self._sequences = Sequences()
        self._slices: dict[str, dict[int, dict[str, RecentSums]]] = {}

    def add(self, found: AnswerFigures, at_s: float) -> None:
        """Count an observation whose record is of this time, in seconds since 1970, by the broker's clock."""
        if not self._sequences.take(found):
            return
        self.answered.add(found, at_s)
        if found.role == "shadow":
            return
        if found.model_name not in self._slices and len(self._slices) >= MODELS_MAX:
            self._forget_silent(at_s)
            if len(self._slices) >= MODELS_MAX:
                return
        slices = self._slices.setdefault(found.model_name, {})
        number = int(at_s // SLICE_SECONDS)
        versions = slices.setdefault(number, {})
        for old in [each for each in slices if each < number - _SLICES]:
            del slices[old]
        name = found.model_version or NO_VERSION
        if name not in versions and len(versions) >= VERSIONS_MAX:
            name = OTHER
        versions.setdefault(name, RecentSums()).add(found)

    def recent(self, model_name: str, now_s: float) -> dict[str, RecentSums]:
        """Return what each version did in the window that ends now, in seconds since 1970 by the broker's clock."""
        found: dict[str, RecentSums] = {}
        for number, versions in self._slices.get(model_name, {}).items():
            if (number + 1) * SLICE_SECONDS > now_s - WINDOW_SECONDS:
                for name, sums in versions.items():
                    found.setdefault(name, RecentSums()).merge(sums)
        return dict(sorted(found.items()))

    def _forget_silent(self, now_s: float) -> None:
        for name in list(self._silent(now_s)):
            del self._slices[name]

    def _silent(self, now_s: float) -> Iterator[str]:
        for name, slices in self._slices.items():
            if (max(slices, default=-inf) + 1) * SLICE_SECONDS <= now_s - WINDOW_SECONDS:
                yield name
