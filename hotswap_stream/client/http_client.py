"""The HTTP API from Python, blocking."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from hotswap_stream.application.inference_gateway import Beside
from hotswap_stream.client import http_calls as calls
from hotswap_stream.client.inference import Inference, inference_of


class RegistryClient:
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

    def models(self, *, after: str | None = None, limit: int | None = None) -> dict[str, Any]:
        """A page of models with what is in production."""
        return self._json(calls.query("/api/models", {"after": after, "limit": limit}))

    def model(self, model_name: str) -> dict[str, Any]:
        """One model."""
        return self._json(calls.query(calls.model_path(model_name)))

    def versions(
        self,
        model_name: str,
        *,
        stage: str | None = None,
        before_sequence: int | None = None,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """A page of versions, newest first."""
        parameters = {"stage": stage, "before_sequence": before_sequence, "limit": limit}
        return self._json(calls.query(f"{calls.model_path(model_name)}/versions", parameters))

    def events(
        self,
        *,
        from_offset: int | None = None,
        last: int | None = None,
        limit: int | None = None,
        model_name: str | None = None,
        event_type: str | None = None,
    ) -> dict[str, Any]:
        """A page of the registry log."""
        parameters = {
            "from_offset": from_offset,
            "last": last,
            "limit": limit,
            "model_name": model_name,
            "type": event_type,
        }
        return self._json(calls.query("/api/events", parameters))

    def register(
        self, model_name: str, artifact_digest: str, *, command_id: str | None = None, **facts: Any
    ) -> dict[str, Any]:
        """Register an artifact that is in the store; `facts` are the other fields of the body."""
        body = {"artifact_digest": artifact_digest, **facts}
        return self._json(calls.command(f"{calls.model_path(model_name)}/versions", body, command_id))

    def promote(
        self, model_name: str, model_version: str, *, reason: str | None = None, command_id: str | None = None
    ) -> dict[str, Any]:
        """Put a version that passed validation into production."""
        path = f"{calls.model_path(model_name, model_version)}/promote"
        return self._json(calls.command(path, {"reason": reason}, command_id))

    def archive(
        self, model_name: str, model_version: str, *, reason: str | None = None, command_id: str | None = None
    ) -> dict[str, Any]:
        """Take a version that is not active out of play."""
        path = f"{calls.model_path(model_name, model_version)}/archive"
        return self._json(calls.command(path, {"reason": reason}, command_id))

    def switch(
        self, model_name: str, model_version: str, *, reason: str | None = None, command_id: str | None = None
    ) -> dict[str, Any]:
        """Force a version into production, past validation."""
        body = {"model_version": model_version, "reason": reason}
        return self._json(calls.command(f"{calls.model_path(model_name)}/switch", body, command_id))

    def rollback(
        self,
        model_name: str,
        *,
        emergency: bool = False,
        from_version: str | None = None,
        reason: str | None = None,
        command_id: str | None = None,
    ) -> dict[str, Any]:
        """Return to the version that was in production before."""
        cause = "emergency" if emergency else "operator"
        body = {"cause": cause, "from_version": from_version, "reason": reason}
        return self._json(calls.command(f"{calls.model_path(model_name)}/rollback", body, command_id))

    def feedback(self, model_name: str, *items: Mapping[str, Any], command_id: str | None = None) -> dict[str, Any]:
        """Say what turned out about answers. Each item: `request_partition` and `request_offset` as the answer's
        parameters have them, or `request_id`; `label` (index of the true class), `reward`, or both.
        """
        return self._json(calls.feedback(model_name, items, command_id))

    def infer(
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
        response = calls.inference_response(self._send(call))
        return inference_of(response, round((time.perf_counter() - started_s) * 1000, 3))

    def _json(self, call: calls.Call) -> dict[str, Any]:
        return calls.json_of(self._send(call))

    def _send(self, call: calls.Call) -> httpx.Response:
        return self._client.request(
            call.method, call.path, params=call.query, content=call.content, headers=call.headers
        )
