"""The port to the models: a request goes to a worker by way of the model's topics, and its answer comes back."""

from typing import Protocol

from hotswap_events.inference import InferError, InferRequest, InferResponse
from hotswap_stream.errors import HotswapError


class NoModelTopicsError(HotswapError):
    """The model has no request and response topics: its name is wrong, or nothing was ever registered for it."""


class RequestTooLargeError(HotswapError):
    """The request has more bytes than a record may have."""


class InferenceUnavailableError(HotswapError):
    """Kafka cannot be reached, or refused the request. Whether it was sent may be unknown."""

    retriable = True


class InferenceTimeoutError(HotswapError):
    """No answer within the time allowed. The request may still be answered in its topic."""

    retriable = True


class InferenceGateway(Protocol):
    """Asks models. Safe for many callers at once on one event loop."""

    async def infer(
        self,
        model_name: str,
        request: InferRequest,
        *,
        raw: bool,
        timeout_s: float,
        partition: int | None = None,
    ) -> InferResponse | InferError:
        """The answer to one request, which may be an error answer.

        `raw`: tensors travel as bytes (little-endian, row-major) both ways; else as lists. Raises NoModelTopicsError,
        RequestTooLargeError, InferenceUnavailableError, InferenceTimeoutError; ValueError for a partition that is not
        consumed here.
        """
        ...
