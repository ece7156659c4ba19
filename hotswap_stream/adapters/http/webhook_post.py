"""Posting to webhooks: one attempt, within limits, without exceptions."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Self
from urllib.parse import unquote_plus

import httpx
from msgspec import structs

from hotswap_stream import __version__
from hotswap_stream.application.webhooks.retry import PostOutcome

ANSWER_BYTES_MAX = 4_096
"""Bytes that are read of an answer's body, for the cause; the rest is left unread and the connection closed."""

DETAIL_CHARACTERS_MAX = 200
HIDDEN_CHARACTERS_MIN = 4
"""Shorter values of a URL's query are no secrets, and occur in other words."""
CONNECTIONS_MAX = 32

_HEADERS = {
    "user-agent": f"hotswap-stream/{__version__}",
    "accept": "*/*",
    # What is read of an answer is limited in bytes: it must not grow by being unpacked.
    "accept-encoding": "identity",
}


class HttpWebhookPoster:
    """A WebhookPoster. Close it, or use it with `async with`.

    TLS is verified and redirects are not followed. Proxies and authorities are those of the environment (`HTTPS_PROXY`,
    `NO_PROXY`, `SSL_CERT_FILE`).
    """

    def __init__(self, *, timeout_ms: int) -> None:
        self._seconds_max = timeout_ms / 1_000
        self._client = httpx.AsyncClient(
            headers=_HEADERS,
            follow_redirects=False,
            timeout=self._seconds_max,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, keepalive_expiry=30.0),
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> PostOutcome:
        """Make one attempt. It takes no longer than the limit, the reading of the answer included."""
        began, heard = monotonic(), PostOutcome()
        try:
            # httpx limits each wait by itself: an answer that drips would take for ever.
            async with asyncio.timeout(self._seconds_max):
                async with self._client.stream("POST", url, headers=headers, content=body) as response:
                    heard = _heard(url, response, b"")
                    heard = _heard(url, response, await _beginning(response))
        except (TimeoutError, httpx.TimeoutException):
            if heard.status is None:  # what it means stands in the status: the rest may be missing
                heard = PostOutcome(detail=f"nothing within {self._seconds_max:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            if heard.status is None:
                heard = PostOutcome(detail=_readable(repr(error), url))
        return structs.replace(heard, elapsed_ms=(monotonic() - began) * 1_000)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()


async def _beginning(response: httpx.Response) -> bytes:
    said = b""
    async for part in response.aiter_raw():
        said = (said + part)[:ANSWER_BYTES_MAX]
        if len(said) == ANSWER_BYTES_MAX:
            break
    return said


def _heard(url: str, response: httpx.Response, said: bytes) -> PostOutcome:
    return PostOutcome(
        status=response.status_code,
        detail="" if response.is_success else _readable(said.decode(errors="replace"), url),
        retry_after_seconds=_retry_after_seconds(response.headers.get("retry-after")),
    )


def _readable(text: str, url: str) -> str:
    """Return the beginning of a text in one line, for logs and headers.

    Receivers that say what they were asked for repeat the URL, and what its query holds must not get there.
    """
    query = url.partition("?")[2]
    hidden = {query, *(part.partition("=")[2] for part in query.split("&"))}
    for secret in sorted(hidden | {unquote_plus(each) for each in hidden}, key=len, reverse=True):
        if len(secret) >= HIDDEN_CHARACTERS_MIN:
            text = text.replace(secret, "…")
    line = " ".join(text.split())
    return "".join(character if character.isprintable() else "?" for character in line)[:DETAIL_CHARACTERS_MAX]


def _retry_after_seconds(value: str | None) -> float | None:
    """Return seconds from now; None if the header is not there or says nothing."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal():
        return float(value[:12])
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
