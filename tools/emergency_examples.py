"""Examples of events that no command of the short history leads to.

They are the log's own events, and those that contradict no state.
"""

from datetime import UTC, datetime

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.envelope import GENESIS
from hotswap_events.log_stream import LOG_STREAM, FindingAcknowledged, LogBegun
from hotswap_events.registry.emergency import ModelSetBack, ModelShutOff
from hotswap_events.registry.events import RegistryEvent
from hotswap_events.webhooks import WebhookRemoved, WebhookSet

_DIGEST = "1" * 64


def emergency_examples(time: datetime = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)) -> dict[str, tuple[bytes, ...]]:
    """Return type name → examples."""
    log_events = (
        (LogBegun(log_id="7f8a3a52-4c64-4f0e-9a57-0c2f64b1d9aa"), "/hotswap/api", 1, GENESIS),
        (
            FindingAcknowledged(
                offset=17,
                digest="e" * 64,
                damage="changed",
                detail="is not what event 9 at offset 18 (id event-18) was written after",
            ),
            "ada",
            2,
            _DIGEST,
        ),
        (
            WebhookSet(
                name="pager", url="https://pager.example/in", event_patterns=("hotswap.alert.*",), signed_with="pager"
            ),
            "ada",
            3,
            _DIGEST,
        ),
        (WebhookRemoved(name="pager"), "ada", 4, _DIGEST),
    )
    emergencies: tuple[tuple[RegistryEvent, str], ...] = (
        (
            ModelSetBack(model_version="v1", artifact_digest=f"sha256:{_DIGEST}", from_version="v2", cause="emergency"),
            "c-90",
        ),
        (ModelShutOff(), "c-91"),
    )
    found: dict[str, tuple[bytes, ...]] = {
        REGISTRY_CODEC.type_name(data): (
            REGISTRY_CODEC.encode(
                REGISTRY_CODEC.envelope(
                    data,
                    id=f"log-event-{sequence}",
                    source="/hotswap/api",
                    subject=LOG_STREAM,
                    time=time,
                    sequence=sequence,
                    previous=previous,
                    actor=actor,
                    causationid=f"log-{sequence}",
                    correlationid=f"log-{sequence}",
                )
            ),
        )
        for data, actor, sequence, previous in log_events
    }
    for number, (data, command_id) in enumerate(emergencies):
        found[REGISTRY_CODEC.type_name(data)] = (
            REGISTRY_CODEC.encode(
                REGISTRY_CODEC.envelope(
                    data,
                    id=f"event-9{number}",
                    source="/hotswap/api",
                    subject="digits",
                    time=time,
                    sequence=91 + number,
                    previous=_DIGEST,
                    actor="ada",
                    reason="wrong answers, and the newer release is not at hand",
                    causationid=command_id,
                    correlationid=command_id,
                )
            ),
        )
    return found
