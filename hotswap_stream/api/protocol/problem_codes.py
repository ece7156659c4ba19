"""Codes of problems: with which status each is answered, and under which title."""

from collections.abc import Mapping

from hotswap_events.commands import RefusalCode
from hotswap_stream.application.artifacts.file import ArtifactFormatError, InvalidDigestError
from hotswap_stream.application.artifacts.store import ArtifactNotFoundError, ArtifactTooLargeError, DigestMismatchError
from hotswap_stream.application.artifacts.trial import TrialFailedError
from hotswap_stream.application.artifacts.uploads.port import (
    UnknownUploadError,
    UploadBusyError,
    UploadDigestError,
    UploadIncompleteError,
    UploadTooLargeError,
    WrongOffsetError,
)
from hotswap_stream.application.audit.explanation import ModelNotNamedError, UnknownAnswerError
from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.application.keys.changes import UnknownKeyError, WrongKeyError
from hotswap_stream.application.mlflow.export import NotExportableError
from hotswap_stream.application.mlflow.filters import FilterError
from hotswap_stream.application.mlflow.source import SourceRefusedError
from hotswap_stream.application.observations.feedback import AnswerExpiredError
from hotswap_stream.application.training.evaluation import NotMeasurableError
from hotswap_stream.errors import DecisionTooLargeError, HotswapError, UnreadableEventError

REFUSAL_STATUS: Mapping[RefusalCode, int] = {
    "illegal-step": 409,
    "unknown-model": 404,
    "unknown-version": 404,
    "unknown-rule": 404,
    "unknown-dataset": 404,
    "unknown-rollout": 404,
    "unknown-run": 404,
    "duplicate-version": 409,
    "invalid-value": 422,
    "sequence-mismatch": 409,
    "conflict": 409,
    "command-unreadable": 422,
    "command-expired": 409,
    "idempotency-mismatch": 422,
    "signature-refused": 403,
}

TITLES: Mapping[str, str] = {
    "illegal-step": "This step is not legal now",
    "unknown-model": "No such model",
    "unknown-version": "No such version",
    "unknown-rule": "No such rule",
    "unknown-dataset": "No such dataset",
    "unknown-rollout": "No such rollout",
    "unknown-run": "No such training run",
    "unknown-key": "No such key",
    "duplicate-version": "The version exists already",
    "invalid-value": "A value is not valid",
    "sequence-mismatch": "The model has moved on",
    "conflict": "The registry has moved on",
    "command-unreadable": "The command cannot be read",
    "command-expired": "The command comes too late",
    "unauthorized": "An API key is needed",
    "not-permitted": "The API key does not open this",
    "idempotency-mismatch": "The key was used for another command",
    "signature-refused": "The signature does not hold",
    "actor-claimed": "The API key is another's",
    "malformed-json": "The body is not JSON",
    "body-missing": "The body is missing",
    "host-not-allowed": "Not by this name",
    "invalid-request": "The request is not valid",
    "unknown-parameter": "No such parameter",
    "artifact-too-large": "The artifact is too large",
    "digest-mismatch": "The bytes are not those of the digest",
    "not-an-artifact": "Not an artifact",
    "not-servable": "The model cannot be served",
    "source-refused": "The model cannot be taken from there",
    "not-exportable": "The version cannot be handed out",
    "no-dataset": "The dataset cannot be built",
    "not-measurable": "The version cannot be measured",
    "unknown-upload": "No such upload",
    "unknown-webhook": "No such webhook",
    "unknown-finding": "No such finding",
    "unknown-answer": "No such answer",
    "answer-expired": "The answer is no longer kept",
    "upload-busy": "The upload is in use",
    "upload-incomplete": "The upload is not complete",
    "wrong-offset": "The upload goes on elsewhere",
    "log-unavailable": "The registry log cannot be reached",
    "log-replaced": "The registry log is another one",
    "not-ready": "Not ready",
    "not-read-yet": "The log is not read that far here",
    "evidence-unknown": "What rollouts show is not known",
    "traffic-unknown": "What was answered lately is not known",
    "internal": "Something went wrong here",
}

ERROR_STATUS: tuple[tuple[type[HotswapError], int, str], ...] = (
    (InvalidDigestError, 422, "invalid-value"),
    (ArtifactNotFoundError, 422, "unknown-artifact"),
    (DigestMismatchError, 422, "damaged-artifact"),
    (ArtifactFormatError, 422, "not-an-artifact"),
    (TrialFailedError, 422, "not-servable"),
    (ArtifactTooLargeError, 422, "artifact-too-large"),
    (UnknownUploadError, 404, "unknown-upload"),
    (WrongOffsetError, 409, "wrong-offset"),
    (UploadBusyError, 409, "upload-busy"),
    (UploadIncompleteError, 409, "upload-incomplete"),
    (UploadTooLargeError, 413, "artifact-too-large"),
    (UploadDigestError, 422, "digest-mismatch"),
    (DecisionTooLargeError, 422, "decision-too-large"),
    (SourceRefusedError, 422, "source-refused"),
    (FilterError, 422, "invalid-value"),
    (UnknownAnswerError, 404, "unknown-answer"),
    (AnswerExpiredError, 404, "answer-expired"),
    (ModelNotNamedError, 422, "invalid-value"),
    (NotExportableError, 409, "not-exportable"),
    (UnknownKeyError, 404, "unknown-key"),
    (WrongKeyError, 422, "invalid-value"),
    (UnreadableEventError, 409, "newer-release"),
    (DatasetError, 422, "no-dataset"),
    (NotMeasurableError, 422, "not-measurable"),
)
