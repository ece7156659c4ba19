"""The HTTP API from Python: one client that blocks and one for asyncio. What they share is in `RegistryOperations`."""

import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

import httpx

from hotswap_stream.client import http_calls as calls
from hotswap_stream.client.inference import Inference
from hotswap_stream.client.registry_operations import RegistryOperations


class RegistryClient(RegistryOperations[dict[str, Any], Inference]):
    """Thin: answers are the API's JSON as dictionaries (`docs/reference/http.md`); what it refuses is a RefusedError.

    Use it with `with`. Commands take a `command_id`: sent again with the same id, they apply once.
    """

    def __init__(self, base_url: str, api_key: str | None = None, *, timeout_s: float = calls.TIMEOUT_S) -> None:
        self._client = httpx.Client(**calls.client_options(base_url, api_key, timeout_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _json(self, call: calls.Call) -> dict[str, Any]:
        return calls.json_of(self._client.request(**call.options()))

    def _inference(self, call: calls.Call) -> Inference:
        started_s = time.perf_counter()
        return calls.inference_of(self._client.request(**call.options()), started_s)


class AsyncRegistryClient(RegistryOperations[Coroutine[Any, Any, dict[str, Any]], Coroutine[Any, Any, Inference]]):
    """Thin: answers are the API's JSON as dictionaries (`docs/reference/http.md`); what it refuses is a RefusedError.

    Use it with `async with`. Commands take a `command_id`: sent again with the same id, they apply once.
    """

    def __init__(self, base_url: str, api_key: str | None = None, *, timeout_s: float = calls.TIMEOUT_S) -> None:
        self._client = httpx.AsyncClient(**calls.client_options(base_url, api_key, timeout_s))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _json(self, call: calls.Call) -> dict[str, Any]:
        return calls.json_of(await self._client.request(**call.options()))

    async def _inference(self, call: calls.Call) -> Inference:
        started_s = time.perf_counter()
        return calls.inference_of(await self._client.request(**call.options()), started_s)
