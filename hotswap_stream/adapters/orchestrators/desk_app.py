"""The desk over HTTP: an ASGI application of six routes, each of which asks for the run's key first.

GET  /runs/RUN                    the order
GET  /runs/RUN/datasets/NUMBER    the bytes of a dataset
POST /runs/RUN/progress?sequence=N  lines of progress; an empty body is a sign of life
POST /runs/RUN/log                a piece of the log
PUT  /runs/RUN/files/NAME         a file; with ?digest=sha256:… it is checked
POST /runs/RUN/end                how the run ended
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs
from uuid import uuid4

import msgspec
import structlog

from hotswap_stream.adapters.orchestrators.desk import Desk, ReportedRun, ReportRefusedError
from hotswap_stream.application.trainers.outside import FILE_NAME, REPORT_BYTES_MAX

READ_SECONDS_MAX = 30.0
"""Between two pieces of a body."""
PIECE_BYTES = 1024 * 1024
_NAME = re.compile(FILE_NAME)
_log = structlog.get_logger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class _GoneError(Exception):
    """Whoever asked went away, or sends too slowly."""


class DeskApp:
    """See above."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            return
        try:
            run, rest = self._run(scope)
            await self._answer(run, rest, scope, receive, send)
        except ReportRefusedError as error:
            await _problem(send, error.status, str(error))
        except _GoneError:
            await _problem(send, 408, f"nothing came for {READ_SECONDS_MAX:g} s")
        except OSError as error:
            _log.exception("run_report_not_kept", path=scope["path"])
            await _problem(send, 507, f"it cannot be kept here: {error.strerror}")

    def _run(self, scope: Message) -> tuple[ReportedRun, tuple[str, ...]]:
        parts = tuple(str(scope["path"]).split("/"))
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, key = (given[0] if len(given) == 1 else b"").decode("latin-1").partition(" ")
        run_id = parts[2] if len(parts) > 2 and parts[:2] == ("", "runs") else ""
        return self._desk.find(run_id, key.strip() if scheme.lower() == "bearer" else ""), parts[3:]

    async def _answer(
        self, run: ReportedRun, rest: tuple[str, ...], scope: Message, receive: Receive, send: Send
    ) -> None:
        match (scope["method"], *rest):
            case ("GET",):
                await _send(send, 200, msgspec.json.encode(run.described()), b"application/json")
            case ("GET", "datasets", number):
                await self._dataset(run, number, send)
            case ("POST", "progress"):
                run.progress(_number(_query(scope, "sequence")), await _body(receive))
                await _send(send, 204)
            case ("POST", "log"):
                run.add_log(await _body(receive))
                await _send(send, 204)
            case ("PUT", "files", name):
                await self._file(run, name, _query(scope, "digest"), receive)
                await _send(send, 204)
            case ("POST", "end"):
                run.end(await _body(receive))
                await _send(send, 204)
            case _:
                raise ReportRefusedError(
                    404, "GET, GET datasets/N, POST progress?sequence=N, POST log, PUT files/NAME, POST end"
                )

    async def _dataset(self, run: ReportedRun, number: str, send: Send) -> None:
        if not number.isascii() or not number.isdecimal() or int(number[:6]) >= len(run.order.datasets):
            raise ReportRefusedError(404, f"the order has {len(run.order.datasets)} datasets")
        file = Path(run.order.datasets[int(number[:6])].path)
        opened = await asyncio.to_thread(file.open, "rb")
        size = os.fstat(opened.fileno()).st_size
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/octet-stream"), (b"content-length", str(size).encode())],
            }
        )
        with opened:
            while piece := await asyncio.to_thread(opened.read, PIECE_BYTES):
                run.is_alive()
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _file(self, run: ReportedRun, name: str, digest: str | None, receive: Receive) -> None:
        if not _NAME.fullmatch(name):
            raise ReportRefusedError(422, f"{name[:100]!r} is no name of a file: letters, digits, '.', '_' and '-'")
        room = run.room_for(name)
        # Beside the folder, so that nothing that is not whole is ever in it.
        part = run.folder.parent / f"part-{uuid4().hex}"
        try:
            with part.open("xb") as opened:
                size, found = await _written(run, opened, room, receive)
            if digest is not None and digest != f"sha256:{found}":
                raise ReportRefusedError(422, f"the bytes that came have the digest sha256:{found}")
            run.store(part, name, size)
        finally:
            part.unlink(missing_ok=True)


async def _written(run: ReportedRun, opened: BinaryIO, room: int, receive: Receive) -> tuple[int, str]:
    size, digest = 0, sha256()
    async for piece in _pieces(receive):
        size += len(piece)
        if size > room:
            raise run.too_large()
        run.is_alive()
        digest.update(piece)
        await asyncio.to_thread(opened.write, piece)
    return size, digest.hexdigest()


async def _pieces(receive: Receive) -> Any:
    more = True
    while more:
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                message = await receive()
        except TimeoutError:
            raise _GoneError from None
        if message["type"] != "http.request":
            raise _GoneError
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _body(receive: Receive) -> bytes:
    found = bytearray()
    async for piece in _pieces(receive):
        found += piece
        if len(found) > REPORT_BYTES_MAX:
            raise ReportRefusedError(413, f"a report may have {REPORT_BYTES_MAX} bytes")
    return bytes(found)


def _query(scope: Message, name: str) -> str | None:
    try:
        found = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=8).get(name)
    except ValueError:
        return None
    return None if found is None else found[0]


def _number(text: str | None) -> int:
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 16:
        raise ReportRefusedError(422, "?sequence= must be a number that grows from report to report")
    return int(text)


async def _problem(send: Send, status: int, detail: str) -> None:
    body = msgspec.json.encode({"status": status, "detail": detail})
    await _send(send, status, body, b"application/problem+json")


async def _send(send: Send, status: int, body: bytes = b"", content_type: bytes | None = None) -> None:
    headers = [(b"cache-control", b"no-store")]
    if content_type is not None:
        headers += [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    if status >= 400:
        # What is left of a body is not read.
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
