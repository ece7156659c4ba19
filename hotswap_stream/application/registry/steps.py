"""What may be asked of a model now, by name: so that nobody offers what would be refused."""

from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.domain.deciding.legal_steps import accepted_steps, circuit_steps
from hotswap_stream.domain.rollouts.refusals import accepted_rollout_steps
from hotswap_stream.domain.state.circuits import CircuitState
from hotswap_stream.domain.state.model import ModelState, VersionState

VERSIONS_MAX = 100
"""The newest; the active one besides, however old it is."""


class LegalSteps(Struct, frozen=True, kw_only=True):
    """The steps that would be accepted, each with the field that it needs besides: `promote with forced`."""

    model_name: str
    sequence: int
    model: tuple[str, ...]
    """Steps of the model as a whole: `reload`, `enable` or `disable`."""
    rollout: tuple[str, ...]
    """Steps of the current rollout, or how one may start."""
    versions: dict[str, tuple[str, ...]]
    """By version, the newest first."""


def find_steps(streams: Streams, model_name: str) -> LegalSteps | Refusal:
    """Return what may be asked of a model, or that there is no such model."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    state = stream.state
    newest = list(reversed(state.versions.values()))
    named = newest[:VERSIONS_MAX] + [one for one in newest[VERSIONS_MAX:] if one.stage == "production"]
    return LegalSteps(
        model_name=model_name,
        sequence=state.sequence,
        model=_model_steps(state),
        rollout=accepted_rollout_steps(state, state.rollout),
        versions={one.model_version: _version_steps(state, one) for one in named},
    )


def _model_steps(state: ModelState) -> tuple[str, ...]:
    loadable = any("promote" in accepted_steps(state, version) for version in state.versions.values())
    switch = "enable" if state.serving.disabled else "disable"
    return ("reload", switch) if loadable or state.active_version is not None else (switch,)


def _version_steps(state: ModelState, version: VersionState) -> tuple[str, ...]:
    circuit = state.serving.circuits.get(version.model_version, CircuitState())
    return (*accepted_steps(state, version), *circuit_steps(version, circuit.position))
