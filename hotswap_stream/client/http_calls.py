"""The HTTP API's operations as values: what to send, and what an answer means. The two registry clients send them."""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_stream.application.inference.binary_tensors import (
    HEADER_LENGTH,
    WrongBodyError,
    decode_response,
    encode_request,
)
from hotswap_stream.application.inference.gateway import NOTHING_BESIDE, Beside
from hotswap_stream.client import inference
from hotswap_stream.client.errors import RefusedError
from hotswap_stream.client.inference import Inference
from hotswap_stream.client.trust import trust
from hotswap_stream.client.upload_source import Part
from hotswap_stream.settings import api_key_here

TIMEOUT_S = 30.0
REASON_CHARACTERS_MAX = 2_000


class Call(Struct, frozen=True, kw_only=True):
    """One request."""

    method: str
    path: str
    query: dict[str, Any] = {}
    content: bytes = b""
    headers: dict[bytes, bytes] = {}
    part: Part | None = None
    """Instead of `content`: sent in pieces."""
    answer_s_max: float | None = None
    """How long the answer may take, where that is not the client's usual time."""

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of httpx's `request`; with a part, `content` is left for the client to fill."""
        options: dict[str, Any] = {
            "method": self.method,
            "url": self.path,
            "params": self.query,
            "content": self.content,
            "headers": self.headers,
        }
        if self.part is not None:
            # httpx would send it in chunks of unknown number.
            options["headers"] = self.headers | {b"content-length": b"%d" % self.part.size_bytes}
        if self.answer_s_max is not None:
            options["timeout"] = httpx.Timeout(TIMEOUT_S, read=self.answer_s_max)
        return options


def client_options(
    base_url: str, api_key: str | None, timeout_s: float, *, ca_file: str | None = None
) -> dict[str, Any]:
    """Return the keyword arguments of httpx's clients.

    Without a key it is that of `HOTSWAP_API_KEY`, without a file of whom to trust that of `HOTSWAP_API_CA_FILE`, if
    they are set. ConfigurationError if that file cannot be read.
    """
    api_key = api_key or api_key_here()
    return {
        "base_url": base_url,
        "headers": {} if api_key is None else {"X-API-Key": api_key},
        "timeout": timeout_s,
        "verify": trust(base_url, ca_file),
    }


def query(path: str, parameters: Mapping[str, Any] | None = None) -> Call:
    """Return a GET; parameters that are None are left out."""
    chosen = {name: value for name, value in (parameters or {}).items() if value is not None}
    return Call(method="GET", path=path, query=chosen)


def command(path: str, body: Mapping[str, Any], command_id: str | None, *, answer_s_max: float | None = None) -> Call:
    """Return a POST that changes state. With a `command_id` it can be sent again and applies once."""
    chosen = {name: value for name, value in body.items() if value is not None}
    headers = {b"content-type": b"application/json"}
    if command_id is not None:
        headers[b"Idempotency-Key"] = command_id.encode()
    return Call(
        method="POST", path=path, content=msgspec.json.encode(chosen), headers=headers, answer_s_max=answer_s_max
    )


def feedback(model_name: str, items: Sequence[Mapping[str, Any]], command_id: str | None) -> Call:
    """Return a POST of feedback on one answer or many."""
    given = [{name: value for name, value in item.items() if value is not None} for item in items]
    return command(f"{model_path(model_name)}/feedback", {"feedback": given}, command_id)


def model_path(model_name: str, model_version: str | None = None) -> str:
    """Return the path below which the operations on a model or a version are."""
    path = f"/api/models/{quote(model_name, safe='')}"
    return path if model_version is None else f"{path}/versions/{quote(model_version, safe='')}"


def ask(
    model_name: str,
    inputs: Mapping[str, Any],
    outputs: Sequence[str],
    request_id: str | None,
    beside: Beside = NOTHING_BESIDE,
) -> Call:
    """Return a POST that asks a model, with raw tensors both ways. ValueError for inputs that are no tensors."""
    content, json_bytes = encode_request(inference.infer_request(inputs, outputs, request_id))
    headers = {b"content-type": b"application/json"}
    if json_bytes is not None:
        headers = {b"content-type": b"application/octet-stream", HEADER_LENGTH.encode(): b"%d" % json_bytes}
    for name, text in ((header_names.ROUTING_KEY, beside.routing_key), (header_names.TRACEPARENT, beside.traceparent)):
        if text is not None:
            headers[name.encode()] = text.encode()
    if beside.deadline_s is not None:
        headers[header_names.DEADLINE.encode()] = b"%d" % ((time.time() + beside.deadline_s) * 1_000)
    return Call(method="POST", path=infer_path(model_name, beside.model_version), content=content, headers=headers)


def infer_path(model_name: str, model_version: str | None = None) -> str:
    """Return the path at which a model, or one version of it, is asked."""
    path = f"/v2/models/{quote(model_name, safe='')}"
    return f"{path}/infer" if model_version is None else f"{path}/versions/{quote(model_version, safe='')}/infer"


def json_of(response: httpx.Response) -> dict[str, Any]:
    """Return an answer's JSON object. RefusedError if it is not a success."""
    refuse(response)
    answer: dict[str, Any] = msgspec.json.decode(response.content)
    return answer


def inference_of(response: httpx.Response, started_s: float) -> Inference:
    """Return an inference's answer with its outputs as arrays.

    Args:
        response: What the API sent.
        started_s: When the request was sent, by `time.perf_counter`.

    Raises:
        RefusedError: It is not a success, or not an answer of the protocol.
    """
    refuse(response)
    try:
        answer = decode_response(response.content, response.headers.get(HEADER_LENGTH))
    except WrongBodyError as error:
        raise RefusedError(response.status_code, "answer-unreadable", str(error)) from error
    return inference.inference_of(answer, round((time.perf_counter() - started_s) * 1000, 3))


def refuse(response: httpx.Response) -> None:
    """Raise RefusedError unless the answer is a success."""
    if not response.is_success:
        raise problem_of(response)


def problem_of(response: httpx.Response) -> RefusedError:
    """Return what an answer that is no success says: a problem detail, an OIP error, or the bare status."""
    try:
        problem = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = None
    if not isinstance(problem, dict):
        problem = {"detail": response.text[:REASON_CHARACTERS_MAX] or response.reason_phrase}
    return RefusedError(
        response.status_code,
        str(problem.get("code", "refused")),
        str(problem.get("detail", problem.get("error", ""))),
        tuple(problem.get("legal", ())),
    )
