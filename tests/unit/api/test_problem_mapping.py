"""Each refusal and each error has its HTTP status, and says what to do about it."""

from typing import get_args

import pytest

from hotswap_events.commands import Refusal, RefusalCode
from hotswap_stream.api.protocol.problem_codes import REFUSAL_STATUS
from hotswap_stream.api.protocol.problems import problem_of, refused
from hotswap_stream.application.artifacts.file import ArtifactFormatError, InvalidDigestError
from hotswap_stream.application.artifacts.store import (
    ArtifactNotFoundError,
    ArtifactStoreRefusedError,
    ArtifactStoreUnavailableError,
    ArtifactTooLargeError,
    DigestMismatchError,
)
from hotswap_stream.application.artifacts.trial import TrialFailedError
from hotswap_stream.application.artifacts.uploads.port import (
    TooManyTrialsError,
    TooManyUploadsError,
    UnknownUploadError,
    UploadBusyError,
    UploadDigestError,
    UploadNotKeptError,
    UploadTooLargeError,
    WrongOffsetError,
)
from hotswap_stream.errors import (
    AppendOutcomeUnknownError,
    DecisionTooLargeError,
    HotswapError,
    LogUnavailableError,
    UnreadableEventError,
)


def test_every_refusal_has_a_status() -> None:
    assert set(REFUSAL_STATUS) == set(get_args(RefusalCode))


@pytest.mark.parametrize(("code", "status"), REFUSAL_STATUS.items())
def test_a_refusal_keeps_its_reason_and_the_legal_steps(code: RefusalCode, status: int) -> None:
    problem = refused(Refusal(code=code, reason="why", legal=("promote",)), command_id="c-1")
    assert (problem.status, problem.code, problem.detail) == (status, code, "why")
    assert (problem.legal, problem.command_id) == (("promote",), "c-1")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (LogUnavailableError("no log"), 503, "log-unavailable"),
        (AppendOutcomeUnknownError("who knows"), 503, "append-outcome-unknown"),
        (ArtifactStoreUnavailableError("no store"), 503, "artifact-store-unavailable"),
        (TooManyUploadsError("no place"), 503, "too-many-uploads"),
        (TooManyTrialsError("no turn"), 503, "too-many-trials"),
        (UploadNotKeptError("no disk"), 503, "upload-not-kept"),
        (UploadBusyError("in use"), 409, "upload-busy"),
    ],
)
def test_what_may_pass_by_itself_asks_to_come_back(error: HotswapError, status: int, code: str) -> None:
    problem = problem_of(error, command_id="c-1")
    assert (problem.status, problem.code, problem.command_id) == (status, code, "c-1")
    assert problem.headers == {"Retry-After": "1"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ArtifactStoreRefusedError("no"), 503, "artifact-store-refused"),
        (InvalidDigestError("no"), 422, "invalid-value"),
        (ArtifactNotFoundError("no"), 422, "unknown-artifact"),
        (ArtifactTooLargeError("no"), 422, "artifact-too-large"),
        (DigestMismatchError(expected="a", found="b", where="c"), 422, "damaged-artifact"),
        (ArtifactFormatError("no"), 422, "not-an-artifact"),
        (DecisionTooLargeError("no"), 422, "decision-too-large"),
        (UnreadableEventError("no"), 409, "newer-release"),
        (TrialFailedError("no"), 422, "not-servable"),
        (UnknownUploadError("no"), 404, "unknown-upload"),
        (UploadTooLargeError("no"), 413, "artifact-too-large"),
        (UploadDigestError("no"), 422, "digest-mismatch"),
    ],
)
def test_what_stays_wrong_does_not(error: HotswapError, status: int, code: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
    assert "Retry-After" not in problem.headers


def test_a_piece_at_the_wrong_place_is_told_the_right_one() -> None:
    problem = problem_of(WrongOffsetError(7, 5))
    assert (problem.status, problem.code, problem.received_bytes) == (409, "wrong-offset", 5)
