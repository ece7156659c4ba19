"""Wiring: settings in, running parts out. The only package that knows every adapter.

What belongs to an extra (torch, Faust, Litestar, obstore) is imported where it is wired, so that a process that does
not need it does not have to have it.
"""

from hotswap_stream.bootstrap.agents import run_control_agents as run_control_agents
from hotswap_stream.bootstrap.api import check_api_settings as check_api_settings
from hotswap_stream.bootstrap.api import new_api_event_loop as new_api_event_loop
from hotswap_stream.bootstrap.api import serve_api as serve_api
from hotswap_stream.bootstrap.artifacts import artifact_store as artifact_store
from hotswap_stream.bootstrap.artifacts import environments_here as environments_here
from hotswap_stream.bootstrap.clients import answer_lookup as answer_lookup
from hotswap_stream.bootstrap.clients import feedback_log as feedback_log
from hotswap_stream.bootstrap.clients import fleet as fleet
from hotswap_stream.bootstrap.clients import inference_gateway as inference_gateway
from hotswap_stream.bootstrap.clients import recorded_history as recorded_history
from hotswap_stream.bootstrap.clients import request_lag as request_lag
from hotswap_stream.bootstrap.clients import window_reader as window_reader
from hotswap_stream.bootstrap.data import DigitsKind as DigitsKind
from hotswap_stream.bootstrap.data import data_profile as data_profile
from hotswap_stream.bootstrap.data import held_out_digits as held_out_digits
from hotswap_stream.bootstrap.data import write_digits as write_digits
from hotswap_stream.bootstrap.environment import announce_broker as announce_broker
from hotswap_stream.bootstrap.environment import answer_tags as answer_tags
from hotswap_stream.bootstrap.environment import broker_condition as broker_condition
from hotswap_stream.bootstrap.environment import connection as connection
from hotswap_stream.bootstrap.environment import log_memory as log_memory
from hotswap_stream.bootstrap.environment import running_broker as running_broker
from hotswap_stream.bootstrap.environment import topics as topics
from hotswap_stream.bootstrap.environment import withdraw_broker as withdraw_broker
from hotswap_stream.bootstrap.plugins import kinds_here as kinds_here
from hotswap_stream.bootstrap.plugins import plugins_here as plugins_here
from hotswap_stream.bootstrap.plugins import use_plugins as use_plugins
from hotswap_stream.bootstrap.publishing import store_target as store_target
from hotswap_stream.bootstrap.registry import accept_log as accept_log
from hotswap_stream.bootstrap.registry import adopting as adopting
from hotswap_stream.bootstrap.registry import build_registry as build_registry
from hotswap_stream.bootstrap.registry import open_registry as open_registry
from hotswap_stream.bootstrap.reproduction import RecordedAnswer as RecordedAnswer
from hotswap_stream.bootstrap.reproduction import exact_loader as exact_loader
from hotswap_stream.bootstrap.reproduction import recorded_answer as recorded_answer
from hotswap_stream.bootstrap.topic_care import agent_topic_specs as agent_topic_specs
from hotswap_stream.bootstrap.topic_care import check_topics as check_topics
from hotswap_stream.bootstrap.topic_care import delete_topics as delete_topics
from hotswap_stream.bootstrap.topic_care import ensure_control_topics as ensure_control_topics
from hotswap_stream.bootstrap.topic_care import existing_topics as existing_topics
from hotswap_stream.bootstrap.topic_care import model_topics_creator as model_topics_creator
from hotswap_stream.bootstrap.topic_care import repair_topics as repair_topics
from hotswap_stream.bootstrap.training import open_training as open_training
from hotswap_stream.bootstrap.training import packed_set as packed_set
from hotswap_stream.bootstrap.trials import graph_exporter as graph_exporter
from hotswap_stream.bootstrap.trials import imported_model as imported_model
from hotswap_stream.bootstrap.trials import stored_model as stored_model
from hotswap_stream.bootstrap.trials import stored_trials as stored_trials
from hotswap_stream.bootstrap.uploads import open_uploads as open_uploads
from hotswap_stream.bootstrap.webhooks import configured_webhooks as configured_webhooks
from hotswap_stream.bootstrap.webhooks import webhook_deliveries as webhook_deliveries
from hotswap_stream.bootstrap.webhooks import webhook_places as webhook_places
from hotswap_stream.bootstrap.webhooks import webhook_poster as webhook_poster
from hotswap_stream.bootstrap.workers import build_worker as build_worker
from hotswap_stream.bootstrap.workers import executor_config as executor_config
from hotswap_stream.bootstrap.workers import model_loader as model_loader
from hotswap_stream.bootstrap.workers import reply_topics as reply_topics
