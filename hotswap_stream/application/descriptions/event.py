"""One event in one line for people: when, who, what, why."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hotswap_events.alerts.events import AlertRaised
from hotswap_events.codec import REGISTRY_CODEC, UnknownEvent, UnreadableEvent
from hotswap_events.envelope import Envelope
from hotswap_events.log_stream import FindingAcknowledged, LogBegun
from hotswap_events.registry.emergency import ModelSetBack, ModelShutOff
from hotswap_events.rollouts.events import RolloutAnalysisRecorded
from hotswap_events.webhooks import WebhookRemoved, WebhookSet
from hotswap_stream.application.descriptions.alert import ALERT_DESCRIPTIONS
from hotswap_stream.application.descriptions.dataset import DATASET_DESCRIPTIONS
from hotswap_stream.application.descriptions.rollout import ROLLOUT_DESCRIPTIONS
from hotswap_stream.application.descriptions.serving import SERVING_DESCRIPTIONS
from hotswap_stream.application.descriptions.text import printable, shortened
from hotswap_stream.application.descriptions.training import TRAINING_DESCRIPTIONS
from hotswap_stream.application.descriptions.trigger import TRIGGER_DESCRIPTIONS
from hotswap_stream.application.descriptions.version import VERSION_DESCRIPTIONS

_MEASURED = (AlertRaised, RolloutAnalysisRecorded)
"""Their reason is the figures in words, which their description has."""
DESCRIBED_CHARACTERS_MAX = 500


def describe(event: Envelope | UnknownEvent) -> str:
    """Return `2026-01-31 13:00:00Z alice promoted v2 of digits, in place of v1: better on rare digits`.

    Never more than one line, and nothing in it that a terminal would obey, whatever the event holds.
    """
    header = event.header if isinstance(event, UnknownEvent) else event
    what = _what(event)
    measured = isinstance(event, Envelope) and isinstance(event.data, _MEASURED)
    why = f": {shortened(header.reason)}" if header.reason and not measured else ""
    return printable(f"{_when(header.time)} {header.actor} {what}{why}")


def described(stored: bytes) -> str | None:
    """Return what a stored event says happened, in at most `DESCRIBED_CHARACTERS_MAX`, or None where it is no event."""
    event = REGISTRY_CODEC.decode(stored)
    return None if isinstance(event, UnreadableEvent) else printable(_what(event))[:DESCRIBED_CHARACTERS_MAX]


def _what(event: Envelope | UnknownEvent) -> str:
    if isinstance(event, UnknownEvent):
        return f"did to {event.header.subject} what only a newer release can read ({event.header.type})"
    return _WHAT[type(event.data)](event.data, event.subject)


def _set_back(data: ModelSetBack, model: str) -> str:
    return f"set {model} back to {data.model_version}, whatever was active ({data.cause})"


def _shut_off(_data: ModelShutOff, model: str) -> str:
    return f"shut {model} off, whatever it was"


def _begun(data: LogBegun, _subject: str) -> str:
    return f"began the log {shortened(data.log_id)}"


def _acknowledged(data: FindingAcknowledged, _subject: str) -> str:
    return f"acknowledged what an audit finds at offset {data.offset} ({data.damage}: {shortened(data.detail)})"


def _webhook_set(data: WebhookSet, _subject: str) -> str:
    patterns = shortened(", ".join(data.event_patterns))
    return f"set the webhook {data.name}: {shortened(data.url)} is told of {patterns}"


def _webhook_removed(data: WebhookRemoved, _subject: str) -> str:
    return f"removed the webhook {data.name}"


def _when(time: datetime) -> str:
    try:
        time = time.astimezone(UTC)
    except OverflowError:  # the first and the last day there is, in another zone
        return time.isoformat(" ", "seconds")
    return f"{time.replace(tzinfo=None).isoformat(' ', 'seconds')}Z"


_WHAT: dict[type, Callable[[Any, str], str]] = {
    **VERSION_DESCRIPTIONS,
    **DATASET_DESCRIPTIONS,
    **TRAINING_DESCRIPTIONS,
    **TRIGGER_DESCRIPTIONS,
    **ROLLOUT_DESCRIPTIONS,
    **SERVING_DESCRIPTIONS,
    **ALERT_DESCRIPTIONS,
    ModelSetBack: _set_back,
    ModelShutOff: _shut_off,
    LogBegun: _begun,
    FindingAcknowledged: _acknowledged,
    WebhookSet: _webhook_set,
    WebhookRemoved: _webhook_removed,
}
