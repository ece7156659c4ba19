"""An upload as steps that a client takes, whether it blocks or is awaited: what to send, how long to wait.

Up to 64 MiB go in one request, if the connection holds. Else, and with files beside it, a model goes in pieces: after a
broken connection the client asks how far the server came, and goes on there.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import httpx
import msgspec
from msgspec import Meta, Struct

from hotswap_stream.client import http_calls as calls
from hotswap_stream.client.errors import RefusedError
from hotswap_stream.client.upload_source import Part, Source, Uploadable

ONE_REQUEST_BYTES_MAX = 64 * 1024**2
QUERY_CHARACTERS_MAX = 4_096
"""Options that are longer go in a body."""
ATTEMPTS_MAX = 8
"""Failures in a row, without a byte that came through between them."""
WAIT_SECONDS_MAX = 10.0
ANSWER_SECONDS_MAX = 300.0
"""How long the server may take to try the model."""
STARTS_MAX = 2

TOO_SLOW = 408
_TRIED_AGAIN = frozenset({TOO_SLOW, 429, 502, 503, 504})
_GO_ON = frozenset({"wrong-offset", "upload-busy"})

ARTIFACTS = "/api/artifacts"
UPLOADS = "/api/uploads"
_OCTETS = {b"content-type": b"application/octet-stream"}


class Send(Struct, frozen=True):
    """Send it; go on with the response, or the httpx.TransportError."""

    call: calls.Call


class Wait(Struct, frozen=True):
    """Do nothing for a while."""

    seconds: float


class Compute(Struct, frozen=True):
    """Call it, where it keeps nobody waiting; go on with what it returns."""

    work: Callable[[], Any]


Step = Send | Wait | Compute
Steps = Generator[Step, Any, dict[str, Any]]

Progress = Callable[[int, int], None]
"""Called with the bytes that are sent, and all there are. After a broken connection the first may become less."""


class UploadOptions(Struct, frozen=True, kw_only=True):
    """What a graph cannot say; the server's words."""

    labels: Sequence[str] = ()
    warm_up: Mapping[str, Sequence[int]] = {}
    batching: str | None = None
    allow_non_finite: bool = False

    def query(self) -> dict[str, Any]:
        """Return them as parameters."""
        shapes = [f"{name}={'x'.join(str(size) for size in shape)}" for name, shape in self.warm_up.items()]
        given = {"label": list(self.labels), "warm_up": shapes, "batching": self.batching}
        if self.allow_non_finite:
            given["allow_non_finite"] = "true"
        return {name: value for name, value in given.items() if value}

    def body(self) -> dict[str, Any]:
        """Return them as fields of a body."""
        shapes = {name: list(shape) for name, shape in self.warm_up.items()}
        return {
            "labels": list(self.labels),
            "warm_up": shapes,
            "batching": self.batching,
            "allow_non_finite": self.allow_non_finite,
        }


class _Place(Struct, frozen=True):
    """How far an upload came."""

    upload_id: str
    received_bytes: Annotated[int, Meta(ge=0)]
    piece_bytes_max: Annotated[int, Meta(ge=1)]


class _Patience:
    """Counts failures, and says how long to wait before the next attempt."""

    def __init__(self) -> None:
        self._failures = 0
        self._heard = False

    def progress(self) -> None:
        """Begin to count anew."""
        self._failures = 0

    def after(self, outcome: httpx.Response | httpx.TransportError) -> float | None:
        """Return the seconds to wait, or None where it makes no sense to try again."""
        self._failures += 1
        if self._failures >= ATTEMPTS_MAX:
            return None
        wait_s = min(WAIT_SECONDS_MAX, 0.25 * float(2**self._failures))
        if isinstance(outcome, httpx.Response):
            self._heard = True
            if outcome.status_code not in _TRIED_AGAIN and calls.problem_of(outcome).code not in _GO_ON:
                return None
            asked = outcome.headers.get("retry-after", "")
            return min(WAIT_SECONDS_MAX, max(wait_s, float(asked))) if asked.isdecimal() else wait_s
        if isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout) and not self._heard:
            return None  # nobody is there at all; that is no broken connection
        hopeless = isinstance(outcome, httpx.UnsupportedProtocol | httpx.LocalProtocolError | httpx.ReadTimeout)
        return None if hopeless else wait_s

    def heard(self) -> None:
        """Note that there is a server."""
        self._heard = True


class _Sent:
    """Adds up what is sent of several files."""

    def __init__(self, total_bytes: int, tell: Progress | None) -> None:
        self._total_bytes = total_bytes
        self._tell = tell
        self._before = 0

    def of_this(self, sent_bytes: int) -> None:
        """Note how far the current file is sent."""
        if self._tell is not None:
            self._tell(self._before + sent_bytes, self._total_bytes)

    def next_file(self, size_bytes: int) -> None:
        """Go on with the next file."""
        self._before += size_bytes


def upload_steps(
    given: Uploadable, beside: Mapping[str, Uploadable], options: UploadOptions, progress: Progress | None
) -> Steps:
    """Upload a model, and return the server's answer.

    Raises:
        RefusedError: The server says no, or its answers make no sense.
        httpx.TransportError: The server cannot be reached, or not any more.
        OSError: A file cannot be read.
        ValueError: A path leads to no regular file, or the file has become shorter.
    """
    with ExitStack() as opened:
        file = opened.enter_context(Source(given))
        others = {name: opened.enter_context(Source(other)) for name, other in beside.items()}
        query = options.query()
        few = len(urlencode(query, doseq=True)) <= QUERY_CHARACTERS_MAX
        if few and not others and file.size_bytes <= ONE_REQUEST_BYTES_MAX:
            answer = yield from _in_one_request(file, query, progress)
            if answer is not None:
                return answer
        for start in range(1, STARTS_MAX + 1):
            try:
                return (yield from _in_pieces(file, others, options, progress))
            except RefusedError as error:
                # It ended while nobody was looking, or its answer was lost on the way.
                if error.code != "unknown-upload" or start == STARTS_MAX:
                    raise
    raise AssertionError("the last start returns or raises")


def _in_one_request(
    file: Source, query: Mapping[str, Any], progress: Progress | None
) -> Generator[Step, Any, dict[str, Any] | None]:
    """Send the file as it is. None where the connection broke, or was too slow: pieces are better then.

    The server may also have said no before it had all, and the connection broke before that could be read.
    """
    digest = yield Compute(file.digest)
    patience, sent = _Patience(), _Sent(file.size_bytes, progress)
    call = calls.Call(
        method="POST",
        path=ARTIFACTS,
        query={**query, "digest": digest},
        headers=_OCTETS,
        part=Part(source=file, offset=0, size_bytes=file.size_bytes, sent=sent.of_this),
        answer_s_max=ANSWER_SECONDS_MAX,
    )
    while True:
        outcome = yield Send(call)
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            return calls.json_of(outcome)
        seconds = _seconds_after(outcome, patience)
        if isinstance(outcome, httpx.TransportError) or outcome.status_code == TOO_SLOW:
            return None
        yield Wait(seconds)


def _in_pieces(file: Source, others: Mapping[str, Source], options: UploadOptions, progress: Progress | None) -> Steps:
    patience = _Patience()
    sent = _Sent(sum(source.size_bytes for source in (file, *others.values())), progress)
    begun: list[str] = []
    try:
        for source in (file, *others.values()):
            digest = yield Compute(source.digest)
            body = {"size_bytes": source.size_bytes, "digest": digest}
            place = _place((yield from _answer(calls.command(UPLOADS, body, None), patience)), source)
            begun.append(place.upload_id)
            yield from _send_all(source, place, sent, patience)
            sent.next_file(source.size_bytes)
        body = {"file": begun[0], "beside": dict(zip(others, begun[1:], strict=True)), **options.body()}
        call = calls.command(f"{ARTIFACTS}/from-uploads", body, None, answer_s_max=ANSWER_SECONDS_MAX)
        return (yield from _answer(call, patience))
    except RefusedError:
        for upload_id in begun:
            # If it is not deleted, it ends by itself.
            yield Send(calls.Call(method="DELETE", path=_path(upload_id)))
        raise


def _send_all(source: Source, place: _Place, sent: _Sent, patience: _Patience) -> Generator[Step, Any, None]:
    path, furthest = _path(place.upload_id), place.received_bytes
    while place.received_bytes < source.size_bytes:
        at = place.received_bytes
        part = Part(
            source=source, offset=at, size_bytes=min(place.piece_bytes_max, source.size_bytes - at), sent=sent.of_this
        )
        call = calls.Call(method="PATCH", path=path, query={"offset": at}, headers=_OCTETS, part=part)
        outcome = yield Send(call)
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            place = _place(calls.json_of(outcome), source)
        else:
            yield Wait(_seconds_after(outcome, patience))
            place = _place((yield from _answer(calls.Call(method="GET", path=path), patience)), source)
        if place.received_bytes > furthest:
            furthest = place.received_bytes
            patience.progress()
        elif isinstance(outcome, httpx.Response) and outcome.is_success:
            raise RefusedError(outcome.status_code, "answer-unreadable", "the server took a piece and did not go on")
        sent.of_this(place.received_bytes)


def _answer(call: calls.Call, patience: _Patience) -> Steps:
    """Send a call that may be sent again, until it is answered."""
    while True:
        outcome = yield Send(call)
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            patience.heard()
            return calls.json_of(outcome)
        yield Wait(_seconds_after(outcome, patience))


def _seconds_after(outcome: httpx.Response | httpx.TransportError, patience: _Patience) -> float:
    """Return how long to wait before the next attempt; raise where there is none."""
    seconds = patience.after(outcome)
    if seconds is not None:
        return seconds
    if isinstance(outcome, httpx.TransportError):
        raise outcome
    raise calls.problem_of(outcome)


def _place(answer: Mapping[str, Any], source: Source) -> _Place:
    try:
        place = msgspec.convert(answer, _Place)
    except msgspec.ValidationError as error:
        raise RefusedError(200, "answer-unreadable", f"no state of an upload: {error}") from error
    if place.received_bytes > source.size_bytes:
        raise RefusedError(
            200, "answer-unreadable", f"{place.received_bytes} bytes were received of {source.size_bytes}"
        )
    return place


def _path(upload_id: str) -> str:
    return f"{UPLOADS}/{quote(upload_id, safe='')}"
