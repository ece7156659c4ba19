"""One example of every message, as JSON bytes: a short history of one model, decided by the rules themselves.

The same examples stand in the AsyncAPI document and in the reference, and the tests hold them against the schemas.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

import msgspec
from msgspec import Struct

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import (
    AnyCommand,
    ArchiveVersion,
    CommandResult,
    FailTraining,
    PromoteVersion,
    Refusal,
    RegisterVersion,
    RollBack,
    StageVersion,
    StartTraining,
    SwitchVersion,
    ValidateVersion,
)
from hotswap_events.envelope import GENESIS, Envelope
from hotswap_events.inference.fleet import FleetRecord, FleetVersion
from hotswap_events.inference.messages import (
    AnswerFacts,
    InferError,
    InferRequest,
    InferResponse,
    InferTensor,
    RequestedOutput,
)
from hotswap_events.inference.windows import WindowRecord, WindowRule, WindowsMarker
from hotswap_events.keys import ApiKey, ApiKeyRevoked, KeySecret
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_events.training.progress import EpochFigures, TrainingProgressed
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.fold import Applied, RegistryFold
from hotswap_stream.application.registry.view import registry_state
from hotswap_stream.domain.decide import Accepted, decide
from tools.alert_examples import alert_commands
from tools.dataset_examples import dataset_commands
from tools.emergency_examples import emergency_examples
from tools.observation_examples import observation_examples
from tools.profile_examples import profile_commands
from tools.rollout_examples import rollout_commands
from tools.serving_examples import serving_commands
from tools.tag_examples import tag_commands
from tools.training_examples import training_commands
from tools.trigger_examples import trigger_commands

_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_DIGEST_V1 = "sha256:" + "1" * 64
_DIGEST_V2 = "sha256:" + "2" * 64
_DATA = "sha256:" + "d" * 64
_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

_provenance = Provenance(
    origin="trained",
    created_by="ada",
    code_revision="9fceb02",
    data_snapshot=_DATA,
    environment={"python": "3.11.9", "torch": "2.15.0"},
)


def _by_ada(command_id: str, reason: str | None = None) -> dict[str, Any]:
    return {
        "command_id": command_id,
        "reason": reason,
        "actor": "ada",
        "model_name": "digits",
        "traceparent": _TRACE,
    }


def _register(command_id: str, name: str, digest: str) -> RegisterVersion:
    return RegisterVersion(
        **_by_ada(command_id=command_id),
        artifact=ArtifactFacts(digest=digest, size_bytes=107_520),
        provenance=_provenance,
        model_version=name,
        run_id=f"run-{name}",
        metrics={"train_loss": 0.031},
        tags={"team": "vision"},
    )


_COMMANDS: Sequence[AnyCommand] = (
    StartTraining(
        **_by_ada(command_id="c-01", reason="nightly retraining"),
        run_id="run-v1",
        architecture="digits-cnn",
        data_snapshot=_DATA,
        parameters={"epochs": "3"},
    ),
    _register("c-02", "v1", _DIGEST_V1),
    ValidateVersion(
        **_by_ada(command_id="c-03"),
        model_version="v1",
        validation_set=_DATA,
        figures={"accuracy": 0.97},
        promote_first=True,
    ),
    StartTraining(**_by_ada(command_id="c-04"), run_id="run-x", architecture="digits-cnn"),
    FailTraining(**_by_ada(command_id="c-05"), run_id="run-x", cause="timed-out", detail="no result after 3600 s"),
    _register("c-06", "v2", _DIGEST_V2),
    ValidateVersion(
        **_by_ada(command_id="c-07"),
        model_version="v2",
        validation_set=_DATA,
        figures={"accuracy": 0.98},
        baseline_version="v1",
        baseline_figures={"accuracy": 0.97},
    ),
    StageVersion(**_by_ada(command_id="c-08"), model_version="v2"),
    PromoteVersion(**_by_ada(command_id="c-09", reason="better on the held-out set"), model_version="v2"),
    RollBack(**_by_ada(command_id="c-10", reason="wrong answers for 7"), cause="emergency", from_version="v2"),
    SwitchVersion(**_by_ada(command_id="c-11"), model_version="v2"),
    ArchiveVersion(**_by_ada(command_id="c-12"), model_version="v1"),
    *serving_commands(_by_ada, "v2"),
    *rollout_commands(_by_ada, _register),
    *profile_commands(_by_ada, "v2"),
    *alert_commands(_by_ada, "v2"),
    *tag_commands(_by_ada, "v2"),
    *dataset_commands(_by_ada),
    *training_commands(_by_ada),
    *trigger_commands(_by_ada, _TIME),
)


@cache
def _history() -> tuple[RegistryFold, tuple[Envelope, ...]]:
    fold, events = RegistryFold(), list[Envelope]()
    for command in _COMMANDS:
        decision = decide(fold.state("digits"), command)
        if not isinstance(decision, Accepted):
            raise ValueError(f"example {command.command_id} is refused: {decision.reason}")
        for data in decision.events:
            stream = fold.streams.get("digits")
            number = fold.next_offset + 1
            event = REGISTRY_CODEC.envelope(
                data,
                id=f"event-{number:02}",
                source="/hotswap/api",
                subject="digits",
                time=_TIME + timedelta(minutes=number),
                sequence=number,
                previous=GENESIS if stream is None else stream.head_digest,
                actor=command.actor,
                reason=command.reason,
                causationid=command.command_id,
                correlationid=command.correlation_id or command.command_id,
                traceparent=command.traceparent,
            )
            timestamp_ms = int(event.time.timestamp() * 1000)
            value = REGISTRY_CODEC.encode(event)
            outcome = fold.apply(LogRecord(number - 1, timestamp_ms, b"digits", value))
            if not isinstance(outcome, Applied):
                raise ValueError(f"example event {number} does not count: {outcome}")
            events.append(event)
    return fold, tuple(events)


_facts = partial(AnswerFacts, request_partition=3, request_offset=41_872, worker="worker-1")
_served = partial(
    _facts,
    artifact_digest=_DIGEST_V2,
    registry_offset=17,
    batch_size=4,
    queue_ms=0.4,
    compute_ms=0.9,
)

_OTHERS: dict[str, Sequence[Struct]] = {
    "hotswap.command-result": (
        CommandResult(
            command_id="c-09",
            status="accepted",
            model_name="digits",
            model_version="v2",
            previous_version="v1",
            offset=9,
            sequence=10,
            event_types=("hotswap.model.promoted.v1",),
        ),
        CommandResult(
            command_id="c-13",
            status="refused",
            model_name="digits",
            refusal=Refusal(
                code="illegal-step", reason="'v2' of 'digits' is active; legal: roll back", legal=("roll back",)
            ),
        ),
    ),
    "hotswap.fleet-record": (
        FleetRecord(
            worker="worker-1",
            model_name="digits",
            registry_offset=17,
            versions={
                "v1": FleetVersion(state="loaded", artifact_digest=_DIGEST_V1),
                "v2": FleetVersion(state="serving", artifact_digest=_DIGEST_V2),
            },
            serving_version="v2",
            serving_registry_offset=17,
            partitions=(0, 1, 2, 3),
        ),
    ),
    "hotswap.training-progress": (
        TrainingProgressed(
            run_id="run-y",
            model_name="digits",
            trainer="image-classifier",
            runner="trainers-1/6f2a",
            at=_TIME,
            phase="training",
            step=120,
            steps=480,
            epoch=3,
            epochs=12,
            figures={"loss": 0.41},
        ),
        TrainingProgressed(
            run_id="run-y",
            model_name="digits",
            trainer="image-classifier",
            runner="trainers-1/6f2a",
            at=_TIME,
            phase="ended",
            history=(EpochFigures(epoch=1, figures={"loss": 1.9}), EpochFigures(epoch=2, figures={"loss": 0.7})),
            log="2 epochs",
            said="registered as v2",
        ),
    ),
    "hotswap.api-key": (
        ApiKey(
            key_id="k7m2q9x4w1bz",
            name="ci",
            scopes=("operate",),
            models=("digits", "fraud-*"),
            secrets=(
                KeySecret(sha256="a" * 64),
                KeySecret(sha256="b" * 64, valid_until=_TIME + timedelta(days=8)),
            ),
            created_at=_TIME,
            created_by="ada",
            expires_at=_TIME + timedelta(days=90),
            rotated_at=_TIME + timedelta(days=7),
        ),
    ),
    "hotswap.api-key-revoked": (
        ApiKeyRevoked(key_id="k7m2q9x4w1bz", at=_TIME + timedelta(days=30), by="ada", reason="left on a laptop"),
    ),
    "hotswap.infer-request": (
        InferRequest(
            inputs=[InferTensor(name="image", shape=[1, 1, 2, 2], datatype="FP32", data=[0.0, 0.5, 1.0, 0.5])],
            id="r-1",
            outputs=[RequestedOutput(name="scores")],
        ),
    ),
    "hotswap.infer-response": (
        InferResponse(
            model_name="digits",
            model_version="v2",
            outputs=[InferTensor(name="scores", shape=[1, 3], datatype="FP32", data=[0.1, 0.7, 0.2])],
            parameters=_served(),
            id="r-1",
        ),
    ),
    "hotswap.window-record": (
        WindowRecord(
            request_offset=41,
            input="history",
            datatype="FP32",
            features=1,
            steps=1,
            data=b"\0\0\x80?",
            ids={"r-1": 41},
        ),
    ),
    "hotswap.windows-marker": (
        WindowsMarker(
            next_offset=42,
            rule=WindowRule(input="history", datatype="FP32", features=1, steps=288),
            rule_number=1,
        ),
    ),
    "hotswap.infer-error": (
        InferError(
            model_name="digits",
            error="input 'image' has shape [1, 3]; [-1, 1, 28, 28] is needed",
            error_code="wrong-input",
            parameters=_facts(),
            id="r-2",
        ),
    ),
}


@cache
def message_examples() -> dict[str, tuple[bytes, ...]]:
    """Return message name → examples as they would be on the topic."""
    found: dict[str, tuple[bytes, ...]] = {}
    fold, events = _history()
    found["hotswap.registry-state"] = (msgspec.json.encode(registry_state(fold.streams["digits"])),)
    for event in events:
        name = REGISTRY_CODEC.type_name(event.data)
        found[name] = (*found.get(name, ()), REGISTRY_CODEC.encode(event))
    for command in _COMMANDS:
        name = msgspec.to_builtins(command)["type"]
        found[name] = (*found.get(name, ()), msgspec.json.encode(command))
    found |= emergency_examples()
    others = _OTHERS | observation_examples()
    return found | {name: tuple(map(msgspec.json.encode, examples)) for name, examples in others.items()}
