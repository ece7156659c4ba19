"""The HTTP API from Python, for asyncio."""

import time
from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from hotswap_stream.application.inference.gateway import Beside
from hotswap_stream.client import http_calls as calls
from hotswap_stream.client.inference import Inference, inference_of
from hotswap_stream.client.registry_operations import RegistryOperations


class AsyncRegistryClient(RegistryOperations[Coroutine[Any, Any, dict[str, Any]]]):
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

    async def infer(
        self,
        model_name: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        id: str | None = None,  # noqa: A002  # the protocol's word
        routing_key: str | None = None,
        model_version: str | None = None,
        traceparent: str | None = None,
        deadline_s: float | None = None,
    ) -> Inference:
        """Ask a model through the gateway, with raw tensors both ways. ValueError for inputs that are no tensors.

        `routing_key`: whom the request is for. `model_version`: this version must answer, in production or not.
        `traceparent`: W3C trace context. `deadline_s`: seconds after which the request is refused, not answered;
        by default when the server gives up.
        """
        beside = Beside(
            routing_key=routing_key, model_version=model_version, traceparent=traceparent, deadline_s=deadline_s
        )
        call = calls.inference(model_name, inputs, outputs, id, beside)
        started_s = time.perf_counter()
        response = calls.inference_response(await self._send(call))
        return inference_of(response, round((time.perf_counter() - started_s) * 1000, 3))

    async def _json(self, call: calls.Call) -> dict[str, Any]:
        return calls.json_of(await self._send(call))

    async def _send(self, call: calls.Call) -> httpx.Response:
        return await self._client.request(
            call.method, call.path, params=call.query, content=call.content, headers=call.headers
        )
