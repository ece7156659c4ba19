"""Settings from the environment (`HOTSWAP_…`). The only module that reads it; only `bootstrap` uses what it returns."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import field

from hotswap_stream.api_settings import API_SECRETS, ApiSettings
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.kafka_settings import KAFKA_SECRETS
from hotswap_stream.secret_files import with_secret_files
from hotswap_stream.service_links import service_links

PREFIX = "HOTSWAP_"

ANSWERS_KEY_CHARACTERS_MIN = 16
ANSWERS_KEYS_MAX = 4

SECRETS = (
    KAFKA_SECRETS
    | API_SECRETS
    | {
        "answers_key",
        "artifacts_s3_secret_access_key",
        "run_key",
        "trainer_webhooks",
        "trainer_webhook_secret",
        "webhook_urls",
        "webhook_secret",
        "webhook_secrets",
        "mlflow_tracking_uri",
        "mlflow_tracking_token",
        "mlflow_webhook_secret",
    }
)
"""Settings that are never shown. Each may stand in a file that `HOTSWAP_<NAME>_FILE` names."""


def _default_home() -> Path:
    return Path.cwd() / ".hotswap"


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hotswap-stream"


def environment_variables() -> Mapping[str, str]:
    """Return the variables of this process."""
    return os.environ


class Settings(ApiSettings, frozen=True, kw_only=True):
    """Every setting with its default; the variable is the field's name in upper case after `HOTSWAP_`."""

    topic_prefix: str = "hotswap"
    """One environment: two prefixes live side by side on one cluster."""
    home: Path = field(default_factory=_default_home)
    """Folder of this machine's data: artifacts, broker data, logs."""
    cache: Path = field(default_factory=_default_cache)
    """Folder of what can be fetched again: the broker's jars."""
    artifacts: str | None = None
    """`s3://bucket/prefix` or a folder; default `<home>/artifacts`."""
    artifacts_s3_endpoint: str | None = None
    artifacts_s3_region: str = "us-east-1"
    artifacts_s3_access_key_id: str | None = None
    artifacts_s3_secret_access_key: str | None = None
    artifact_bytes_max: int = 2 * 1024**3
    artifact_grace_seconds: float = 3_600.0
    """A clean-up leaves an artifact in the store that was put there, or registered, more lately; at least 60."""
    uploads_max: int = 32
    """Models that are uploaded over HTTP at once, on one machine; more are refused with 503 and Retry-After."""
    uploads_bytes_max: int = 8 * 1024**3
    """Bytes of all uploads under way on one machine, those that are still to come too; at least as many as one artifact
    may have."""
    upload_seconds_max: float = 21_600.0
    """Age at which an upload in pieces is deleted if no model was made of it; at least 60."""
    upload_trials_max: int = 2
    """Uploaded models that one API process tries at once; others wait for their turn, 30 seconds at most."""
    broker_port: int | None = None
    broker_heap_mib_max: int = 256
    answers_key: str | None = None
    """A secret of workers and readers of answers: every answer carries a tag made with it, and what carries none does
    not count. Up to four, separated by spaces: the first writes, all are good for reading. Unset: made of the prefix,
    which guards against mistakes, not against malice."""
    reply_topics: str | None = None
    """Topics, beside `<prefix>.replies.*`, where a request may have a copy of its answer sent (`kafka_replyTopic`),
    separated by commas; `*` stands for any characters. Topics of hotswap itself, under any prefix, never are."""
    broker_disk_bytes_max: int = 10 * 1024**3
    """Bytes of requests, answers, observations and the like that the embedded broker keeps, the oldest going first; of
    the registry, and of compacted topics, all is kept. 0: no limit."""
    request_partitions: int = 8
    batch_size_max: int = 128
    """Requests answered by one forward pass at most."""
    batch_wait_ms_max: float = 0.0
    """How long a batch that is not full waits for more requests; 0: it takes what is there."""
    request_bytes_max: int = 4 * 1024**2
    request_id_window: int = 10_000
    """Requests of a partition among which an id may stand once only; the second is refused. 0: ids may repeat."""
    window_keys_max: int = 10_000
    """Series of a partition whose windows of steps a worker keeps; those that brought steps longest ago make room."""
    worker_memory_bytes_max: int = 4 * 1024**3
    """Artifacts a worker may hold per model beside the active one."""
    torch_threads: int = 1
    torch_device: str = "cpu"
    """Where workers compute: `cpu`, `cuda` or `cuda:N`."""
    executor: Literal["auto", "eager", "channels-last", "onnxruntime", "compile", "openvino"] = "auto"
    """What computes a version that names no executor. `auto`: the fastest whose outputs are right, measured when it
    loads. Graphs that users bring know `onnxruntime` and `openvino` alone."""
    executor_compile: bool = False
    """Whether `auto` may also compile an architecture, once per machine: half a minute of a process of low priority."""
    executor_choice_ms_max: float = 1_000.0
    """Time within one load to build, check and measure executors; eager torch serves if none is chosen by then."""
    executor_graph_ms_max: int = 300_000
    """Time for the process that exports or compiles an architecture."""
    graphs_exported: bool = True
    """Whether an architecture is exported as a graph when a version of it is registered where torch is installed, so
    that workers without its code serve it, too: some seconds, once for each architecture and machine."""
    plugin_modules: str | None = None
    """Modules with architectures and runtimes of your own, separated by commas, beside those that installed packages
    declare by entry points. They must be importable by name."""
    runtime_seconds_max: float = 10.0
    """How long a runtime may compute one pass; then its process is ended, and what was asked is refused; at most 30."""
    runtime_load_seconds_max: float = 300.0
    """How long a runtime may load an artifact."""
    runtime_memory_bytes_max: int = 16 * 1024**3
    """Memory that the process of a runtime may ask for, beside four times its artifact; 0: no limit."""
    runtime_cpu_seconds_max: int = 300
    """Processor time of one pass through a runtime, over all its threads; 0: no limit."""
    commands_from_topic: Literal["anybody", "acl", "signed"] = "anybody"
    """Whose commands on the topic count. `anybody`: everybody's; an actor who does not sign is marked `topic:…`. `acl`:
    access rules on the cluster close the topic, so actors are believed. `signed`: only those that a key signed."""
    mlflow_production_alias: str = "champion"
    """The alias by which clients of MLflow name what is in production: setting it promotes, through all gates."""
    mlflow_url: str | None = None
    """How clients of MLflow reach the API when they download a version, such as `https://models.example`; needed after
    a proxy that ends TLS. Unset: by the name they asked by."""
    metrics_host: str = "127.0.0.1"
    """Where workers and agents listen for Prometheus and for probes. It needs no key, and shows no secret."""
    metrics_port: int | None = None
    """Port on which a worker or the agents serve `/metrics`, `/livez` and `/readyz`; 0: a free one. `<home>/metrics/`
    names it, as Prometheus' file discovery reads it. Unset: none; `up` takes 0."""
    training_seconds_max: float = 3_600.0
    dataset_seconds_max: float = 1_800.0
    """How long building a dataset may take."""
    trainer_commands: str | None = None
    """`NAME=COMMAND;NAME=COMMAND`: programs that may train on this machine, each under the name by which events ask for
    it, and with its arguments as in a shell, which is not used. They get their order on standard input."""
    trainer_names: str | None = None
    """Trainers that this machine's runner takes, separated by commas; `*` stands for any characters. Unset: all that it
    has."""
    trainer_runs_max: int = 1
    """Runs that a runner does at once."""
    trainer_threads: int = 1
    """CPU threads of one run."""
    trainer_memory_bytes_max: int = 8 * 1024**3
    """Memory that the processes of one run may use together."""
    trainer_folder_bytes_max: int = 8 * 1024**3
    """Bytes that one run may write."""
    trainer_processes_max: int = 64
    """Processes of one run at once."""
    trainer_niceness: int = 10
    """How far a run stands back behind other processes of the machine, such as workers; 0 to 19."""
    trainer_silent_seconds: float = 60.0
    """After which a run is failed of whose runner nothing is heard; at least 6."""
    trainer_files_runs_max: int = 50
    """Runs of a model whose files (plots, tables, the log) are kept in the artifact store, the newest; 0: none."""
    trainer_webhooks: str | None = None
    """`NAME=URL;NAME=URL`: trainers whose runs an outside orchestrator does (Airflow, Argo, a CI), which is asked at
    the URL by a signed webhook and reports back over HTTP. No event names a URL."""
    trainer_webhook_secret: str | None = None
    """Signs what those are asked: `whsec_` and base64 of 24 to 64 bytes, as `hotswap-stream webhooks secret` prints."""
    trainer_jobs: str | None = None
    """`NAME=FILE;NAME=FILE`: trainers whose runs are done by Jobs of Kubernetes, each with the template of its Job."""
    trainer_report_host: str = "127.0.0.1"
    """Where a runner listens for reports of runs that are done elsewhere. Each run has a key of its own."""
    trainer_report_port: int = 8787
    """The port of that; 0: a free one."""
    trainer_report_url: str | None = None
    """How those who do the runs reach it, such as `https://trainers.example`. Unset: by host and port."""
    trainer_report_silent_seconds: float = 300.0
    """After which a run that is done elsewhere is failed if it reports nothing; at least 2."""
    kubernetes_url: str = "https://kubernetes.default.svc"
    """The API of the cluster in which Jobs are created; by default that in which the runner is a pod."""
    kubernetes_account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    """Folder with `token`, `ca.crt` and `namespace` of the service account that creates them."""
    run_url: str | None = None
    """Where the one run that `hotswap-stream do-run` does has its order, and where it reports."""
    run_key: str | None = None
    """The key of that run."""
    evaluation_seconds_max: float = 600.0
    """How long measuring a version on the validation set may take."""
    alert_lag_seconds: float = 5.0
    """How often the agents ask the broker how many requests wait, of models with an alert rule on that; from 0.1."""
    webhook_urls: str | None = None
    """`URL,URL` or `name=URL,name=URL`: whom the agents tell of events, signed. A webhook is known by its name; without
    one by its URL."""
    webhook_secret: str | None = None
    """Signs what is posted to webhooks: `whsec_` and base64 of 24 to 64 bytes. With several, separated by a space, each
    signs, so that a new one can be handed out before the old one goes."""
    webhook_secrets: str | None = None
    """`NAME=whsec_…,NAME=whsec_…`: secrets that webhooks which are set by a command may name."""
    webhook_hosts: str | None = None
    """Hosts that webhooks which are set by a command may name, separated by commas; `*` stands for any characters, and
    alone for every host. Not set: none, so that nobody who may command can have the agents post anywhere."""
    webhook_events: str = "hotswap.alert.raised.*,hotswap.alert.cleared.*,hotswap.alert.snooze-ended.*"
    """Types of the events that webhooks are told of, separated by commas; `*` stands for any characters."""
    webhook_timeout_ms: int = 10_000
    """How long one attempt at a webhook may take; 100 to 60,000."""
    webhook_retry_seconds_max: float = 3_600.0
    """Age up to which an event is posted again to a webhook that does not take it; then it is a dead letter."""
    mlflow_tracking_uri: str | None = None
    """The MLflow server that knows what `models:/`, `runs:/` and `mlflow-artifacts:` stand for, such as
    `https://mlflow.example:5000`. No other is asked."""
    mlflow_tracking_token: str | None = None
    """What that server is shown, as a bearer token."""
    mlflow_file_roots: str | None = None
    """Folders, separated by commas, below which the API may read MLflow's model directories. Unset: none."""
    mlflow_s3_roots: str | None = None
    """`s3://bucket/prefix`, separated by commas, below which the API may read MLflow's model directories, with the
    credentials of the artifact store. Unset: none."""
    mlflow_webhook_secret: str | None = None
    """What that server signs its webhooks with, at least 16 characters: then `POST /api/mlflow/webhooks` follows its
    registry. Unset: none are taken."""
    mlflow_trust_programs: bool = False
    """Whether exported torch programs from MLflow are opened, which can run any code of whoever logged them."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    otlp_url: str | None = None
    """Where a collector takes traces by OTLP over HTTP, such as http://collector:4318; unset: there are no traces."""

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={'***' if name in SECRETS and getattr(self, name) else repr(getattr(self, name))}"
            for name in self.__struct_fields__
        )
        return f"Settings({shown})"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings from the environment.

    Args:
        environment: Variables to read; None: this process's own.

    Raises:
        ConfigurationError: It names a variable that is unknown or does not fit.
    """
    source = os.environ if environment is None else environment
    links = passed_over(source)
    values = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in source.items()
        if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}TEST_") and value != "" and name not in links
    }
    values = with_secret_files(values, SECRETS, PREFIX)
    known = Settings.__struct_fields__
    for name in values:
        if name not in known:
            raise ConfigurationError(
                f"{PREFIX}{name.upper()} is not a setting; the settings are "
                f"{', '.join(PREFIX + field_name.upper() for field_name in known)}"
            )
    for name, value in values.items():
        if not value.isprintable():  # bytes that are no text come as lone surrogates, which nothing can print
            raise ConfigurationError(f"{PREFIX}{name.upper()} is no printable text: {value[:200]!a}")
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"settings from the environment: {error}") from error
    for name in values:
        found = getattr(settings, name)
        if isinstance(found, float) and not math.isfinite(found):
            raise ConfigurationError(f"{PREFIX}{name.upper()}: {found} is not between any two numbers")
    return settings


def api_ca_file_here() -> str | None:
    """Return the file of whom Python programs trust where they name none."""
    return os.environ.get(f"{PREFIX}API_CA_FILE") or None


def passed_over(environment: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return variables with the prefix that are no settings: Kubernetes set them for a service of such a name."""
    return service_links(os.environ if environment is None else environment, PREFIX)


def api_key_here() -> str | None:
    """Return what Python programs show as their key where they name none, so that it stands in no program.

    Raises:
        ConfigurationError: `HOTSWAP_API_KEY_FILE` names no file with a key.
    """
    here = {"api_key": os.environ.get(f"{PREFIX}API_KEY"), "api_key_file": os.environ.get(f"{PREFIX}API_KEY_FILE")}
    return with_secret_files({name: value for name, value in here.items() if value}, SECRETS, PREFIX).get("api_key")


def _decode_path(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str):
        return Path(value).expanduser().absolute()
    # What msgspec asks of a hook that is given a type it does not know.
    raise NotImplementedError(f"no decoding to {wanted}")


def child_environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with these settings in it, for a child process that must run with them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        file = f"{PREFIX}{name.upper()}_FILE"
        if value is not None and name in SECRETS and os.environ.get(file):
            environment[file] = os.environ[file]  # what stands in a file does not come into a variable
        elif value is not None:
            environment[f"{PREFIX}{name.upper()}"] = str(value)
    return environment
