"""One event in one line for people: when, who, what, why."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hotswap_events.alerts import AlertRaised
from hotswap_events.codec import UnknownEvent
from hotswap_events.emergency import ModelSetBack, ModelShutOff
from hotswap_events.envelope import Envelope
from hotswap_events.log_stream import FindingAcknowledged, LogBegun
from hotswap_events.profile import ModelProfiled
from hotswap_events.registry import (
    ModelArchived,
    ModelPromoted,
    ModelRolledBack,
    ModelStaged,
    ModelTrained,
    ModelValidated,
    TrainingFailed,
    TrainingStarted,
)
from hotswap_events.rollout import RolloutAnalysisRecorded
from hotswap_stream.application.descriptions.alert import ALERT_DESCRIPTIONS
from hotswap_stream.application.descriptions.rollout import ROLLOUT_DESCRIPTIONS
from hotswap_stream.application.descriptions.serving import SERVING_DESCRIPTIONS

TEXT_CHARACTERS_MAX = 200
_MEASURED = (AlertRaised, RolloutAnalysisRecorded)
"""Their reason is the figures in words, which their description has."""


def describe(event: Envelope | UnknownEvent) -> str:
    """`2026-01-31 13:00:00Z alice promoted v2 of digits, in place of v1: better on rare digits`.

    Never more than one line, and nothing in it that a terminal would obey, whatever the event holds.
    """
    header = event.header if isinstance(event, UnknownEvent) else event
    if isinstance(event, UnknownEvent):
        what = f"did to {header.subject} what only a newer release can read ({event.header.type})"
    else:
        what = _WHAT[type(event.data)](event.data, header.subject)
    measured = isinstance(event, Envelope) and isinstance(event.data, _MEASURED)
    why = f": {_short(header.reason)}" if header.reason and not measured else ""
    return _printable(f"{_when(header.time)} {header.actor} {what}{why}")


def _started(data: TrainingStarted, model: str) -> str:
    return f"started training run {data.run_id} of {model} ({data.architecture})"


def _failed(data: TrainingFailed, model: str) -> str:
    return f"ended training run {data.run_id} of {model} without a version ({data.cause}: {_short(data.detail)})"


def _trained(data: ModelTrained, model: str) -> str:
    facts = [data.provenance.origin, f"{data.artifact.size_bytes:,} bytes", data.artifact.digest[:19]]
    if "accuracy" in data.metrics:
        facts.append(f"accuracy {data.metrics['accuracy']:.4g}")
    return f"registered {data.model_version} of {model} ({', '.join(facts)})"


def _validated(data: ModelValidated, model: str) -> str:
    accuracy = f", accuracy {data.figures['accuracy']:.4g}" if "accuracy" in data.figures else ""
    if data.baseline_version is not None:
        accuracy += f" against {data.baseline_figures.get('accuracy', float('nan')):.4g} of {data.baseline_version}"
    return f"validated {data.model_version} of {model}: {data.verdict}{accuracy}"


def _staged(data: ModelStaged, model: str) -> str:
    return f"staged {data.model_version} of {model}"


def _promoted(data: ModelPromoted, model: str) -> str:
    verb = "forced into production" if data.forced else "promoted"
    place = f"in place of {data.previous_version}" if data.previous_version else "as its first active version"
    return f"{verb} {data.model_version} of {model}, {place}"


def _archived(data: ModelArchived, model: str) -> str:
    return f"archived {data.model_version} of {model}"


def _rolled_back(data: ModelRolledBack, model: str) -> str:
    return f"rolled {model} back from {data.from_version} to {data.model_version} ({data.cause})"


def _profiled(data: ModelProfiled, model: str) -> str:
    return f"recorded the profile of {data.model_version} of {model} ({data.rows:,} rows of {_short(data.source)})"


def _set_back(data: ModelSetBack, model: str) -> str:
    return f"set {model} back to {data.model_version}, whatever was active ({data.cause})"


def _shut_off(_data: ModelShutOff, model: str) -> str:
    return f"switched {model} off, whatever it was"


def _begun(data: LogBegun, _subject: str) -> str:
    return f"began the log {_short(data.log_id)}"


def _acknowledged(data: FindingAcknowledged, _subject: str) -> str:
    return f"acknowledged what an audit finds at offset {data.offset} ({data.damage}: {_short(data.detail)})"


def _when(time: datetime) -> str:
    try:
        time = time.astimezone(UTC)
    except OverflowError:  # the first and the last day there is, in another zone
        return time.isoformat(" ", "seconds")
    return f"{time.replace(tzinfo=None).isoformat(' ', 'seconds')}Z"


def _short(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}…"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


_WHAT: dict[type, Callable[[Any, str], str]] = {
    TrainingStarted: _started,
    TrainingFailed: _failed,
    ModelTrained: _trained,
    ModelValidated: _validated,
    ModelStaged: _staged,
    ModelPromoted: _promoted,
    ModelArchived: _archived,
    ModelRolledBack: _rolled_back,
    ModelProfiled: _profiled,
    **ROLLOUT_DESCRIPTIONS,
    **SERVING_DESCRIPTIONS,
    **ALERT_DESCRIPTIONS,
    ModelSetBack: _set_back,
    ModelShutOff: _shut_off,
    LogBegun: _begun,
    FindingAcknowledged: _acknowledged,
}
