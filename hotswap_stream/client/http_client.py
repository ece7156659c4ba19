"""The HTTP API from Python: one client that blocks and one for asyncio. What they share is in `RegistryOperations`."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import closing
from types import TracebackType
from typing import Any, Self

import httpx

from hotswap_stream.client import http_calls as calls
from hotswap_stream.client.inference import Inference
from hotswap_stream.client.registry_operations import RegistryOperations
from hotswap_stream.client.upload import Send, Step, Steps, Wait
from hotswap_stream.client.upload_source import Part


class RegistryClient(RegistryOperations[dict[str, Any], Inference]):
    """Thin: answers are the API's JSON as dictionaries (`docs/reference/http.md`); what it refuses is a RefusedError.

    Use it with `with`. Commands take a `command_id`: sent again with the same id, they apply once.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout_s: float = calls.TIMEOUT_S,
        ca_file: str | None = None,
    ) -> None:
        """Make one. `ca_file`: whom to trust; None: `HOTSWAP_API_CA_FILE`, or what the system trusts."""
        self._client = httpx.Client(**calls.client_options(base_url, api_key, timeout_s, ca_file=ca_file))

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

    def _taken(self, steps: Steps) -> dict[str, Any]:
        outcome: Any = None
        with closing(steps):
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration as end:
                    answer: dict[str, Any] = end.value
                    return answer
                outcome = self._take(step)

    def _take(self, step: Step) -> Any:
        if isinstance(step, Wait):
            return time.sleep(step.seconds)
        if not isinstance(step, Send):
            return step.work()
        options = step.call.options()
        if step.call.part is not None:
            options["content"] = step.call.part.pieces()
        try:
            return self._client.request(**options)
        except httpx.TransportError as error:
            return error


class AsyncRegistryClient(RegistryOperations[Coroutine[Any, Any, dict[str, Any]], Coroutine[Any, Any, Inference]]):
    """Thin: answers are the API's JSON as dictionaries (`docs/reference/http.md`); what it refuses is a RefusedError.

    Use it with `async with`. Commands take a `command_id`: sent again with the same id, they apply once.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout_s: float = calls.TIMEOUT_S,
        ca_file: str | None = None,
    ) -> None:
        """Make one. `ca_file`: whom to trust; None: `HOTSWAP_API_CA_FILE`, or what the system trusts."""
        self._client = httpx.AsyncClient(**calls.client_options(base_url, api_key, timeout_s, ca_file=ca_file))

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

    async def _taken(self, steps: Steps) -> dict[str, Any]:
        outcome: Any = None
        with closing(steps):
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration as end:
                    answer: dict[str, Any] = end.value
                    return answer
                outcome = await self._take(step)

    async def _take(self, step: Step) -> Any:
        if isinstance(step, Wait):
            return await asyncio.sleep(step.seconds)
        if not isinstance(step, Send):
            return await asyncio.to_thread(step.work)
        options = step.call.options()
        if step.call.part is not None:
            options["content"] = _pieces(step.call.part)
        try:
            return await self._client.request(**options)
        except httpx.TransportError as error:
            return error


async def _pieces(part: Part) -> AsyncIterator[bytes]:
    """Return all of a part, piece after piece, read where it keeps nobody waiting."""
    at = 0
    while piece := await asyncio.to_thread(part.next_piece, at):
        yield piece
        at += len(piece)
        part.sent(part.offset + at)
