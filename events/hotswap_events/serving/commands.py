"""Commands on what stands between the active version and its callers: circuits, their policy, and the off switch."""

from typing import Annotated

from msgspec import Meta, field

from hotswap_events.bounds import INT64_MAX
from hotswap_events.command import Command, ModelVersion
from hotswap_events.serving.control import CircuitClosedCause, CircuitOpenedCause, ServingPolicy

Worker = Annotated[str, Meta(max_length=200)]
StreamSequence = Annotated[int, Meta(ge=1, le=INT64_MAX)]


class SetServingPolicy(Command, frozen=True, tag="hotswap.command.set-serving-policy.v1"):
    """Say when the model's circuits open and close, and what answers meanwhile. Replaces the whole policy."""

    policy: ServingPolicy


class OpenCircuit(Command, frozen=True, tag="hotswap.command.open-circuit.v1"):
    """Take a version out of answering.

    By a worker (any cause but `operator`) only if another one can take over, or if the policy wants no fallback.
    """

    model_version: ModelVersion
    cause: CircuitOpenedCause = "operator"
    figures: dict[str, float] = field(default_factory=dict)
    worker: Worker | None = None
    since_sequence: StreamSequence | None = None
    """Refuse unless this is the circuit's `since_sequence`: what was measured must not hit a circuit that was changed
    since."""
    without_fallback: bool = False
    """By hand: also where nothing stands in, so that requests that are answered now get the error `circuit-open`."""


class HalfOpenCircuit(Command, frozen=True, tag="hotswap.command.half-open-circuit.v1"):
    """Try a version whose circuit is open, with probes."""

    model_version: ModelVersion
    since_sequence: StreamSequence | None = None


class CloseCircuit(Command, frozen=True, tag="hotswap.command.close-circuit.v1"):
    """Let a version answer again: because its probes passed, or by hand."""

    model_version: ModelVersion
    cause: CircuitClosedCause = "operator"
    figures: dict[str, float] = field(default_factory=dict)
    worker: Worker | None = None
    since_sequence: StreamSequence | None = None


class DisableModel(Command, frozen=True, tag="hotswap.command.disable-model.v1"):
    """Switch a model off: its requests get an error answer until it is enabled again."""


class EnableModel(Command, frozen=True, tag="hotswap.command.enable-model.v1"):
    """Switch a model on again."""


ServingCommand = SetServingPolicy | OpenCircuit | HalfOpenCircuit | CloseCircuit | DisableModel | EnableModel
