"""The steps of an upload: which requests, in which order, and what is done when one of them fails."""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hotswap_stream.client import upload as module
from hotswap_stream.client.errors import RefusedError
from hotswap_stream.client.http_calls import Call
from hotswap_stream.client.upload import Compute, Send, UploadOptions, Wait, upload_steps
from hotswap_stream.client.upload_source import SEND_BYTES, Source, Uploadable

DONE = {"artifact_digest": f"sha256:{'d' * 64}"}
REQUEST = httpx.Request("POST", "http://server")
BROKEN = httpx.WriteError("broken")


def answer(status: int, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers, request=REQUEST)


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    return answer(status, {"code": code, "detail": "why"}, **headers)


def place(received_bytes: int, upload_id: str = "a", piece_bytes_max: int = 4) -> httpx.Response:
    return answer(
        200, {"upload_id": upload_id, "received_bytes": received_bytes, "piece_bytes_max": piece_bytes_max, "more": 1}
    )


class Talk:
    """An upload to a server that gives these answers, one after the other."""

    def __init__(self, *answers: httpx.Response | httpx.TransportError) -> None:
        self._answers = list(answers)
        self.calls: list[Call] = []
        self.bodies: list[bytes] = []
        self.waits: list[float] = []
        self.told: list[tuple[int, int]] = []

    def upload(
        self, given: Uploadable, beside: Mapping[str, Uploadable] | None = None, **options: Any
    ) -> dict[str, Any]:
        steps = upload_steps(given, beside or {}, UploadOptions(**options), lambda *told: self.told.append(told))
        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                result: dict[str, Any] = end.value
                assert not self._answers, "the server had more to say"
                return result
            outcome = self._taken(step)

    def _taken(self, step: Send | Wait | Compute) -> Any:
        if isinstance(step, Wait):
            return self.waits.append(step.seconds)
        if isinstance(step, Compute):
            return step.work()
        self.calls.append(step.call)
        sent = step.call.content if step.call.part is None else b"".join(step.call.part.pieces())
        self.bodies.append(sent)
        return self._answers.pop(0)

    @property
    def said(self) -> list[str]:
        return [f"{call.method} {call.path}" for call in self.calls]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_small_file_goes_in_one_request(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    content = os.urandom(SEND_BYTES + 1)
    path.write_bytes(content)
    talk = Talk(answer(201, DONE))
    assert (
        talk.upload(path, labels=["a", "b"], warm_up={"x": (1, 3), "s": ()}, batching="rows", allow_non_finite=True)
        == DONE
    )
    assert talk.said == ["POST /api/artifacts"]
    assert talk.bodies == [content]
    call = talk.calls[0]
    assert call.query == {
        "digest": digest_of(content),
        "label": ["a", "b"],
        "warm_up": ["x=1x3", "s="],
        "batching": "rows",
        "allow_non_finite": "true",
    }
    options = call.options()
    assert options["headers"][b"content-length"] == b"%d" % len(content)
    assert options["timeout"].read == module.ANSWER_SECONDS_MAX
    assert talk.told == [(SEND_BYTES, len(content)), (len(content), len(content))]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_sent_as_a_file_is(kind: Callable[[bytes], Uploadable]) -> None:
    talk = Talk(answer(201, DONE))
    assert talk.upload(kind(b"graph")) == DONE
    assert talk.bodies == [b"graph"]
    assert talk.calls[0].query == {"digest": digest_of(b"graph")}


def test_files_beside_go_in_pieces_each() -> None:
    talk = Talk(place(0, "a"), place(4, "a"), place(6, "a"), place(0, "b"), place(2, "b"), answer(201, DONE))
    assert talk.upload(b"abcdef", {"weights": b"gh"}, labels=["one"], warm_up={"x": [1, 2]}) == DONE
    patches = ["PATCH /api/uploads/a"] * 2
    begin, end = "POST /api/uploads", "POST /api/artifacts/from-uploads"
    assert talk.said == [begin, *patches, begin, "PATCH /api/uploads/b", end]
    assert [body for body, call in zip(talk.bodies, talk.calls, strict=True) if call.part] == [b"abcd", b"ef", b"gh"]
    assert [call.query["offset"] for call in talk.calls if call.part] == [0, 4, 0]
    assert msgspec.json.decode(talk.bodies[0]) == {"size_bytes": 6, "digest": digest_of(b"abcdef")}
    assert msgspec.json.decode(talk.bodies[-1]) == {
        "file": "a",
        "beside": {"weights": "b"},
        "labels": ["one"],
        "warm_up": {"x": [1, 2]},
        "allow_non_finite": False,
    }
    assert talk.told[-1] == (8, 8)


def test_what_is_larger_goes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ONE_REQUEST_BYTES_MAX", 4)
    assert Talk(answer(201, DONE)).upload(b"abcd") == DONE
    assert Talk(place(0), place(4), place(5), answer(201, DONE)).upload(b"abcde") == DONE


def test_options_that_are_too_long_for_a_query_go_in_a_body() -> None:
    talk = Talk(place(0), place(1), answer(201, DONE))
    assert talk.upload(b"a", labels=["x" * module.QUERY_CHARACTERS_MAX]) == DONE
    assert talk.said[-1] == "POST /api/artifacts/from-uploads"


@pytest.mark.parametrize(
    "failure", [BROKEN, httpx.ReadError("reset"), problem(409, "wrong-offset"), problem(409, "upload-busy")]
)
def test_it_goes_on_where_the_server_says(failure: httpx.Response | httpx.TransportError) -> None:
    talk = Talk(place(0), failure, place(3), place(6), answer(201, DONE))
    assert talk.upload(b"abcdef", labels=["x" * 5_000]) == DONE
    assert talk.said[2] == "GET /api/uploads/a"
    assert [body for body, call in zip(talk.bodies, talk.calls, strict=True) if call.part] == [b"abcd", b"def"]
    assert len(talk.waits) == 1


def test_a_server_that_is_busy_is_asked_again_when_it_says() -> None:
    talk = Talk(problem(503, "too-many-uploads", **{"retry-after": "7"}), answer(429), answer(201, DONE))
    assert talk.upload(b"a") == DONE
    assert talk.waits == [7, 1]
    patient = Talk(problem(503, "too-many-uploads", **{"retry-after": "86400"}), answer(201, DONE))
    patient.upload(b"a")
    assert patient.waits == [module.WAIT_SECONDS_MAX]


@pytest.mark.parametrize("failure", [BROKEN, problem(408, "body-too-slow")])
def test_what_does_not_get_through_at_once_goes_in_pieces(failure: httpx.Response | httpx.TransportError) -> None:
    talk = Talk(failure, place(0), place(4), place(5), answer(201, DONE))
    assert talk.upload(b"abcde", labels=["one"]) == DONE
    assert talk.said[:2] == ["POST /api/artifacts", "POST /api/uploads"]
    refused = Talk(BROKEN, problem(413, "artifact-too-large"))
    with pytest.raises(RefusedError, match="artifact-too-large"):
        refused.upload(b"abcde")


def test_failures_without_progress_come_to_an_end() -> None:
    again: list[httpx.Response | httpx.TransportError] = [BROKEN, place(0)]
    talk = Talk(place(0), *again * (module.ATTEMPTS_MAX - 1), BROKEN)
    with pytest.raises(httpx.WriteError):
        talk.upload(b"abcdef", labels=["x" * 5_000])
    assert max(talk.waits) <= module.WAIT_SECONDS_MAX


def test_progress_begins_the_count_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 3 * module.ATTEMPTS_MAX
    slow = [each for received in range(1, size) for each in (BROKEN, place(received))]
    assert Talk(place(0), *slow, place(size), answer(201, DONE)).upload(b"x" * size, labels=["x" * 5_000]) == DONE


def test_a_no_is_final_and_the_uploads_are_given_up() -> None:
    talk = Talk(place(0), place(1), problem(422, "not-servable"), answer(204))
    with pytest.raises(RefusedError, match="422 not-servable: why"):
        talk.upload(b"a", labels=["x" * 5_000])
    assert talk.said[-1] == "DELETE /api/uploads/a"
    once = Talk(problem(422, "not-an-artifact"))
    with pytest.raises(RefusedError, match="not-an-artifact"):
        once.upload(b"a")
    assert once.waits == []


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError("nobody"), httpx.UnsupportedProtocol("ftp"), httpx.ReadTimeout("no answer in minutes")],
)
def test_where_it_makes_no_sense_it_is_not_tried_again(error: httpx.TransportError) -> None:
    talk = Talk(error)
    with pytest.raises(type(error)):
        talk.upload(b"a")
    assert talk.waits == []


def test_a_server_that_starts_again_is_waited_for() -> None:
    nobody = httpx.ConnectError("nobody")
    talk = Talk(place(0), BROKEN, nobody, nobody, place(3), place(4), answer(201, DONE))
    assert talk.upload(b"abcd", labels=["x" * 5_000]) == DONE


def test_an_upload_that_is_gone_is_begun_once_more() -> None:
    gone = problem(404, "unknown-upload")
    talk = Talk(place(0), place(1), BROKEN, gone, gone, place(0, "b"), place(1, "b"), answer(201, DONE))
    assert talk.upload(b"a", labels=["x" * 5_000]) == DONE
    hopeless = Talk(place(0), gone, gone, place(0, "b"), gone, gone)
    with pytest.raises(RefusedError, match="unknown-upload"):
        hopeless.upload(b"a", labels=["x" * 5_000])


@pytest.mark.parametrize(
    "nonsense",
    [
        answer(200, {}),
        answer(200, {"upload_id": "a", "received_bytes": 0, "piece_bytes_max": 0}),
        answer(200, {"upload_id": "a", "received_bytes": -1, "piece_bytes_max": 4}),
        answer(200, {"upload_id": "a", "received_bytes": 99, "piece_bytes_max": 4}),
        answer(200, {"upload_id": "a", "received_bytes": 0, "piece_bytes_max": 4}),
    ],
)
def test_an_answer_without_sense_ends_it(nonsense: httpx.Response) -> None:
    with pytest.raises(RefusedError, match="answer-unreadable"):
        Talk(place(0), nonsense, answer(204)).upload(b"abcd", labels=["x" * 5_000])


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(ValueError, match="no regular file"):
            Talk().upload(path)
    with pytest.raises(FileNotFoundError):
        Talk().upload(tmp_path / "nowhere")


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"abcdef")
    with Source(path) as source:
        os.truncate(path, 3)
        assert source.read(0, 6) == b"abc"
        with pytest.raises(ValueError, match="shorter than 6 bytes"):
            source.read(3, 3)
