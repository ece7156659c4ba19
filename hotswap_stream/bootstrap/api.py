"""The HTTP API."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.kafka.evidence_follower import EvidenceFollower
from hotswap_stream.adapters.kafka.fleet_follower import FleetFollower
from hotswap_stream.adapters.kafka.observations.follower import ObservationFollower
from hotswap_stream.adapters.kafka.training_progress import ProgressFollower
from hotswap_stream.application.inference.gateway import InferenceGateway
from hotswap_stream.application.processes.side_loop import SideLoop
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.bootstrap.artifacts import artifact_store
from hotswap_stream.bootstrap.clients import (
    answer_lookup,
    feedback_log,
    inference_gateway,
    key_log,
    recorded_history,
    window_reader,
)
from hotswap_stream.bootstrap.data import dataset_children
from hotswap_stream.bootstrap.environment import broker_condition, connection, open_to, topics
from hotswap_stream.bootstrap.mlflow.exporting import open_exports
from hotswap_stream.bootstrap.mlflow.fetching import model_source
from hotswap_stream.bootstrap.mlflow.roots import parse_mlflow_roots
from hotswap_stream.bootstrap.registry import adopting, open_registry
from hotswap_stream.bootstrap.training.processes import measuring, training_children
from hotswap_stream.bootstrap.trials import graph_exporter, stored_trials
from hotswap_stream.bootstrap.uploads import open_uploads
from hotswap_stream.bootstrap.webhooks import listed_webhooks
from hotswap_stream.domain.reserved import wrong_actor
from hotswap_stream.domain.versions.tag_rules import wrong_alias
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.home import scrape_targets
from hotswap_stream.home.api_members import ApiMember
from hotswap_stream.home.session_file import SessionFile
from hotswap_stream.listed_settings import parse_allowed_hosts, parse_api_keys
from hotswap_stream.observability.tracing import tracing_to
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.api.tls import TlsFiles

_log = structlog.get_logger(__name__)

_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")

WEBHOOK_SECRET_CHARACTERS_MIN = 16


@asynccontextmanager
async def _inference_gateway(settings: Settings, member: ApiMember | None) -> AsyncIterator[InferenceGateway]:
    gateway = inference_gateway(
        settings,
        in_flight_max=settings.api_infer_in_flight_max,
        share=(1, 1) if member is None else (member.number, member.count),
    )
    try:
        yield gateway
    finally:
        await gateway.close()


def check_api_settings(settings: Settings) -> None:
    """Raise ConfigurationError if the API may not listen where it is told to, or a setting of it does not fit."""
    parse_allowed_hosts(settings.api_allowed_hosts)
    parse_mlflow_roots(settings)
    secret = settings.mlflow_webhook_secret
    if secret is not None and len(secret) < WEBHOOK_SECRET_CHARACTERS_MIN:
        raise ConfigurationError(
            f"HOTSWAP_MLFLOW_WEBHOOK_SECRET has {len(secret)} characters; {WEBHOOK_SECRET_CHARACTERS_MIN} are needed"
        )
    _api_keys(settings)
    if settings.api_requests_per_second_per_key_max < 0:
        raise ConfigurationError(
            f"HOTSWAP_API_REQUESTS_PER_SECOND_PER_KEY_MAX is {settings.api_requests_per_second_per_key_max:g}; a "
            "number of requests is needed, or 0 for no limit"
        )
    if wrong := wrong_alias(settings.mlflow_production_alias):
        raise ConfigurationError(f"HOTSWAP_MLFLOW_PRODUCTION_ALIAS: {wrong}")
    if settings.mlflow_url is not None and not _URL.fullmatch(settings.mlflow_url):
        raise ConfigurationError(
            f"HOTSWAP_MLFLOW_URL is {settings.mlflow_url[:200]!r}; an address such as https://models.example is needed"
        )


async def serve_api(
    settings: Settings,
    *,
    on_started: Callable[[str], None] | None = None,
    stop_on_signals: bool = True,
    member: ApiMember | None = None,
) -> None:
    """Serve the HTTP API until SIGINT or SIGTERM, by this process.

    Args:
        settings: The environment to serve.
        on_started: Called with the URL when the API listens.
        stop_on_signals: Without it, it ends when it is cancelled.
        member: Which of several processes behind the port this is; None: the only one.

    Raises:
        ConfigurationError: It may not listen where it is told to, or a setting does not fit.
    """
    from hotswap_stream.api.app import create_app
    from hotswap_stream.api.protocol.connections import ConnectionLimits
    from hotswap_stream.api.server import serve
    from hotswap_stream.api.services import ApiServices
    from hotswap_stream.api.tls import ServerTls

    check_api_settings(settings)
    _warn_if_open(settings)
    artifacts = artifact_store(settings)
    tls = None if (files := _tls_files(settings)) is None else ServerTls(files)

    tells = member is None or member.first

    def started(url: str) -> None:
        scheme, _, address = url.partition("://")
        if tells:
            scrape_targets.announce(settings.home, "api", "api", address, scheme=scheme)
        if on_started is not None:
            on_started(url)

    async with (
        _traced(settings),
        open_registry(settings, "api") as registry,
        adopting(settings, registry),
        training_children(settings, registry) as children,
        dataset_children(settings) as datasets,
        _inference_gateway(settings, member) as inference,
        FleetFollower(connection(settings).client_options(), topics(settings).fleet) as fleet,
        ObservationFollower(connection(settings).client_options(), topics(settings).observations) as traffic,
        EvidenceFollower(connection(settings).client_options(), topics(settings).evidence) as evidence,
        ProgressFollower(
            connection(settings).client_options(), topics(settings).training_progress
        ) as training_progress,
        feedback_log(settings) as feedback,
        open_uploads(settings, artifacts) as uploads,
        open_exports(artifacts) as exports,
        key_log(settings) as keys,
    ):
        answers, side = answer_lookup(settings), SideLoop()
        side.call_at_end(answers.close)
        app = create_app(
            ApiServices(
                registry=registry,
                artifacts=artifacts,
                try_artifact=stored_trials(settings, artifacts),
                export_graph=graph_exporter(settings, artifacts),
                uploads=uploads,
                clock=SystemClock(),
                ids=RandomIds(),
                environment=settings.topic_prefix,
                api_keys=_api_keys(settings),
                keys=keys,
                open_to=open_to(settings),
                session_store=SessionFile(settings.home),
                requests_per_second_per_key_max=settings.api_requests_per_second_per_key_max or None,
                start_training=None if children is None else children.start,
                measure_version=measuring(settings, registry),
                build_dataset=datasets.build,
                inference=inference,
                infer_bytes_max=settings.api_infer_bytes_max,
                infer_in_flight_max=settings.api_infer_in_flight_max,
                infer_timeout_ms=settings.api_infer_timeout_ms,
                infer_wait_ms_max=settings.api_infer_wait_ms_max,
                infer_in_flight_per_key_max=settings.api_infer_in_flight_per_key_max,
                fleet=fleet,
                training_progress=training_progress,
                traffic=traffic,
                evidence=evidence,
                feedback=feedback,
                recorded=recorded_history(settings),
                answers=answers,
                side=side,
                windows=window_reader(settings),
                webhook_deliveries=lambda log: listed_webhooks(settings, log),
                mlflow_source=model_source(settings, artifacts),
                mlflow_exports=exports,
                mlflow_webhook_secret=settings.mlflow_webhook_secret,
                mlflow_production_alias=settings.mlflow_production_alias,
                mlflow_url=settings.mlflow_url,
                member=member,
                request_bytes_max=settings.api_request_bytes_max,
                event_stream_clients_max=settings.api_event_stream_clients_max,
                broker=broker_condition(settings),
            )
        )
        serving = asyncio.create_task(
            serve(
                app,
                host=settings.api_host,
                port=settings.api_port,
                allowed_hosts=parse_allowed_hosts(settings.api_allowed_hosts),
                limits=ConnectionLimits(
                    connections_max=settings.api_connections_max,
                    connections_per_address_max=settings.api_connections_per_address_max,
                ),
                tls=tls,
                on_started=started,
                stop_on_signals=stop_on_signals,
                process_number=None if member is None else member.number,
            )
        )
        try:
            await _until_ended(serving, registry)
        finally:
            if tells:
                scrape_targets.withdraw(settings.home, "api", "api")


@asynccontextmanager
async def _traced(settings: Settings) -> AsyncIterator[None]:
    """Make spans meanwhile, where a collector is named."""
    with tracing_to(settings.otlp_url, "api"):
        yield


async def _until_ended(serving: "asyncio.Task[None]", registry: Registry) -> None:
    """Wait until the server ends, or the log can no longer be followed.

    Then nothing that the server says of the registry is true any more.
    """
    losing = asyncio.create_task(registry.ended())
    try:
        await asyncio.wait({serving, losing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        losing.cancel()
        serving.cancel()
        await asyncio.wait({serving, losing})
    if not serving.cancelled():
        serving.result()
    elif not losing.cancelled():
        losing.result()


def _tls_files(settings: Settings) -> "TlsFiles | None":
    """Return the files of the API's certificate and key; None without TLS. ConfigurationError for half of them."""
    from hotswap_stream.api.tls import TlsFiles

    certificate, key = settings.api_tls_certificate_file, settings.api_tls_key_file
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigurationError(
            "HOTSWAP_API_TLS_CERTIFICATE_FILE and HOTSWAP_API_TLS_KEY_FILE go together: set both, or none"
        )
    return TlsFiles(certificate_file=certificate, key_file=key, key_password=settings.api_tls_key_password)


def _warn_if_open(settings: Settings) -> None:
    """Say at each start that callers without a key may do everything."""
    if (to := open_to(settings)) is not None:
        _log.warning(
            "api_open",
            to=to,
            setting="HOTSWAP_API_OPEN",
            meaning="callers without a key may do everything, under any name; unset it and use `hotswap-stream keys`",
        )


def _api_keys(settings: Settings) -> dict[str, str]:
    """Return name → key. The name is the actor in the log, where parts of the product have names of their own."""
    keys = parse_api_keys(settings.api_keys)
    for name in keys:
        if wrong := wrong_actor(name):
            raise ConfigurationError(f"HOTSWAP_API_KEYS: {wrong}")
    return keys
