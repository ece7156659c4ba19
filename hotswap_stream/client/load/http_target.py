"""Load by HTTP, in the form of the Open Inference Protocol: on this product's gateway, or any other server of it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_stream.application.inference.binary_tensors import HEADER_LENGTH
from hotswap_stream.client.http_calls import infer_path
from hotswap_stream.client.load.drive import Outcome
from hotswap_stream.client.load.http_connection import (
    HttpAnswer,
    HttpConnections,
    header_text,
    post_head,
    server_of,
)
from hotswap_stream.client.load.payloads import Payload
from hotswap_stream.client.load.topic_target import routing_key

REQUESTS_PREPARED_MAX = 1_024


class _Glimpse(Struct, frozen=True, gc=False):
    """What is counted of an answer; the rest is passed over unread."""

    model_version: str = "unknown"


_decoder = msgspec.json.Decoder(_Glimpse)


class HttpTarget:
    """A LoadTarget. `close` it at the end."""

    def __init__(
        self,
        url: str,
        model_name: str,
        payloads: Sequence[Payload],
        *,
        keys: int = 0,
        model_version: str | None = None,
        api_key: str | None = None,
    ) -> None:
        server = server_of(url)
        self._connections = HttpConnections(server)
        path = infer_path(model_name, model_version)
        always = {} if api_key is None else {"x-api-key": api_key}
        self._requests: list[tuple[bytes, bytes]] = []
        for number in range(min(max(len(payloads), keys), REQUESTS_PREPARED_MAX)):
            payload, key = payloads[number % len(payloads)], routing_key(number, keys)
            key_header = {} if key is None else {header_names.ROUTING_KEY: key}
            headers = {**payload.http_headers(), **always, **key_header}
            self._requests.append((post_head(server, path, headers, len(payload.body)), payload.body))

    def close(self) -> None:
        """Drop the connections."""
        self._connections.close()

    def send(self, number: int) -> "asyncio.Future[Any]":
        """See LoadTarget."""
        head, body = self._requests[number % len(self._requests)]
        return asyncio.ensure_future(self._connections.ask(head + body))

    def outcome(self, done: "asyncio.Future[Any]") -> Outcome:
        """See LoadTarget. An error of HTTP is its status."""
        error = done.exception()
        if error is not None:
            return Outcome(error=type(error).__name__)
        answer: HttpAnswer = done.result()
        if answer.status != 200:
            return Outcome(error=f"HTTP {answer.status}")
        length = header_text(answer.headers, HEADER_LENGTH)
        try:
            text = answer.body if length is None else memoryview(answer.body)[: int(length)]
            return Outcome(model_version=_decoder.decode(text).model_version)
        except (ValueError, msgspec.DecodeError):
            return Outcome(error="answer-unreadable")
