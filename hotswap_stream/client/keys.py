"""API keys over the API, for whoever has one with the scope `admin`."""

from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from hotswap_stream.application.keys.changes import KeyOrder
from hotswap_stream.application.keys.view import KeyWithSecret, ShownKey
from hotswap_stream.client import http_calls as calls
from hotswap_stream.client.errors import ApiUnreachableError

_Shown = TypeVar("_Shown", bound=ShownKey)


class HttpOffice:
    """A KeyOffice over the API. What the API refuses is a RefusedError."""

    def __init__(self, url: str, api_key: str | None) -> None:
        self._url = url
        self._api_key = api_key

    async def all(self) -> tuple[ShownKey, ...]:
        """See KeyOffice."""
        answer = await self._asked(calls.query("/api/keys"))
        return msgspec.convert(answer["keys"], tuple[ShownKey, ...])

    async def show(self, key: str) -> ShownKey:
        """See KeyOffice."""
        return msgspec.convert(await self._asked(calls.query(_path(key))), ShownKey)

    async def create(self, order: KeyOrder) -> KeyWithSecret:
        """See KeyOffice."""
        return await self._sent("/api/keys", msgspec.to_builtins(order), KeyWithSecret)

    async def rotate(self, key: str, old_valid_seconds: float) -> KeyWithSecret:
        """See KeyOffice."""
        return await self._sent(f"{_path(key)}/rotate", {"old_valid_seconds": old_valid_seconds}, KeyWithSecret)

    async def revoke(self, key: str, reason: str | None) -> ShownKey:
        """See KeyOffice."""
        return await self._sent(f"{_path(key)}/revoke", {"reason": reason}, ShownKey)

    async def _sent(self, path: str, body: dict[str, Any], shown: type[_Shown]) -> _Shown:
        return msgspec.convert(await self._asked(calls.command(path, body, None)), shown)

    async def _asked(self, call: calls.Call) -> dict[str, Any]:
        options = calls.client_options(self._url, self._api_key, calls.TIMEOUT_S)
        try:
            async with httpx.AsyncClient(**options) as client:
                return calls.json_of(await client.request(**call.options()))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApiUnreachableError(f"{self._url} cannot be asked: {error!r}") from error


def _path(key: str) -> str:
    return f"/api/keys/{quote(key, safe='')}"
