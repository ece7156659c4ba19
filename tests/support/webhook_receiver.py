"""A receiver of webhooks on loopback: answers as it is told, keeps what came, verifies it by somebody else's code."""

import asyncio
from collections import defaultdict, deque
from typing import Any, Self

from msgspec import Struct, field
from standardwebhooks import Webhook

SECONDS_MAX = 60.0
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the specification's example
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"  # noqa: S105 - of the same kind


class Answer(Struct, frozen=True):
    """What the receiver says to one request."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hold: asyncio.Event | None = None
    """Answer when this is set."""


class Received(Struct, frozen=True):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str = SECRET) -> Any:
        """The event, if the signature is right. standardwebhooks.WebhookVerificationError if not."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """Answers each path by its own script, then with 204."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: dict[str, deque[Answer]] = defaultdict(deque)
        self.always: dict[str, Answer] = {}
        self._came = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def url(self, path: str = "/hook") -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{path}"

    def at(self, path: str = "/hook") -> list[Received]:
        """What came there, in order."""
        return [each for each in self.received if each.path == path]

    async def until(self, count: int, path: str = "/hook") -> list[Received]:
        """What came there, once that is the number asked for."""
        try:
            async with asyncio.timeout(SECONDS_MAX):
                while len(self.at(path)) < count:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"{len(self.at(path))} of {count} came to {path}") from None
        return self.at(path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            path = head[0].split(" ")[1]
            self.received.append(Received(path, headers, body))
            self._came.set()
            script = self.answers[path]
            answer = script.popleft() if script else self.always.get(path, Answer())
            if answer.hold is not None:
                await answer.hold.wait()
            lines = [f"HTTP/1.1 {answer.status} Said", f"content-length: {len(answer.body)}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in answer.headers.items()]
            writer.write("\r\n".join((*lines, "", "")).encode() + answer.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone
        finally:
            writer.close()
