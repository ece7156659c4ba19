"""Wiring: settings in, running parts out. The only package that knows every adapter.

What belongs to an extra (torch, Faust, Litestar, obstore) is imported where it is wired, so that a process that does
not need it does not have to have it. And each process imports the wiring of its own parts alone, when it first names
them: all of it together takes a third of a second, which a worker that died is waited for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hotswap_stream.bootstrap.agents import run_control_agents as run_control_agents
    from hotswap_stream.bootstrap.api import check_api_settings as check_api_settings
    from hotswap_stream.bootstrap.api import serve_api as serve_api
    from hotswap_stream.bootstrap.artifacts import artifact_store as artifact_store
    from hotswap_stream.bootstrap.artifacts import environments_here as environments_here
    from hotswap_stream.bootstrap.clients import answer_lookup as answer_lookup
    from hotswap_stream.bootstrap.clients import evidence as evidence
    from hotswap_stream.bootstrap.clients import feedback_log as feedback_log
    from hotswap_stream.bootstrap.clients import first_key as first_key
    from hotswap_stream.bootstrap.clients import fleet as fleet
    from hotswap_stream.bootstrap.clients import inference_gateway as inference_gateway
    from hotswap_stream.bootstrap.clients import key_log as key_log
    from hotswap_stream.bootstrap.clients import open_keys as open_keys
    from hotswap_stream.bootstrap.clients import recorded_history as recorded_history
    from hotswap_stream.bootstrap.clients import request_lag as request_lag
    from hotswap_stream.bootstrap.clients import split_view as split_view
    from hotswap_stream.bootstrap.clients import window_reader as window_reader
    from hotswap_stream.bootstrap.data import DigitsKind as DigitsKind
    from hotswap_stream.bootstrap.data import add_dataset as add_dataset
    from hotswap_stream.bootstrap.data import build_dataset as build_dataset
    from hotswap_stream.bootstrap.data import data_profile as data_profile
    from hotswap_stream.bootstrap.data import dataset_children as dataset_children
    from hotswap_stream.bootstrap.data import export_dataset as export_dataset
    from hotswap_stream.bootstrap.data import held_out_digits as held_out_digits
    from hotswap_stream.bootstrap.data import write_digits as write_digits
    from hotswap_stream.bootstrap.environment import announce_broker as announce_broker
    from hotswap_stream.bootstrap.environment import answer_tags as answer_tags
    from hotswap_stream.bootstrap.environment import broker_condition as broker_condition
    from hotswap_stream.bootstrap.environment import connection as connection
    from hotswap_stream.bootstrap.environment import log_memory as log_memory
    from hotswap_stream.bootstrap.environment import open_to as open_to
    from hotswap_stream.bootstrap.environment import running_broker as running_broker
    from hotswap_stream.bootstrap.environment import topics as topics
    from hotswap_stream.bootstrap.environment import withdraw_broker as withdraw_broker
    from hotswap_stream.bootstrap.mlflow.exporting import export_run as export_run
    from hotswap_stream.bootstrap.mlflow.exporting import model_export as model_export
    from hotswap_stream.bootstrap.mlflow.fetching import fetched_model as fetched_model
    from hotswap_stream.bootstrap.mlflow.fetching import model_source as model_source
    from hotswap_stream.bootstrap.mlflow.registering import ImportOrder as ImportOrder
    from hotswap_stream.bootstrap.mlflow.registering import ImportOutcome as ImportOutcome
    from hotswap_stream.bootstrap.mlflow.registering import import_one as import_one
    from hotswap_stream.bootstrap.mlflow.registering import import_registered as import_registered
    from hotswap_stream.bootstrap.mlflow.registering import with_tracking_server as with_tracking_server
    from hotswap_stream.bootstrap.monitoring.doctor import examine as examine
    from hotswap_stream.bootstrap.monitoring.health import models_health as models_health
    from hotswap_stream.bootstrap.monitoring.over_http import shown_over_http as shown_over_http
    from hotswap_stream.bootstrap.plugins import kinds_here as kinds_here
    from hotswap_stream.bootstrap.plugins import plugins_here as plugins_here
    from hotswap_stream.bootstrap.plugins import use_plugins as use_plugins
    from hotswap_stream.bootstrap.publishing import store_target as store_target
    from hotswap_stream.bootstrap.registry import accept_log as accept_log
    from hotswap_stream.bootstrap.registry import adopting as adopting
    from hotswap_stream.bootstrap.registry import build_registry as build_registry
    from hotswap_stream.bootstrap.registry import open_registry as open_registry
    from hotswap_stream.bootstrap.registry import restore_log as restore_log
    from hotswap_stream.bootstrap.reproduction import RecordedAnswer as RecordedAnswer
    from hotswap_stream.bootstrap.reproduction import exact_loader as exact_loader
    from hotswap_stream.bootstrap.reproduction import recorded_answer as recorded_answer
    from hotswap_stream.bootstrap.topic_care import agent_topic_specs as agent_topic_specs
    from hotswap_stream.bootstrap.topic_care import check_topics as check_topics
    from hotswap_stream.bootstrap.topic_care import delete_topics as delete_topics
    from hotswap_stream.bootstrap.topic_care import ensure_control_topics as ensure_control_topics
    from hotswap_stream.bootstrap.topic_care import existing_topics as existing_topics
    from hotswap_stream.bootstrap.topic_care import grow_topics as grow_topics
    from hotswap_stream.bootstrap.topic_care import model_topics_creator as model_topics_creator
    from hotswap_stream.bootstrap.topic_care import repair_topics as repair_topics
    from hotswap_stream.bootstrap.topic_care import retention_applier as retention_applier
    from hotswap_stream.bootstrap.training.outside import outside_trainers as outside_trainers
    from hotswap_stream.bootstrap.training.processes import open_training as open_training
    from hotswap_stream.bootstrap.training.processes import packed_set as packed_set
    from hotswap_stream.bootstrap.training.reported import do_reported_run as do_reported_run
    from hotswap_stream.bootstrap.training.runners import open_runner as open_runner
    from hotswap_stream.bootstrap.training.runners import run_trainer as run_trainer
    from hotswap_stream.bootstrap.training.runners import trainers_here as trainers_here
    from hotswap_stream.bootstrap.training.runners import trainers_with_parameters as trainers_with_parameters
    from hotswap_stream.bootstrap.training.runners import training_progress as training_progress
    from hotswap_stream.bootstrap.training.watching import folder_watch as folder_watch
    from hotswap_stream.bootstrap.trials import graph_exporter as graph_exporter
    from hotswap_stream.bootstrap.trials import imported_model as imported_model
    from hotswap_stream.bootstrap.trials import stored_model as stored_model
    from hotswap_stream.bootstrap.trials import stored_trials as stored_trials
    from hotswap_stream.bootstrap.uploads import open_uploads as open_uploads
    from hotswap_stream.bootstrap.webhooks import configured_webhooks as configured_webhooks
    from hotswap_stream.bootstrap.webhooks import listed_webhooks as listed_webhooks
    from hotswap_stream.bootstrap.webhooks import webhook_deliveries as webhook_deliveries
    from hotswap_stream.bootstrap.webhooks import webhook_places as webhook_places
    from hotswap_stream.bootstrap.webhooks import webhook_poster as webhook_poster
    from hotswap_stream.bootstrap.webhooks import webhooks_by_command as webhooks_by_command
    from hotswap_stream.bootstrap.workers import build_worker as build_worker
    from hotswap_stream.bootstrap.workers import executor_config as executor_config
    from hotswap_stream.bootstrap.workers import model_loader as model_loader
    from hotswap_stream.bootstrap.workers import put_out_former_self as put_out_former_self
    from hotswap_stream.bootstrap.workers import reply_topics as reply_topics

NAMES_OF = {
    "agents": ("run_control_agents",),
    "api": (
        "check_api_settings",
        "serve_api",
    ),
    "artifacts": (
        "artifact_store",
        "environments_here",
    ),
    "clients": (
        "answer_lookup",
        "evidence",
        "feedback_log",
        "first_key",
        "fleet",
        "inference_gateway",
        "key_log",
        "open_keys",
        "recorded_history",
        "request_lag",
        "split_view",
        "window_reader",
    ),
    "data": (
        "DigitsKind",
        "add_dataset",
        "build_dataset",
        "data_profile",
        "dataset_children",
        "export_dataset",
        "held_out_digits",
        "write_digits",
    ),
    "environment": (
        "announce_broker",
        "answer_tags",
        "broker_condition",
        "connection",
        "log_memory",
        "open_to",
        "running_broker",
        "topics",
        "withdraw_broker",
    ),
    "mlflow.exporting": (
        "export_run",
        "model_export",
    ),
    "mlflow.fetching": (
        "fetched_model",
        "model_source",
    ),
    "mlflow.registering": (
        "ImportOrder",
        "ImportOutcome",
        "import_one",
        "import_registered",
        "with_tracking_server",
    ),
    "monitoring.doctor": ("examine",),
    "monitoring.health": ("models_health",),
    "monitoring.over_http": ("shown_over_http",),
    "plugins": (
        "kinds_here",
        "plugins_here",
        "use_plugins",
    ),
    "publishing": ("store_target",),
    "registry": (
        "accept_log",
        "adopting",
        "build_registry",
        "open_registry",
        "restore_log",
    ),
    "reproduction": (
        "RecordedAnswer",
        "exact_loader",
        "recorded_answer",
    ),
    "topic_care": (
        "agent_topic_specs",
        "check_topics",
        "delete_topics",
        "ensure_control_topics",
        "existing_topics",
        "grow_topics",
        "model_topics_creator",
        "repair_topics",
        "retention_applier",
    ),
    "training.outside": ("outside_trainers",),
    "training.processes": (
        "open_training",
        "packed_set",
    ),
    "training.reported": ("do_reported_run",),
    "training.runners": (
        "open_runner",
        "run_trainer",
        "trainers_here",
        "trainers_with_parameters",
        "training_progress",
    ),
    "training.watching": ("folder_watch",),
    "trials": (
        "graph_exporter",
        "imported_model",
        "stored_model",
        "stored_trials",
    ),
    "uploads": ("open_uploads",),
    "webhooks": (
        "configured_webhooks",
        "listed_webhooks",
        "webhook_deliveries",
        "webhook_places",
        "webhook_poster",
        "webhooks_by_command",
    ),
    "workers": (
        "build_worker",
        "executor_config",
        "model_loader",
        "put_out_former_self",
        "reply_topics",
    ),
}
"""Module → what is taken from it; `tests/unit/processes/test_lazy_wiring.py` holds it against the imports above."""
_MODULE_OF = {name: module for module, names in NAMES_OF.items() for name in names}


def __getattr__(name: str) -> object:
    """Return what is wired under this name, and import its module; AttributeError if there is none."""
    if (module := _MODULE_OF.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return all names, also those not imported yet."""
    return sorted({*globals(), *_MODULE_OF})
