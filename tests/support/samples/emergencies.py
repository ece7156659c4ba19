"""Sample events of those that contradict no state, and of the log's own stream, with what is said of them."""

from hotswap_events.log_stream import FindingAcknowledged, LogBegun, LogEvent
from hotswap_events.registry.emergency import ModelSetBack, ModelShutOff, SetBackCause
from hotswap_events.registry.events import RegistryEvent
from hotswap_events.webhooks import WebhookRemoved, WebhookSet
from tests.support.samples.registry import artifact_of


def set_back(model_version: str, from_version: str | None = None, cause: SetBackCause = "operator") -> ModelSetBack:
    return ModelSetBack(
        model_version=model_version,
        artifact_digest=artifact_of(model_version).digest,
        from_version=from_version,
        cause=cause,
    )


DESCRIBED: list[tuple[RegistryEvent, str]] = [
    (set_back("v1", "v2"), "set digits back to v1, whatever was active (operator)"),
    (ModelShutOff(), "shut digits off, whatever it was"),
]

LOG_EVENTS: list[tuple[LogEvent, str]] = [
    (LogBegun(log_id="3f0c"), "began the log 3f0c"),
    (
        FindingAcknowledged(offset=7, digest="e" * 64, damage="stray", detail="extends no chain"),
        "acknowledged what an audit finds at offset 7 (stray: extends no chain)",
    ),
    (
        WebhookSet(name="pager", url="https://pager.example/in", event_patterns=("hotswap.alert.*",)),
        "set the webhook pager: https://pager.example/in is told of hotswap.alert.*",
    ),
    (WebhookRemoved(name="pager"), "removed the webhook pager"),
]
