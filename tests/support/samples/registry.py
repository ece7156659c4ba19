"""Sample commands and events of one model, and a clock and ids that give the same on every run."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_events.commands import (
    ArchiveVersion,
    FailTraining,
    PromoteVersion,
    RegisterVersion,
    RollBack,
    StageVersion,
    StartTraining,
    SwitchVersion,
    ValidateVersion,
)
from hotswap_events.envelope import GENESIS, Envelope
from hotswap_events.inference.signature import ModelSignature, TensorSignature
from hotswap_events.log_stream import LogEvent
from hotswap_events.registry.events import (
    ArtifactFacts,
    ModelArchived,
    ModelPromoted,
    ModelRolledBack,
    ModelStaged,
    ModelTrained,
    ModelValidated,
    Provenance,
    RegistryEvent,
    RollBackCause,
    TrainingFailed,
    TrainingStarted,
    Verdict,
)
from hotswap_events.training.events import TrainingFailureCause
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.domain.versions.validation import DEFAULT_VALIDATION_POLICY

MODEL = "digits"
EPOCH = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VALIDATION_SET = f"sha256:{'b' * 64}"
IMPORTED = Provenance(origin="imported", created_by="alice")


class SteppingClock:
    """Each look is one second later than the last."""

    def __init__(self, start: datetime = EPOCH) -> None:
        self._next = start

    def now(self) -> datetime:
        now, self._next = self._next, self._next + timedelta(seconds=1)
        return now


class CountingIds:
    """`<prefix>-1`, `<prefix>-2` …"""

    def __init__(self, prefix: str = "event") -> None:
        self._prefix = prefix
        self._count = 0

    def new_id(self) -> str:
        self._count += 1
        return f"{self._prefix}-{self._count}"


_command_ids = CountingIds("command")


def _attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    given = {"actor": "alice", "model_name": MODEL, **attributes}
    if "command_id" not in given:
        given["command_id"] = _command_ids.new_id()
    return given


def artifact_of(model_version: str) -> ArtifactFacts:
    """The artifact all samples register under this version name."""
    return ArtifactFacts(digest=f"sha256:{digest_of(model_version.encode())}", size_bytes=110_248)


def signature_of(shape: tuple[int, ...]) -> ModelSignature:
    """A signature with one input of this shape."""
    tensor = TensorSignature(name="x", datatype="FP32", shape=shape)
    return ModelSignature(inputs=(tensor,), outputs=(TensorSignature(name="y", datatype="FP32", shape=(-1, 2)),))


def start_training(run_id: str = "run-1", **attributes: Any) -> StartTraining:
    return StartTraining(run_id=run_id, **_attributes({"architecture": "digits-cnn", **attributes}))


def fail_training(run_id: str = "run-1", cause: TrainingFailureCause = "bad-data", **attributes: Any) -> FailTraining:
    return FailTraining(run_id=run_id, cause=cause, **_attributes({"detail": "labels are inverted", **attributes}))


def register(model_version: str | None = None, **attributes: Any) -> RegisterVersion:
    defaults = {"artifact": artifact_of(model_version or "unnamed"), "provenance": IMPORTED}
    return RegisterVersion(model_version=model_version, **_attributes({**defaults, **attributes}))


def validate(
    model_version: str, accuracy: float = 0.97, baseline: tuple[str, float] | None = None, **attributes: Any
) -> ValidateVersion:
    """`baseline`: the active version and its accuracy on the same set."""
    defaults = {
        "figures": {"accuracy": accuracy},
        "validation_set": VALIDATION_SET,
        "baseline_version": baseline[0] if baseline else None,
        "baseline_figures": {"accuracy": baseline[1]} if baseline else {},
    }
    return ValidateVersion(model_version=model_version, **_attributes({**defaults, **attributes}))


def stage(model_version: str, **attributes: Any) -> StageVersion:
    return StageVersion(model_version=model_version, **_attributes(attributes))


def promote(model_version: str, **attributes: Any) -> PromoteVersion:
    return PromoteVersion(model_version=model_version, **_attributes(attributes))


def switch(model_version: str, **attributes: Any) -> SwitchVersion:
    return SwitchVersion(model_version=model_version, **_attributes(attributes))


def archive(model_version: str, **attributes: Any) -> ArchiveVersion:
    return ArchiveVersion(model_version=model_version, **_attributes(attributes))


def roll_back(cause: RollBackCause = "operator", from_version: str | None = None, **attributes: Any) -> RollBack:
    return RollBack(cause=cause, from_version=from_version, **_attributes(attributes))


def training_started(run_id: str = "run-1") -> TrainingStarted:
    return TrainingStarted(run_id=run_id, architecture="digits-cnn")


def training_failed(run_id: str = "run-1") -> TrainingFailed:
    return TrainingFailed(run_id=run_id, cause="bad-data", detail="labels are inverted")


def trained(model_version: str, run_id: str | None = None) -> ModelTrained:
    return ModelTrained(
        model_version=model_version, artifact=artifact_of(model_version), provenance=IMPORTED, run_id=run_id
    )


def validated(
    model_version: str,
    verdict: Verdict = "passed",
    accuracy: float = 0.97,
    baseline: tuple[str, float] | None = None,
) -> ModelValidated:
    return ModelValidated(
        model_version=model_version,
        verdict=verdict,
        validation_set=VALIDATION_SET,
        figures={"accuracy": accuracy},
        thresholds=DEFAULT_VALIDATION_POLICY.thresholds(),
        baseline_version=baseline[0] if baseline else None,
        baseline_figures={"accuracy": baseline[1]} if baseline else {},
    )


def staged(model_version: str) -> ModelStaged:
    return ModelStaged(model_version=model_version)


def promoted(model_version: str, previous_version: str | None = None, *, forced: bool = False) -> ModelPromoted:
    return ModelPromoted(
        model_version=model_version,
        artifact_digest=artifact_of(model_version).digest,
        previous_version=previous_version,
        forced=forced,
    )


def archived(model_version: str) -> ModelArchived:
    return ModelArchived(model_version=model_version)


def rolled_back(model_version: str, from_version: str, cause: RollBackCause = "operator") -> ModelRolledBack:
    return ModelRolledBack(
        model_version=model_version,
        artifact_digest=artifact_of(model_version).digest,
        from_version=from_version,
        cause=cause,
    )


def in_envelope(
    data: RegistryEvent | LogEvent,
    *,
    sequence: int = 1,
    previous: str = GENESIS,
    subject: str = MODEL,
    **attributes: Any,
) -> Envelope:
    """The event as `alice` would have caused it; `attributes` override the envelope's."""
    defaults = {
        "id": f"event-{subject}-{sequence}",
        "source": "/hotswap/test",
        "time": EPOCH + timedelta(seconds=sequence),
        "actor": "alice",
        "causationid": f"cause-{subject}-{sequence}",
        "correlationid": f"cause-{subject}-{sequence}",
    }
    return REGISTRY_CODEC.envelope(
        data, subject=subject, sequence=sequence, previous=previous, **{**defaults, **attributes}
    )


class LogBuilder:
    """Writes records as a correct writer would, stream by stream, and lets a test write wrong ones in between."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self._heads: dict[str, tuple[int, str]] = {}

    def append(self, *events: RegistryEvent, subject: str = MODEL, **attributes: Any) -> "LogBuilder":
        """One decision: its events extend the stream's head and share a cause."""
        for data in events:
            sequence, previous = self._heads.get(subject, (0, GENESIS))
            attributes.setdefault("causationid", f"cause-{subject}-{sequence + 1}")
            envelope = in_envelope(data, sequence=sequence + 1, previous=previous, subject=subject, **attributes)
            value = REGISTRY_CODEC.encode(envelope)
            self._heads[subject] = (sequence + 1, digest_of(value))
            self.append_value(value, key=subject.encode())
        return self

    def append_value(self, value: bytes | None, *, key: bytes | None = MODEL.encode()) -> "LogBuilder":
        """A record as it is, whatever is in it; no later event is chained to it."""
        offset = len(self.records)
        self.records.append(LogRecord(offset, int(EPOCH.timestamp() * 1000) + offset, key, value))
        return self

    def head(self, subject: str = MODEL) -> tuple[int, str]:
        """Sequence and digest of the last event appended properly."""
        return self._heads.get(subject, (0, GENESIS))
