"""Circuits, the serving policy and the off switch of one model, as its events left them."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from hotswap_events.envelope import Timestamp
from hotswap_events.serving.control import CircuitOpenedCause, ServingPolicy

CircuitPosition = Literal["closed", "open", "half-open"]

DEFAULT_SERVING_POLICY = ServingPolicy()
"""Holds for a model that was given none."""


class CircuitState(Struct, frozen=True, gc=False):
    """The circuit of one version. Positions change by events alone."""

    position: CircuitPosition = "closed"
    since_sequence: int = 0
    """Sequence of the event that brought it here; for one that never moved, of the event that registered the version or
    last put it into production. No two circuits of a model share it, so it names this state of this circuit."""
    opened_at: Timestamp | None = None
    """When it last opened, by the writer's clock; None if it never did since the version entered production."""
    opened_cause: CircuitOpenedCause | None = None
    openings: int = 0
    """How often it opened since the version last entered production."""


class ServingControl(Struct, frozen=True):
    """Replaced as a whole when an event changes it, so that states may share it."""

    policy: ServingPolicy | None = None
    """None: `DEFAULT_SERVING_POLICY` holds."""
    circuits: Mapping[str, CircuitState] = {}
    """Those that moved since their version last entered production."""
    disabled_sequence: int | None = None
    """Sequence of the event that switched the model off; None while it is on."""
    disabled_reason: str | None = None

    @property
    def disabled(self) -> bool:
        """Whether the model is switched off."""
        return self.disabled_sequence is not None

    @property
    def effective_policy(self) -> ServingPolicy:
        """The policy that holds."""
        return self.policy or DEFAULT_SERVING_POLICY


UNTOUCHED = ServingControl()
"""The state of a model that saw none of this."""
