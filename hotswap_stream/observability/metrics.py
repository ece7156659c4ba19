"""Every metric this package exposes, in one place: name, kind, labels, unit, whose it is, and what a value means.

Names without the `hotswap_` prefix are those that dashboards for model servers, or for any process, chart already.
`docs/reference/metrics.md` is made of this module; those of training runs come from the one beside it.
"""

from hotswap_stream.observability.metric_spec import MetricSpec, Source
from hotswap_stream.observability.training_metrics import TRAINING_METRICS

OTHER = "other"
"""What stands for a model or a version beyond the limits below."""
MODELS_MAX = 2_000
"""Models told apart in the figures of answers; answers of further ones count for the model `other`."""
VERSIONS_MAX = 16
"""Versions of a model told apart in the figures of answers; further ones count for the version `other`."""

DURATION_BOUNDS = (0.0005, *(2.0**power / 1_000 for power in range(13)))
"""Seconds: powers of two milliseconds, which are ends of the buckets that workers count by."""
ROWS_BOUNDS = tuple(2.0**power for power in range(10))
"""Rows: powers of two, by whose exponents workers count."""
SWAP_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_EVERYWHERE: tuple[Source, ...] = ("api", "worker", "agents")
_ANSWERS: tuple[Source, ...] = ("api", "worker")
_OF_VERSION = ("model_name", "model_version")
_OF_EVIDENCE = (*_OF_VERSION, "metric")

# --- every process ---------------------------------------------------------------------------------------------------
BUILD_INFO = MetricSpec(
    name="hotswap_build_info",
    kind="gauge",
    labels=("release", "process", "process_name", "python_version"),
    sources=_EVERYWHERE,
    documentation="1, with the release that runs, and as what: 'api', 'worker' or 'agents', by its name.",
)
READY = MetricSpec(
    name="hotswap_ready",
    kind="gauge",
    sources=_EVERYWHERE,
    documentation="1 while the process does its work: offsets move or nothing waits. What /readyz answers.",
)
PROCESS_START_TIME = MetricSpec(
    name="process_start_time_seconds",
    kind="gauge",
    unit="seconds since 1970",
    sources=_EVERYWHERE,
    documentation="When the process was started.",
)
PROCESS_CPU = MetricSpec(
    name="process_cpu_seconds_total", kind="counter", unit="seconds", sources=_EVERYWHERE, documentation="Its CPU time."
)
PROCESS_MEMORY = MetricSpec(
    name="process_resident_memory_bytes", kind="gauge", unit="bytes", sources=_EVERYWHERE, documentation="Its memory."
)
REGISTRY_NEXT_OFFSET = MetricSpec(
    name="hotswap_registry_next_offset",
    kind="gauge",
    unit="offset",
    sources=_EVERYWHERE,
    documentation="This process has folded the registry log up to, not including, this offset.",
)
REGISTRY_FOLLOWER_UP = MetricSpec(
    name="hotswap_registry_follower_up", kind="gauge", sources=_EVERYWHERE, documentation="1 while the log is followed."
)

# --- the registry, by the log ----------------------------------------------------------------------------------------

MODEL_VERSION_INFO = MetricSpec(
    name="model_version_info",
    kind="gauge",
    labels=("model_name", "model_version", "artifact_digest", "code_revision", "data_snapshot"),
    documentation="1 for the version in production of each model, with where it comes from.",
)
MODEL_SWITCHES = MetricSpec(
    name="model_switches_total",
    kind="counter",
    labels=("model_name", "from_version", "to_version", "status"),
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
REGISTRY_EVENTS_APPLIED = MetricSpec(
    name="hotswap_registry_events_applied_total", kind="counter", documentation="Events of the log that count."
)
REGISTRY_EVENTS_VOID = MetricSpec(
    name="hotswap_registry_events_void_total",
    kind="counter",
    documentation="Records of the log that count for no reader: a late writer's, or one tampered with.",
)
CIRCUIT_OPEN = MetricSpec(
    name="hotswap_circuit_open",
    kind="gauge",
    labels=_OF_VERSION,
    documentation="Circuit of each version that has one that moved: 0 closed, 0.5 half-open, 1 open.",
)
CIRCUIT_OPENINGS = MetricSpec(
    name="hotswap_circuit_openings",
    kind="gauge",
    labels=_OF_VERSION,
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
ROLLOUT_STEP = MetricSpec(
    name="hotswap_rollout_step",
    kind="gauge",
    labels=("model_name", "status"),
    documentation="The present step of the rollout that goes on, from 1; 0 for one without steps. No line: no rollout.",
)
ROLLOUT_STEPS = MetricSpec(
    name="hotswap_rollout_steps", kind="gauge", labels=("model_name",), documentation="Steps of the same rollout."
)
ROLLOUT_WEIGHT = MetricSpec(
    name="hotswap_rollout_weight",
    kind="gauge",
    labels=_OF_VERSION,
    unit="share",
    documentation="Share of the traffic, 0 to 1, of each version in the rollout that goes on.",
)
ROLLOUT_EVIDENCE_LOWER = MetricSpec(
    name="hotswap_rollout_evidence_lower",
    kind="gauge",
    labels=_OF_EVIDENCE,
    documentation="Lower end of the interval of a metric in the rollout that goes on, now, by the evidence topic; "
    "while that is not read, of the last recorded analysis.",
)
ROLLOUT_EVIDENCE_UPPER = MetricSpec(
    name="hotswap_rollout_evidence_upper",
    kind="gauge",
    labels=_OF_EVIDENCE,
    documentation="Upper end of the same interval.",
)
ROLLOUT_THRESHOLD = MetricSpec(
    name="hotswap_rollout_threshold",
    kind="gauge",
    labels=_OF_EVIDENCE,
    documentation="What the whole interval must get past for the metric to pass, in the unit of the interval.",
)
EVENT_STREAM_CLIENTS = MetricSpec(
    name="hotswap_event_stream_clients", kind="gauge", documentation="Clients of the live event stream."
)
REQUESTS_NOT_PERMITTED = MetricSpec(
    name="hotswap_requests_not_permitted_total", kind="counter", labels=("reason",), documentation="Refused by keys."
)
BROKER_UP = MetricSpec(
    name="hotswap_broker_up",
    kind="gauge",
    documentation="1 while the embedded broker of this machine serves. No line: the cluster is kept by others.",
)
BROKER_RESTARTS = MetricSpec(
    name="hotswap_broker_restarts_total",
    kind="counter",
    documentation="How often the embedded broker of this machine was started again.",
)

# --- answers ---------------------------------------------------------------------------------------------------------

ANSWERS = MetricSpec(
    name="hotswap_answers_total",
    kind="counter",
    labels=("model_name", "model_version", "role"),
    sources=_ANSWERS,
    documentation="Requests answered well. role: 'primary' by the split of the traffic; 'pinned': the request named "
    "the version; 'probe': while its circuit is half-open; 'fallback': in place of another; 'shadow': answers that "
    "went to nobody.",
)
ANSWER_ERRORS = MetricSpec(
    name="hotswap_answer_errors_total",
    kind="counter",
    labels=("model_name", "model_version", "role", "code"),
    sources=_ANSWERS,
    documentation="Requests answered with an error, by its code. Refused before a version was chosen: version 'none', "
    "role 'refused'.",
)
ANSWER_DURATION = MetricSpec(
    name="hotswap_answer_duration_seconds",
    kind="histogram",
    labels=_OF_VERSION,
    unit="seconds",
    sources=_ANSWERS,
    bounds=DURATION_BOUNDS,
    documentation="From the request's record timestamp to the end of its forward pass: what a caller waits, but for "
    "the network. Without shadows.",
)
COMPUTE_DURATION = MetricSpec(
    name="hotswap_compute_duration_seconds",
    kind="histogram",
    labels=_OF_VERSION,
    unit="seconds",
    sources=_ANSWERS,
    bounds=DURATION_BOUNDS,
    documentation="Duration of the forward pass that each answer was computed in. Without shadows.",
)
QUEUE_DURATION = MetricSpec(
    name="hotswap_queue_duration_seconds",
    kind="histogram",
    labels=_OF_VERSION,
    unit="seconds",
    sources=_ANSWERS,
    bounds=DURATION_BOUNDS,
    documentation="From the request's record timestamp to the begin of its forward pass. Without shadows.",
)
BATCH_ROWS = MetricSpec(
    name="hotswap_batch_rows",
    kind="histogram",
    labels=_OF_VERSION,
    unit="rows",
    sources=_ANSWERS,
    bounds=ROWS_BOUNDS,
    documentation="Rows answered by one forward pass. Without shadows.",
)
REQUEST_LAG = MetricSpec(
    name="hotswap_request_lag",
    kind="gauge",
    labels=("model_name",),
    unit="requests",
    sources=_ANSWERS,
    documentation="Requests that wait: a worker tells those of its own partitions, the API those of all live workers.",
)
OBSERVATIONS_LOST = MetricSpec(
    name="hotswap_worker_observations_lost",
    kind="gauge",
    labels=("worker", "model_name", "what"),
    documentation="What a live worker could not tell of its answers since it started, by the fleet topic: "
    "'answers_not_counted' for want of room for more versions, 'comparisons_dropped', 'records_dropped' for their "
    "size. Every answer was given; rollouts are decided without these.",
)
OBSERVATIONS_FOLLOWED = MetricSpec(
    name="hotswap_observations_followed",
    kind="gauge",
    documentation="1 while this process reads what the workers tell of their answers; at 0 the figures of answers "
    "stand still.",
)
BEYOND_LIMIT = MetricSpec(
    name="hotswap_metrics_beyond_limit_total",
    kind="counter",
    labels=("label",),
    sources=_ANSWERS,
    documentation="Observations counted for 'other' because there were too many models or versions to tell apart.",
)

# --- the fleet -------------------------------------------------------------------------------------------------------

FLEET_WORKERS = MetricSpec(
    name="hotswap_fleet_workers",
    kind="gauge",
    labels=("model_name", "state"),
    documentation="Workers of each model: 'live'; 'silent': not heard of for 10 s, and they did not say goodbye; "
    "'serving_active': live ones that serve the version in production; 'troubled': live ones that do not get on.",
)
SWAP_DURATION = MetricSpec(
    name="hotswap_swap_duration_seconds",
    kind="histogram",
    labels=("model_name",),
    unit="seconds",
    sources=("worker",),
    bounds=SWAP_BOUNDS,
    documentation="From reading the event that chose another version to the first batch that it may answer, loading "
    "included where it was not loaded ahead.",
)
EVENT_TO_SERVE = MetricSpec(
    name="hotswap_event_to_serve_seconds",
    kind="histogram",
    labels=("model_name",),
    unit="seconds",
    sources=("worker",),
    bounds=SWAP_BOUNDS,
    documentation="From the append of the event that chose another version, by the broker's clock, to the first batch "
    "that it may answer, by the worker's.",
)

# --- the agents ------------------------------------------------------------------------------------------------------


def _of_agents(name: str, documentation: str) -> MetricSpec:
    """Return a counter that begins with the agents' process."""
    return MetricSpec(
        name=f"hotswap_agents_{name}_total", kind="counter", sources=("agents",), documentation=documentation
    )


STATES_PUBLISHED = _of_agents("states_published", "States of models written to the compacted topic.")
ROLLOUTS_DECIDED = _of_agents("rollouts_decided", "Decisions about rollouts that were accepted.")
ALERTS_SAID = _of_agents("alerts_said", "Alerts raised or cleared.")
TRIGGERS_FIRED = _of_agents("triggers_fired", "Training runs that a trigger started.")
COMMANDS_UNPROVEN = _of_agents("commands_unproven", "Commands whose signature does not hold, or is missed.")
RECORDS_PUT_ASIDE = _of_agents("records_put_aside", "Records that could not be handled, now dead letters.")

# --- the same under other names --------------------------------------------------------------------------------------

KSERVE_PREDICT = MetricSpec(
    name="request_predict_seconds",
    kind="histogram",
    labels=("model_name",),
    unit="seconds",
    sources=_ANSWERS,
    bounds=DURATION_BOUNDS,
    documentation="KServe's name: hotswap_compute_duration_seconds of all versions of a model.",
)
MLSERVER_SUCCESS = MetricSpec(
    name="model_infer_request_success_total",
    kind="counter",
    labels=("model", "version"),
    sources=_ANSWERS,
    documentation="MLServer's name: hotswap_answers_total of all roles but 'shadow'.",
)
MLSERVER_FAILURE = MetricSpec(
    name="model_infer_request_failure_total",
    kind="counter",
    labels=("model", "version"),
    sources=_ANSWERS,
    documentation="MLServer's name: hotswap_answer_errors_total of all codes and all roles but 'shadow'.",
)


def catalogue() -> tuple[MetricSpec, ...]:
    """Return all of them, in the order in which they stand here, and those of training runs behind them."""
    return (*(value for value in globals().values() if isinstance(value, MetricSpec)), *TRAINING_METRICS)
