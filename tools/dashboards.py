"""Write the Grafana dashboards in `deploy/grafana/`: `python -m tools.dashboards`.

They are kept here and not as JSON because a panel is a title and its queries; the other hundred lines of it are
always the same.
"""

import json
from pathlib import Path
from typing import Any

from msgspec import Struct

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "deploy" / "grafana"

_SERVER_ERRORS = "model-failure|version-unavailable|circuit-open|no-active-version|deadline-expired"
API = 'job=~"$api"'
OF_MODEL = f'{API}, model_name=~"$model"'
PROCESSES = 'job=~"hotswap.*"'


class Panel(Struct, frozen=True):
    """One graph: its queries, with what names each line."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"


class Dashboard(Struct, frozen=True):
    """One page. `by_model`: it has a choice of models."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    by_model: bool = True


def _rate(metric: str, selected: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{selected}}}[$__rate_interval]))"


def _quantile(share: float, metric: str, selected: str, by: str) -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', selected, f'{by}, le')})"


def _answers(selected: str, by: str) -> str:
    return _rate("hotswap_answers_total", f'{selected}, role!="shadow"', by)


def _error_share(selected: str, by: str) -> str:
    """Return the share of requests that the server failed to answer; 0, and not nothing, where it failed none."""
    errors = _rate("hotswap_answer_errors_total", f'{selected}, role!="shadow", code=~"{_SERVER_ERRORS}"', by)
    answers = _answers(selected, by)
    failed = f"({errors} or 0 * {answers})"
    return f"{failed} / ({answers} + {failed})"


DASHBOARDS = (
    Dashboard(
        "overview",
        "hotswap-stream: overview",
        (
            Panel("Answers", ((_answers(API, "model_name"), "{{model_name}}"),), "reqps"),
            Panel(
                "Requests the server failed to answer",
                ((_error_share(API, "model_name"), "{{model_name}}"),),
                "percentunit",
            ),
            Panel(
                "What callers wait, p95",
                ((_quantile(0.95, "hotswap_answer_duration_seconds", API, "model_name"), "{{model_name}}"),),
                "s",
            ),
            Panel("Requests that wait", ((f"hotswap_request_lag{{{API}}}", "{{model_name}}"),)),
            Panel(
                "Alerts raised",
                ((f"sum by (model_name, severity) (hotswap_alerts_raised{{{API}}})", "{{model_name}} {{severity}}"),),
            ),
            Panel(
                "Workers",
                ((f'hotswap_fleet_workers{{{API}, state=~"live|silent"}}', "{{model_name}} {{state}}"),),
            ),
        ),
        by_model=False,
    ),
    Dashboard(
        "model",
        "hotswap-stream: model",
        (
            Panel("Answers by version", ((_answers(OF_MODEL, "model_version"), "{{model_version}}"),), "reqps"),
            Panel(
                "Errors by code",
                (
                    (
                        _rate("hotswap_answer_errors_total", OF_MODEL, "model_version, code"),
                        "{{model_version}} {{code}}",
                    ),
                ),
                "reqps",
            ),
            Panel(
                "What callers wait",
                tuple(
                    (
                        _quantile(share, "hotswap_answer_duration_seconds", OF_MODEL, "model_version"),
                        f"{{{{model_version}}}} p{share * 100:g}",
                    )
                    for share in (0.5, 0.95, 0.99)
                ),
                "s",
            ),
            Panel(
                "In the queue and in the forward pass, p95",
                (
                    (
                        _quantile(0.95, "hotswap_queue_duration_seconds", OF_MODEL, "model_version"),
                        "{{model_version}} queue",
                    ),
                    (
                        _quantile(0.95, "hotswap_compute_duration_seconds", OF_MODEL, "model_version"),
                        "{{model_version}} pass",
                    ),
                ),
                "s",
            ),
            Panel(
                "Rows of a forward pass, mean",
                (
                    (
                        f"{_rate('hotswap_batch_rows_sum', OF_MODEL, 'model_version')} / "
                        f"{_rate('hotswap_batch_rows_count', OF_MODEL, 'model_version')}",
                        "{{model_version}}",
                    ),
                ),
            ),
            Panel("In production", ((f"model_version_info{{{OF_MODEL}}}", "{{model_version}} {{code_revision}}"),)),
            Panel(
                "Switches",
                (
                    (
                        f"sum by (from_version, to_version, status) (model_switches_total{{{OF_MODEL}}})",
                        "{{from_version}} → {{to_version}} {{status}}",
                    ),
                ),
            ),
            Panel("Versions by stage", ((f"hotswap_registry_versions{{{OF_MODEL}}}", "{{stage}}"),)),
        ),
    ),
    Dashboard(
        "rollout",
        "hotswap-stream: rollout",
        (
            Panel(
                "Share of the traffic", ((f"hotswap_rollout_weight{{{OF_MODEL}}}", "{{model_version}}"),), "percentunit"
            ),
            Panel(
                "Step",
                (
                    (f"hotswap_rollout_step{{{OF_MODEL}}}", "{{model_name}} {{status}}"),
                    (f"hotswap_rollout_steps{{{OF_MODEL}}}", "{{model_name}} of"),
                ),
            ),
            Panel(
                "Evidence of the last analysis",
                (
                    (f"hotswap_rollout_evidence_lower{{{OF_MODEL}}}", "{{model_version}} {{metric}} lower"),
                    (f"hotswap_rollout_evidence_upper{{{OF_MODEL}}}", "{{model_version}} {{metric}} upper"),
                    (f"hotswap_rollout_threshold{{{OF_MODEL}}}", "{{model_version}} {{metric}} threshold"),
                ),
            ),
            Panel(
                "Answers by version and role",
                ((_rate("hotswap_answers_total", OF_MODEL, "model_version, role"), "{{model_version}} {{role}}"),),
                "reqps",
            ),
            Panel(
                "Requests the server failed to answer, by version",
                ((_error_share(OF_MODEL, "model_version"), "{{model_version}}"),),
                "percentunit",
            ),
            Panel(
                "Forward pass by version, p95",
                (
                    (
                        _quantile(0.95, "hotswap_compute_duration_seconds", OF_MODEL, "model_version"),
                        "{{model_version}}",
                    ),
                ),
                "s",
            ),
        ),
    ),
    Dashboard(
        "fleet",
        "hotswap-stream: fleet",
        (
            Panel("Workers of each model", ((f"hotswap_fleet_workers{{{API}}}", "{{model_name}} {{state}}"),)),
            Panel("Ready", ((f"hotswap_ready{{{PROCESSES}}}", "{{job}} {{instance}}"),)),
            Panel("Memory", ((f"process_resident_memory_bytes{{{PROCESSES}}}", "{{job}} {{instance}}"),), "bytes"),
            Panel(
                "Processor", ((_rate("process_cpu_seconds_total", PROCESSES, "job, instance"), "{{job}} {{instance}}"),)
            ),
            Panel(
                "From event to serving, p95 since the start",
                (
                    (
                        "histogram_quantile(0.95, sum by (model_name, le) "
                        f"(hotswap_event_to_serve_seconds_bucket{{{PROCESSES}}}))",
                        "{{model_name}}",
                    ),
                    (
                        "histogram_quantile(0.95, sum by (model_name, le) "
                        f"(hotswap_swap_duration_seconds_bucket{{{PROCESSES}}}))",
                        "{{model_name}} in the worker",
                    ),
                ),
                "s",
            ),
            Panel(
                "Observations lost",
                (
                    (
                        f"sum by (model_name, what) (hotswap_worker_observations_lost{{{API}}})",
                        "{{model_name}} {{what}}",
                    ),
                ),
            ),
            Panel(
                "Releases",
                ((f"sum by (release, process) (hotswap_build_info{{{PROCESSES}}})", "{{process}} {{release}}"),),
            ),
        ),
        by_model=False,
    ),
    Dashboard(
        "broker",
        "hotswap-stream: broker and log",
        (
            Panel("Requests that wait", ((f"hotswap_request_lag{{{API}}}", "{{model_name}}"),)),
            Panel(
                "How far the log is read",
                ((f"hotswap_registry_next_offset{{{PROCESSES}}}", "{{job}} {{instance}}"),),
            ),
            Panel(
                "The log and the observations are followed",
                (
                    (f"hotswap_registry_follower_up{{{PROCESSES}}}", "log, {{job}} {{instance}}"),
                    (f"hotswap_observations_followed{{{API}}}", "observations, {{instance}}"),
                ),
            ),
            Panel(
                "Records of the log",
                (
                    (f"hotswap_registry_events_applied_total{{{API}}}", "count"),
                    (f"hotswap_registry_events_void_total{{{API}}}", "void"),
                ),
            ),
            Panel("Clients of the event stream", ((f"hotswap_event_stream_clients{{{API}}}", "{{instance}}"),)),
        ),
        by_model=False,
    ),
)


def document(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as Grafana reads it."""
    chosen = [_variable("datasource", "datasource", "prometheus"), _text("api", "hotswap-api")]
    if dashboard.by_model:
        chosen.append(_models())
    return {
        "uid": f"hotswap-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["hotswap-stream"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": chosen},
        "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
    }


def text_of(dashboard: Dashboard) -> str:
    """Return the file's content."""
    return json.dumps(document(dashboard), indent=1, ensure_ascii=False) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0} if panel.unit != "short" else {"unit": "short"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": source, "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }


def _variable(name: str, kind: str, query: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "query": query}


def _text(name: str, value: str) -> dict[str, Any]:
    return _variable(name, "textbox", value) | {"label": "job of the API", "current": {"text": value, "value": value}}


def _models() -> dict[str, Any]:
    return _variable("model", "query", "label_values(hotswap_registry_versions, model_name)") | {
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.name}.json").write_text(text_of(dashboard), encoding="utf-8")


if __name__ == "__main__":
    main()
