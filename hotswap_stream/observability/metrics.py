"""Every metric this package exposes, in one place: name, kind, labels, and what a rise or a value means.

Names without the `hotswap_` prefix are the ones dashboards for model servers commonly chart already.
"""

from typing import Literal

from msgspec import Struct


class MetricSpec(Struct, frozen=True, kw_only=True):
    """One metric. `name` is as Prometheus shows it, so counters end in `_total`."""

    name: str
    kind: Literal["gauge", "counter"]
    labels: tuple[str, ...] = ()
    documentation: str


MODEL_VERSION_INFO = MetricSpec(
    name="model_version_info",
    kind="gauge",
    labels=("model_name", "model_version", "artifact_digest", "code_revision", "data_snapshot"),
    documentation="1 for the version in production of each model, with where it comes from.",
)
MODEL_SWITCHES = MetricSpec(
    name="model_switches_total",
    kind="counter",
    labels=("model_name", "from", "to", "status"),
    documentation="Changes of the version in production: status 'success', counted from the log, hence the same in "
    "every process; otherwise the code of the refusal, counted by this process since it started.",
)
REGISTRY_MODELS = MetricSpec(
    name="hotswap_registry_models", kind="gauge", documentation="Models that have at least one event."
)
REGISTRY_VERSIONS = MetricSpec(
    name="hotswap_registry_versions",
    kind="gauge",
    labels=("model_name", "stage"),
    documentation="Versions of each model in each stage.",
)
REGISTRY_NEXT_OFFSET = MetricSpec(
    name="hotswap_registry_next_offset",
    kind="gauge",
    documentation="This process has folded the registry log up to, not including, this offset.",
)
REGISTRY_EVENTS_APPLIED = MetricSpec(
    name="hotswap_registry_events_applied_total", kind="counter", documentation="Events of the log that count."
)
REGISTRY_EVENTS_VOID = MetricSpec(
    name="hotswap_registry_events_void_total",
    kind="counter",
    documentation="Records of the log that count for no reader: a late writer's, or one tampered with.",
)
REGISTRY_FOLLOWER_UP = MetricSpec(
    name="hotswap_registry_follower_up", kind="gauge", documentation="1 while this process follows the registry log."
)
REQUESTS_NOT_PERMITTED = MetricSpec(
    name="hotswap_requests_not_permitted_total",
    kind="counter",
    labels=("reason",),
    documentation="HTTP requests refused by this process for who asked: without a key, with one that is unknown, "
    "expired or revoked, that lacks the scope, is for other models, claims another actor, or asks too often.",
)
CIRCUIT_OPEN = MetricSpec(
    name="hotswap_circuit_open",
    kind="gauge",
    labels=("model_name", "model_version"),
    documentation="Circuit of each version that has one that moved: 0 closed, 0.5 half-open, 1 open.",
)
CIRCUIT_OPENINGS = MetricSpec(
    name="hotswap_circuit_openings",
    kind="gauge",
    labels=("model_name", "model_version"),
    documentation="How often the circuit of a version opened since the version last entered production.",
)
MODEL_DISABLED = MetricSpec(
    name="hotswap_model_disabled",
    kind="gauge",
    labels=("model_name",),
    documentation="1 for a model that is switched off, 0 for all others.",
)
ALERTS_RAISED = MetricSpec(
    name="hotswap_alerts_raised",
    kind="gauge",
    labels=("model_name", "rule", "severity"),
    documentation="1 while the rule's alert is raised; 0 for every other rule of the model's alert policy.",
)
OBSERVATIONS_LOST = MetricSpec(
    name="hotswap_worker_observations_lost",
    kind="gauge",
    labels=("worker", "model_name", "what"),
    documentation="What a live worker could not tell of its answers since it started, by the fleet topic: "
    "'answers_not_counted' for want of room for more versions, 'comparisons_dropped', 'records_dropped' for their "
    "size. Every answer was given; rollouts are decided without these.",
)
EVENT_STREAM_CLIENTS = MetricSpec(
    name="hotswap_event_stream_clients", kind="gauge", documentation="Clients of the live event stream."
)
