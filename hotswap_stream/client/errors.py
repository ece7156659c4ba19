"""What the clients raise when the other side says no."""

from hotswap_stream.errors import HotswapError


class InferenceRefusedError(HotswapError):
    """The model's answer is an error answer. `code` is one of `hotswap_events.inference.messages.ErrorCode`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class RefusedError(HotswapError):
    """The HTTP API says no. `legal` lists the legal steps or the names that exist, where that would help."""

    def __init__(self, status: int, code: str, reason: str, legal: tuple[str, ...] = ()) -> None:
        super().__init__(f"{status} {code}: {reason}" + (f" (legal: {', '.join(legal)})" if legal else ""))
        self.status = status
        self.code = code
        self.reason = reason
        self.legal = legal


class LoadError(HotswapError):
    """The load that was asked for cannot be made: of this data, by this URL, or for this model."""


class ApiUnreachableError(HotswapError):
    """The HTTP API cannot be reached, or the connection broke and did not come back."""

    retriable = True
