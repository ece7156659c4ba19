"""The ids of commands that triggers lead to: the same wherever, and whenever, the same is decided.

They are derived from the model, the trigger and what it fires about, and from no secret: a second agent, one that was
started again and one whose clock was set back all come to the same id, which is applied once. Their beginning is kept
for the product, so that nobody from outside can use one up beforehand.
"""

from hashlib import blake2b

from hotswap_events.training.triggers import SuppressedCause, TriggerName
from hotswap_stream.domain.reserved import OWN_IDS
from hotswap_stream.domain.state.model import ModelState


def trigger_id(model_name: str, trigger: TriggerName, slot: str) -> str:
    """Return the id of the command by which a trigger fires about a slot."""
    return _id("trigger", model_name, trigger, slot)


def suppressed_id(state: ModelState, trigger: TriggerName, cause: SuppressedCause) -> str:
    """Return the id of the command that says what keeps a trigger from firing: one until something fires."""
    last = state.triggers.last_fired
    since = max(state.triggers.policy_sequence, 0 if last is None else last.sequence)
    return _id("suppressed", state.model_name, trigger, cause, str(since))


def peak_id(state: ModelState, value: float, production_sequence: int) -> str:
    """Return the id of the command that records a best."""
    return _id("peak", state.model_name, str(production_sequence), repr(value))


def after_id(model_name: str, run_id: str) -> str:
    """Return the id of the command that does what a run's request asked for after it."""
    return _id("after", model_name, run_id)


def _id(kind: str, *parts: str) -> str:
    digest = blake2b("\0".join(parts).encode(errors="replace"), digest_size=16).hexdigest()
    return f"{OWN_IDS}{kind}/{digest}"
