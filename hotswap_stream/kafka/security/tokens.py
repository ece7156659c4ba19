"""Bearer tokens for OAUTHBEARER, alike for both client libraries: asked for, or read from a file.

librdkafka could ask by itself, aiokafka cannot, and neither reads a file that something else keeps valid. So there is
one source for both. A token is never shown: not in an error, not in a `repr`.
"""

import asyncio
import base64
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import msgspec
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError
from msgspec import Struct

from hotswap_stream.errors import ConfigurationError

ASK_SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 262_144
TOKEN_BYTES_MAX = 65_536
LIFE_SECONDS = 300.0
"""How long a token is taken to be valid that does not say it."""
USED_SHARE = 0.8
"""The part of its life after which a token is asked for anew."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class TokenUnavailableError(KafkaConnectionError):  # type: ignore[misc]  # aiokafka is not typed
    """There is no token to show to the brokers; the message says why, and which settings decide."""


class BearerToken(Struct, frozen=True):
    """A token, and until when it is valid, in seconds since 1970."""

    text: str
    expires_s: float

    def __repr__(self) -> str:
        return f"BearerToken(***, {self.expires_s})"


class TokenSource(Protocol):
    """Where tokens come from. Safe for threads, and it blocks."""

    def token(self) -> BearerToken:
        """Return a token that is valid now. TokenUnavailableError."""
        ...


class TokenFile:
    """A token that something else keeps valid, in a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def token(self) -> BearerToken:
        """See TokenSource."""
        try:
            with Path(self._path).open("rb") as file:
                content = file.read(TOKEN_BYTES_MAX + 1)
        except OSError as error:
            raise TokenUnavailableError(
                f"HOTSWAP_KAFKA_OAUTH_TOKEN_FILE {self._path!r} cannot be read: {error.strerror}"
            ) from error
        try:
            text = content.decode("ascii").strip()
        except UnicodeDecodeError:
            text = ""
        if not text or len(content) > TOKEN_BYTES_MAX or not text.isprintable() or " " in text:
            raise TokenUnavailableError(f"HOTSWAP_KAFKA_OAUTH_TOKEN_FILE {self._path!r} holds no token")
        expires_s, now_s = expiry_of(text), time.time()
        if expires_s is not None and expires_s <= now_s:
            raise TokenUnavailableError(
                f"the token in HOTSWAP_KAFKA_OAUTH_TOKEN_FILE {self._path!r} expired {now_s - expires_s:.0f} s ago; "
                "what keeps it valid?"
            )
        return BearerToken(text, expires_s or now_s + LIFE_SECONDS)


class TokenEndpoint:
    """Tokens of an OAuth 2.0 server, for our id and secret (RFC 6749, client credentials)."""

    def __init__(self, url: str, client_id: str, client_secret: str, scope: str | None, ca_file: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ConfigurationError(
                f"HOTSWAP_KAFKA_OAUTH_TOKEN_URL {url[:200]!r} is no address such as https://login.example/token"
            )
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ConfigurationError(
                f"HOTSWAP_KAFKA_OAUTH_TOKEN_URL {url[:200]!r} would send the secret unencrypted; use https"
            )
        try:
            self._trusted = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise ConfigurationError(f"HOTSWAP_KAFKA_OAUTH_CA_FILE {ca_file!r} cannot be read: {error}") from error
        self._url = url
        # As the standard has it: each form-encoded before they are joined
        self._credentials = (quote(client_id, safe=""), quote(client_secret, safe=""))
        self._form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        self._lock = threading.Lock()
        self._kept: BearerToken | None = None
        self._again_s = 0.0

    def token(self) -> BearerToken:
        """See TokenSource. One question at a time; until most of its life is over, a token is used again."""
        with self._lock:
            if self._kept is None or time.time() >= self._again_s:
                try:
                    kept = self._ask()
                except TokenUnavailableError:
                    if self._kept is None or time.time() >= self._kept.expires_s:
                        raise
                    return self._kept  # it is valid still, and the next caller asks again
                self._kept = kept
                self._again_s = time.time() + USED_SHARE * (kept.expires_s - time.time())
            return self._kept

    def _ask(self) -> BearerToken:
        # Here, because it takes long to import, and most clusters give no tokens.
        import httpx

        asked_s = time.time()
        try:
            with (
                httpx.Client(timeout=ASK_SECONDS_MAX, verify=self._trusted) as client,
                client.stream("POST", self._url, data=self._form, auth=self._credentials) as response,
            ):
                content = b""
                for part in response.iter_bytes():
                    content += part
                    if len(content) > ANSWER_BYTES_MAX:
                        raise TokenUnavailableError(f"{self._url} answers with more than {ANSWER_BYTES_MAX} bytes")
        except httpx.HTTPError as error:
            raise TokenUnavailableError(f"no token from HOTSWAP_KAFKA_OAUTH_TOKEN_URL {self._url}: {error}") from error
        facts = _json_object(content)
        if response.status_code != httpx.codes.OK:
            code = facts.get("error")
            raise TokenUnavailableError(
                f"no token from HOTSWAP_KAFKA_OAUTH_TOKEN_URL {self._url}: status {response.status_code}"
                + (f", {code[:100]!a}" if isinstance(code, str) else "")
                + "; are HOTSWAP_KAFKA_OAUTH_CLIENT_ID, _CLIENT_SECRET and _SCOPE right?"
            )
        text, seconds = facts.get("access_token"), facts.get("expires_in")
        if not isinstance(text, str) or not text.isascii() or not text.isprintable() or " " in text:
            raise TokenUnavailableError(f"HOTSWAP_KAFKA_OAUTH_TOKEN_URL {self._url} answers without an access_token")
        if isinstance(seconds, int | float) and 0 < seconds < 1e9:
            return BearerToken(text, asked_s + seconds)
        return BearerToken(text, expiry_of(text) or asked_s + LIFE_SECONDS)


class AiokafkaTokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is not typed
    """A source, as aiokafka's clients ask it."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    async def token(self) -> str:
        """Return a token. TokenUnavailableError."""
        return (await asyncio.to_thread(self._source.token)).text


def expiry_of(token: str) -> float | None:
    """Return until when a token is valid, if it is a JWT that says so. Whether it is true is the brokers' to check."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = _json_object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    expires = claims.get("exp")
    return float(expires) if isinstance(expires, int | float) and 0 < expires < 1e12 else None


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
