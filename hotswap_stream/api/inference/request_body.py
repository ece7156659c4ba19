"""The body of a request, read from ASGI within limits."""

from collections.abc import Mapping
from typing import Any

from litestar.types import Receive

from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.application.processes.shared_timeouts import SharedTimeouts


async def read_body(
    receive: Receive,
    headers: Mapping[str, str],
    *,
    bytes_max: int,
    seconds_max: float,
    timeouts: SharedTimeouts,
) -> bytes:
    """Return the whole body.

    Args:
        receive: ASGI's, with the body still in it.
        headers: The request's headers, by name in lower case.
        bytes_max: The size of the largest body that is taken.
        seconds_max: How long the body may take to arrive.
        timeouts: Of the event loop.

    Raises:
        ProblemError: 413 for a larger body, at once where its length is declared; 408 when it does not arrive in time;
            400 when the connection ends before it does.
    """
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > bytes_max:
        raise _too_large(bytes_max)
    chunks: list[bytes] = []
    size = 0
    more = True
    try:
        with timeouts.within(seconds_max):
            while more:
                message: Any = await receive()
                if message["type"] == "http.disconnect":
                    raise ProblemError(400, "request-unreadable", "the connection ended before the body")
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > bytes_max:
                    raise _too_large(bytes_max)
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise ProblemError(408, "body-too-slow", "the body did not arrive in time") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(bytes_max: int) -> ProblemError:
    return ProblemError(413, "body-too-large", f"the body has more than {bytes_max} bytes; that is the most this takes")
