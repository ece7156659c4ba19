"""`evolve(state, event) -> state`: what an event means. Pure and total over legal histories.

An event that extends its stream but contradicts the state (a hand-written record, a bug) raises `IllegalEventError`
and changes nothing; readers treat it as void, all alike, so no history can leave two active versions. That makes the
rules here part of the log's meaning: to change what is legal, give the event a new type name.

After an event of a newer release that must be understood nobody here can tell what is legal: what contradicts the
state then counts, and changes nothing but the sequence, so that this reader stays on the same chain as the newer ones.
"""

from collections.abc import Callable
from typing import Any

from hotswap_events.envelope import Envelope
from hotswap_events.log_stream import LOG_EVENT_TYPES
from hotswap_stream.domain.alerts.evolve import ALERT_HANDLERS
from hotswap_stream.domain.dataset_rules import DATASET_HANDLERS
from hotswap_stream.domain.deciding.contradiction import IllegalEventError as IllegalEventError
from hotswap_stream.domain.emergency_evolve import EMERGENCY_HANDLERS
from hotswap_stream.domain.rollouts.evolve import ROLLOUT_HANDLERS
from hotswap_stream.domain.serving.evolve import SERVING_HANDLERS
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.training.evolve import TRAINING_HANDLERS
from hotswap_stream.domain.triggers.evolve import TRIGGER_HANDLERS
from hotswap_stream.domain.versions.evolve import VERSION_HANDLERS
from hotswap_stream.domain.versions.profile_rules import PROFILE_HANDLERS
from hotswap_stream.domain.versions.tag_rules import TAG_HANDLERS


def evolve(state: ModelState, event: Envelope) -> ModelState:
    """Return the state after one more event of the model's stream; `state` itself is left alone.

    Raises:
        IllegalEventError: The event contradicts the state.
    """
    after = state.copy()
    evolve_in_place(after, event)
    return after


def evolve_in_place(state: ModelState, event: Envelope) -> None:
    """Fold one more event into a state that the caller owns. The caller has checked `sequence` and `previous`.

    Raises:
        IllegalEventError: The event contradicts the state, which is not moved on.
    """
    data = event.data
    try:
        _HANDLERS[type(data)](state, data, event)
    except IllegalEventError:
        if state.unknown_event_type is None:
            raise
    except Exception as error:
        if state.unknown_event_type is None:
            raise IllegalEventError(f"it cannot be folded: {type(error).__name__}: {error}") from error
    state.sequence = event.sequence
    state.command_ids.setdefault(event.causationid, event.sequence)


def evolve_unknown_in_place(
    state: ModelState, event_type: str, sequence: int, command_id: str, *, ignorable: bool = False
) -> None:
    """Fold an event of a newer release: the stream moves on, its meaning is not known here.

    Args:
        state: The state, which the caller owns.
        event_type: The event's type name.
        sequence: Its position in the stream, from 1.
        command_id: The command that it came of.
        ignorable: Whether the event says that one can do without it. If not, this release decides from here on only
            what is possible in every state.
    """
    state.sequence = sequence
    state.command_ids.setdefault(command_id, sequence)
    if not ignorable:
        state.unknown_event_type = event_type


def _of_the_log(_state: ModelState, _data: object, _event: Envelope) -> None:
    """Change nothing: in a model's stream such an event counts, as for readers that do not know its type."""


_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {
    **VERSION_HANDLERS,
    **SERVING_HANDLERS,
    **ROLLOUT_HANDLERS,
    **PROFILE_HANDLERS,
    **TAG_HANDLERS,
    **TRAINING_HANDLERS,
    **TRIGGER_HANDLERS,
    **ALERT_HANDLERS,
    **EMERGENCY_HANDLERS,
    **DATASET_HANDLERS,
    **dict.fromkeys(LOG_EVENT_TYPES.values(), _of_the_log),
}
