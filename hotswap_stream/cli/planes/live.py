"""The live stream of an API: its messages, from one connection after another."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import Struct

from hotswap_stream.client.errors import ApiUnreachableError
from hotswap_stream.errors import HotswapError

if TYPE_CHECKING:
    from hotswap_stream.cli.planes.http import ApiPlane

MESSAGE_BYTES_MAX = 64 * 1024**2
RETRY_SECONDS = 1.0
SILENCE_SECONDS_MAX = 20.0
"""The server says something each five seconds; what says nothing for longer is gone."""


class LiveMessage(Struct, frozen=True):
    """One message: the name of its event, and its JSON."""

    event: str
    data: bytes


class LiveMessageTooLongError(HotswapError):
    """What is at that address is no live stream of this release."""


async def messages_of(pieces: AsyncIterator[bytes]) -> AsyncGenerator[LiveMessage, None]:
    """Yield the messages of a stream of server-sent events. LiveMessageTooLongError."""
    waiting = b""
    event, data = "message", b""
    async for piece in pieces:
        waiting += piece
        if len(waiting) + len(data) > MESSAGE_BYTES_MAX:
            raise LiveMessageTooLongError(f"a message of the live stream has more than {MESSAGE_BYTES_MAX:,} bytes")
        *lines, waiting = waiting.split(b"\n")
        for line in lines:
            name, _, value = line.rstrip(b"\r").partition(b":")
            value = value.removeprefix(b" ")
            if name == b"event":
                event = value.decode(errors="replace")
            elif name == b"data":
                data += value
            elif not name and not value and data:
                yield LiveMessage(event, data)
                event, data = "message", b""


async def live_messages(api: "ApiPlane") -> AsyncGenerator[LiveMessage, None]:
    """Yield all messages; where the connection breaks one of the event `away`, and go on with the next connection.

    Raises:
        ApiUnreachableError: Not even the first connection came about.
        AuthenticationError: The key does not open it.
    """
    began = False
    while True:
        try:
            async with (
                aclosing(api.streamed("/api/live", seconds_max=SILENCE_SECONDS_MAX)) as pieces,
                aclosing(messages_of(pieces)) as messages,
            ):
                async for message in messages:
                    began = True
                    yield message
        except ApiUnreachableError:
            if not began:
                raise
        yield LiveMessage("away", b"{}")
        await asyncio.sleep(RETRY_SECONDS)
