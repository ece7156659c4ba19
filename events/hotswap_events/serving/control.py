"""What stands between a model's active version and its callers.

That is the circuit breaker's policy and moves, and the switch that turns a whole model off.

A circuit belongs to one version. Closed: the version answers. Open: its fallback answers in its place. Half-open: the
fallback answers, and a few requests go to the guarded version as probes. The same rule as for all events holds here:
a class, once released, is never changed in a way that alters how stored bytes read.
"""

from typing import Literal

from msgspec import Struct

Fallback = Literal["former", "version", "none"]
CircuitOpenedCause = Literal["error-rate", "latency", "probe-failed", "operator"]
CircuitClosedCause = Literal["probes-passed", "operator"]


class ServingPolicy(Struct, frozen=True, kw_only=True, gc=False):
    """How a model is served: in which batches, when a circuit opens and closes again, and what answers meanwhile.

    Every field is written to the log.
    """

    error_rate_max: float | None = 0.5
    """Share of answers in the window that may be the model's failures; the circuit opens above it. Null: any."""
    latency_ms_max: float | None = None
    """An answer whose forward pass took longer is slow. Null: none is."""
    slow_share_max: float = 0.5
    """Share of answers in the window that may be slow; 0.05 bounds the 95th percentile by `latency_ms_max`."""
    window_seconds: float = 30.0
    """Answers older than this do not count."""
    window_answers_max: int = 10_000
    """Of the answers in the window about this many count, the newest."""
    answers_min: int = 50
    """Fewer answers in the window say nothing."""
    open_seconds: float = 30.0
    """How long a circuit stays open before it is half-open."""
    probes: int = 10
    """So many probes in a row must pass, in one worker, to close the circuit; one that fails or is slow opens it."""
    probe_share: float = 0.1
    """Share of requests that are probes while the circuit is half-open, until `probes` are on their way."""
    fallback: Fallback = "former"
    """What answers for the active version while its circuit is not closed: the version a rollback would go to, a named
    one, or none: then callers get an error at once."""
    fallback_version: str | None = None
    """The named one."""
    batch_size_max: int | None = None
    """Requests of one forward pass at most; null, or more than the worker's own limit: the worker's limit."""
    batch_wait_ms_max: float | None = None
    """How long a batch that is not full waits for more requests; null: as the worker is set."""


class ServingPolicySet(Struct, frozen=True, kw_only=True, gc=False):
    """The model's policy from here on."""

    policy: ServingPolicy


class CircuitOpened(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A version failed too often or answered too slowly; its fallback takes over."""

    model_version: str
    cause: CircuitOpenedCause
    figures: dict[str, float] = {}
    """What was measured, and what was allowed."""
    worker: str | None = None
    """Where it was measured."""


class CircuitHalfOpened(Struct, frozen=True, kw_only=True, gc=False):
    """The version is tried again with probes."""

    model_version: str


class CircuitClosed(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The version answers again."""

    model_version: str
    cause: CircuitClosedCause
    figures: dict[str, float] = {}
    worker: str | None = None
    """Where the probes passed."""


class ModelDisabled(Struct, frozen=True, kw_only=True, gc=False):
    """The model is switched off: every request is answered with the error `model-disabled`."""


class ModelEnabled(Struct, frozen=True, kw_only=True, gc=False):
    """The model is switched on again."""


ServingControlEvent = (
    ServingPolicySet | CircuitOpened | CircuitHalfOpened | CircuitClosed | ModelDisabled | ModelEnabled
)

SERVING_CONTROL_EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.model.serving-policy-set.v1": ServingPolicySet,
    "hotswap.model.circuit-opened.v1": CircuitOpened,
    "hotswap.model.circuit-half-opened.v1": CircuitHalfOpened,
    "hotswap.model.circuit-closed.v1": CircuitClosed,
    "hotswap.model.disabled.v1": ModelDisabled,
    "hotswap.model.enabled.v1": ModelEnabled,
}
