"""The catalogue's metrics of training runs, all by the API, from the log and from what runners say."""

from hotswap_stream.observability.metric_spec import MetricSpec

TRAINING_RUNS = MetricSpec(
    name="hotswap_training_runs",
    kind="gauge",
    labels=("model_name", "status"),
    documentation="Training runs of each model by status: 'requested', 'claimed', 'running', 'succeeded', 'failed' or "
    "'cancelled'.",
)
TRAINING_WAITING = MetricSpec(
    name="hotswap_training_waiting_seconds",
    kind="gauge",
    labels=("model_name",),
    unit="seconds",
    documentation="How long the oldest run that no runner has taken waits. No line: none waits.",
)
TRAINING_RUNNING = MetricSpec(
    name="hotswap_training_running_seconds",
    kind="gauge",
    labels=("model_name",),
    unit="seconds",
    documentation="How long the oldest run that a runner has taken goes on. No line: none goes on.",
)
TRAINING_PROGRESS = MetricSpec(
    name="hotswap_training_progress",
    kind="gauge",
    labels=("model_name",),
    unit="share",
    documentation="How much of its steps the same run has done, 0 to 1, as its runner says. No line: it does not say.",
)
TRAINING_LAST_DURATION = MetricSpec(
    name="hotswap_training_last_duration_seconds",
    kind="gauge",
    labels=("model_name",),
    unit="seconds",
    documentation="How long the run took that succeeded last.",
)
TRAINING_LAST_SUCCESS = MetricSpec(
    name="hotswap_training_last_success_timestamp_seconds",
    kind="gauge",
    labels=("model_name",),
    unit="seconds since 1970",
    documentation="When the run ended that succeeded last. Of use for models that should be trained every week.",
)

TRAINING_METRICS = (
    TRAINING_RUNS,
    TRAINING_WAITING,
    TRAINING_RUNNING,
    TRAINING_PROGRESS,
    TRAINING_LAST_DURATION,
    TRAINING_LAST_SUCCESS,
)
