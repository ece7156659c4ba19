"""The reference page of metrics."""

from hotswap_stream.observability.metric_spec import MetricSpec
from hotswap_stream.observability.metrics import MODELS_MAX, OTHER, VERSIONS_MAX, catalogue
from tools.markdown import GENERATED, code, table

_SHOWN_BY = {"api": "API", "worker": "workers", "agents": "agents"}
_TRITON = (
    ("nv_inference_request_success", "model_infer_request_success_total"),
    ("nv_inference_request_failure", "model_infer_request_failure_total"),
    ("nv_inference_count", "hotswap_batch_rows_sum"),
    ("nv_inference_exec_count", "hotswap_batch_rows_count"),
    ("nv_inference_request_duration_us", "hotswap_answer_duration_seconds_sum × 1,000,000"),
    ("nv_inference_queue_duration_us", "hotswap_queue_duration_seconds_sum × 1,000,000"),
    ("nv_inference_compute_infer_duration_us", "hotswap_compute_duration_seconds_sum × 1,000,000"),
    ("nv_inference_pending_request_count", "hotswap_request_lag"),
)


def metrics_page() -> str:
    """Return docs/reference/metrics.md."""
    return (
        GENERATED + "# Metrics\n\n"
        "What `GET /metrics` of the API shows, and of workers and agents where `HOTSWAP_METRICS_PORT` is set. [The "
        "guide](../guides/monitoring.md) says how Prometheus finds them, and which figures to look at.\n\n"
        "A worker tells of its own answers, the API of those of all workers, by what they write to the observations "
        "topic; both count from their own start. Do not add the two, nor those of several API processes: each of these "
        "tells of the whole fleet.\n\n"
        f"At most {MODELS_MAX:,} models, and {VERSIONS_MAX} versions of each, have series of answers at a time; one "
        f"that was silent for an hour makes room. What comes beyond is counted for `{OTHER}`, in "
        "`hotswap_metrics_beyond_limit_total`, and told in the log once.\n\n"
        + table(("metric", "kind", "labels", "unit", "shown by", "what"), map(_row, catalogue()))
        + "\n## Buckets\n\n"
        + table(
            ("histogram", "upper ends"),
            (
                (code(spec.name), ", ".join(f"{bound:g}" for bound in spec.bounds))
                for spec in catalogue()
                if spec.kind == "histogram"
            ),
        )
        + "\n## Coming from Triton\n\n"
        + table(("Triton", "here"), ((code(theirs), code(ours)) for theirs, ours in _TRITON))
    )


def _row(spec: MetricSpec) -> tuple[str, ...]:
    shown = ", ".join(_SHOWN_BY[source] for source in spec.sources)
    labels = ", ".join(map(code, spec.labels))
    return code(spec.name), spec.kind, labels, spec.unit, shown, spec.documentation
