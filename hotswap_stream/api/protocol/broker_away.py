"""What is answered while the embedded broker is away: at once, and with the reason, instead of after a time-out."""

from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.home.broker_condition import BrokerCondition


def broker_condition(runtime: ApiRuntime) -> BrokerCondition | None:
    """Return how the embedded broker is; None for a cluster that others keep."""
    ask = runtime.services.broker
    return None if ask is None else ask()


def why_away(runtime: ApiRuntime) -> str | None:
    """Return why the embedded broker is away, and what to do; None when it is not."""
    broker = broker_condition(runtime)
    if broker is None or broker.state != "away":
        return None
    return f"the embedded broker is away: {broker.because}"


def require_broker(runtime: ApiRuntime, *, code: str = "log-unavailable", command_id: str | None = None) -> None:
    """Raise ProblemError (503 with Retry-After) while the embedded broker is away."""
    detail = why_away(runtime)
    if detail is not None:
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        raise ProblemError(503, code, detail, headers=headers, command_id=command_id)
