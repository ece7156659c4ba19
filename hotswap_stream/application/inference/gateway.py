"""The port to the models: a request goes to a worker by way of the model's topics, and its answer comes back."""

from typing import Protocol

from msgspec import Struct

from hotswap_events.inference.messages import InferError, InferRequest, InferResponse
from hotswap_stream.errors import HotswapError

BESIDE_CHARACTERS_MAX = 256
DEADLINE_SECONDS_MAX = 86_400.0


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


class ModelOverloadedError(HotswapError):
    """The workers lag so far that the answer would come too late. Nothing was sent."""

    retriable = True

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """When the wait is likely to be short enough again, in seconds from now."""


class Beside(Struct, frozen=True, kw_only=True):
    """What travels beside a request, in the headers of its record. ValueError for what does not fit."""

    routing_key: str | None = None
    """Whom or what the request is for, such as a user's id."""
    model_version: str | None = None
    """The version that must answer; else the one in production does."""
    traceparent: str | None = None
    """W3C trace context, as it is."""
    deadline_s: float | None = None
    """Seconds from now after which the request is refused instead of answered; by default when its caller gives up."""
    repeated_id_allowed: bool = False
    """Whether the request's id may be one that was seen before; else such a request is refused."""

    def __post_init__(self) -> None:
        for what in ("routing_key", "model_version", "traceparent"):
            text = getattr(self, what)
            if text is None:
                continue
            if not 0 < len(text) <= BESIDE_CHARACTERS_MAX:
                raise ValueError(f"{what} has {len(text)} characters; 1 to {BESIDE_CHARACTERS_MAX} are allowed")
            if not text.isprintable():
                raise ValueError(f"{what} is {text!r}; control characters are not allowed")
        if self.deadline_s is not None and not 0 < self.deadline_s <= DEADLINE_SECONDS_MAX:
            raise ValueError(f"deadline_s is {self.deadline_s:g}; more than 0, at most {DEADLINE_SECONDS_MAX:g} s")


NOTHING_BESIDE = Beside()


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
        beside: Beside = NOTHING_BESIDE,
        wait_s_max: float | None = None,
    ) -> InferResponse | InferError:
        """Return the answer to one request, which may be an error answer.

        Args:
            model_name: The model to ask.
            request: What to ask. Its tensors may be TextTensors unless `raw`.
            raw: Whether tensors travel as bytes (little-endian, row-major) both ways; else as lists, and those of the
                answer are TextTensors: `flat_values` reads both.
            timeout_s: How long to wait for the answer.
            partition: Where to send it; None for any.
            beside: What travels in the record's headers.
            wait_s_max: The longest wait that is likely when it is sent; None for any.

        Raises:
            NoModelTopicsError: The model has no topics.
            RequestTooLargeError: The request does not fit into a record.
            InferenceUnavailableError: Kafka cannot be reached, or refused it.
            InferenceTimeoutError: No answer came in time.
            ModelOverloadedError: It would likely wait for more than `wait_s_max`.
            ValueError: The partition is not consumed here.
        """
        ...
