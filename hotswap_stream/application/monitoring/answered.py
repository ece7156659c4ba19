"""What was answered since this process began to count, for Prometheus: sums by model and version that only grow.

A model or version has a series of its own as long as there is room. Where there is none, one that was silent for long
gives up its place; if all are in use, what comes beyond is counted for `other`, and the log says so once.
"""

from collections.abc import Iterator

import structlog
from msgspec import Struct, field

from hotswap_events.inference.messages import ErrorCode
from hotswap_events.inference.observation import LatencyCounts, ObservationRole
from hotswap_stream.application.monitoring.figures import AnswerFigures
from hotswap_stream.domain.statistics.latency_histogram import BUCKETS_PER_DOUBLING
from hotswap_stream.observability.metric_spec import Distribution
from hotswap_stream.observability.metrics import (
    DURATION_BOUNDS,
    MODELS_MAX,
    OTHER,
    ROWS_BOUNDS,
    VERSIONS_MAX,
)

SILENT_SECONDS_MIN = 3_600.0
"""A series that was silent for as long may give its place to another one."""
NO_VERSION = "none"

_log = structlog.get_logger(__name__)


class Histogram:
    """Counts in the buckets of a metric."""

    def __init__(self, size: int) -> None:
        self.counts = [0] * size
        self.total = 0.0

    def distribution(self) -> Distribution:
        """Return what was counted."""
        return Distribution(tuple(self.counts), self.total)


class Durations(Histogram):
    """Durations in the buckets of `DURATION_BOUNDS`, whose ends the workers' buckets have, too."""

    def __init__(self) -> None:
        super().__init__(len(DURATION_BOUNDS) + 1)

    def add(self, found: LatencyCounts) -> None:
        """Count what a worker counted."""
        last = len(self.counts) - 1
        for bucket, count in found.buckets.items():
            # Bucket b holds up to 2^(b/8) ms; the first bound is half a millisecond.
            self.counts[min(last, max(0, -(-bucket // BUCKETS_PER_DOUBLING) + 1))] += count
        self.total += found.total_ms / 1_000


class PassSizes(Histogram):
    """Rows of forward passes in the buckets of `ROWS_BOUNDS`."""

    def __init__(self) -> None:
        super().__init__(len(ROWS_BOUNDS) + 1)

    def add(self, found: dict[int, int], rows: int) -> None:
        """Count passes by the exponent of the power of two that their rows do not exceed."""
        for exponent, count in found.items():
            self.counts[min(len(ROWS_BOUNDS), exponent)] += count
        self.total += rows


class VersionAnswers(Struct, gc=False):
    """What one version answered."""

    heard_s: float = 0.0
    answers: dict[ObservationRole, int] = {}
    errors: dict[tuple[ObservationRole, ErrorCode], int] = {}
    total: Durations = field(default_factory=Durations)
    compute: Durations = field(default_factory=Durations)
    queue: Durations = field(default_factory=Durations)
    rows: PassSizes = field(default_factory=PassSizes)

    def add(self, found: AnswerFigures) -> None:
        """Count an observation."""
        role = found.role
        if found.answers:
            self.answers[role] = self.answers.get(role, 0) + found.answers
        for code, count in found.errors.items():
            self.errors[role, code] = self.errors.get((role, code), 0) + count
        if role == "shadow":
            return
        self.total.add(found.total)
        self.compute.add(found.compute)
        self.queue.add(found.queue)
        self.rows.add(found.pass_rows, found.rows)


class ModelAnswers(Struct, gc=False):
    """What a model's versions answered."""

    heard_s: float = 0.0
    versions: dict[str, VersionAnswers] = {}


class Answered:
    """Count observations; whoever feeds it takes care that each comes once."""

    def __init__(self, *, models_max: int = MODELS_MAX, versions_max: int = VERSIONS_MAX) -> None:
        self.models: dict[str, ModelAnswers] = {}
        self.beyond = {"model_name": 0, "model_version": 0}
        """Observations counted for `other`, by the label for which there was no room."""
        self._models_max, self._versions_max = models_max, versions_max

    def add(self, found: AnswerFigures, at_s: float) -> None:
        """Count an observation of this time, in seconds on any clock that goes on."""
        model = self._model(found.model_name, at_s)
        version = self._version(model, found.model_version or NO_VERSION, at_s)
        model.heard_s = version.heard_s = at_s
        version.add(found)

    def series(self) -> Iterator[tuple[str, str, VersionAnswers]]:
        """Yield model name, version and what it answered."""
        for model_name, model in self.models.items():
            for model_version, version in model.versions.items():
                yield model_name, model_version, version

    def _model(self, name: str, at_s: float) -> ModelAnswers:
        model = self.models.get(name)
        if model is None:
            if len(self.models) >= self._models_max:
                name = self._freed("model_name", name, self.models, at_s)
            model = self.models.setdefault(name, ModelAnswers())
        return model

    def _version(self, model: ModelAnswers, name: str, at_s: float) -> VersionAnswers:
        version = model.versions.get(name)
        if version is None:
            if len(model.versions) >= self._versions_max:
                name = self._freed("model_version", name, model.versions, at_s)
            version = model.versions.setdefault(name, VersionAnswers())
        return version

    def _freed(
        self, label: str, name: str, series: "dict[str, ModelAnswers] | dict[str, VersionAnswers]", at_s: float
    ) -> str:
        """Return `name` after a silent series made room for it; `other` where none is silent."""
        silent = min((each for each in series if each != OTHER), key=lambda each: series[each].heard_s)
        if at_s - series[silent].heard_s >= SILENT_SECONDS_MIN:
            del series[silent]
            return name
        if not self.beyond[label]:
            _log.warning("metrics_beyond_limit", label=label, value=name, counted_as=OTHER, series_max=len(series))
        self.beyond[label] += 1
        return OTHER
