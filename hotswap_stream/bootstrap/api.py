"""The HTTP API."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.kafka.fleet_follower import FleetFollower
from hotswap_stream.application.inference_gateway import InferenceGateway
from hotswap_stream.bootstrap.clients import (
    answer_lookup,
    feedback_log,
    inference_gateway,
    recorded_history,
    window_reader,
)
from hotswap_stream.bootstrap.environment import (
    adopting,
    artifact_store,
    broker_condition,
    connection,
    open_registry,
    topics,
)
from hotswap_stream.bootstrap.training import training_children
from hotswap_stream.settings import Settings, parse_api_keys


@asynccontextmanager
async def _inference_gateway(settings: Settings) -> AsyncIterator[InferenceGateway]:
    gateway = inference_gateway(settings, in_flight_max=settings.api_infer_in_flight_max)
    try:
        yield gateway
    finally:
        await gateway.close()


async def serve_api(
    settings: Settings, *, on_started: Callable[[str], None] | None = None, stop_on_signals: bool = True
) -> None:
    """Serve the HTTP API until SIGINT or SIGTERM."""
    from hotswap_stream.api.app import create_app
    from hotswap_stream.api.server import serve
    from hotswap_stream.api.services import ApiServices

    async with (
        open_registry(settings, "api") as registry,
        adopting(settings, registry),
        training_children(settings, registry) as children,
        _inference_gateway(settings) as inference,
        FleetFollower(connection(settings).client_options(), topics(settings).fleet) as fleet,
        feedback_log(settings) as feedback,
        answer_lookup(settings) as answers,
    ):
        app = create_app(
            ApiServices(
                registry=registry,
                artifacts=artifact_store(settings),
                clock=SystemClock(),
                ids=RandomIds(),
                environment=settings.topic_prefix,
                api_keys=parse_api_keys(settings.api_keys),
                start_training=None if children is None else children.start,
                inference=inference,
                infer_bytes_max=settings.api_infer_bytes_max,
                infer_in_flight_max=settings.api_infer_in_flight_max,
                infer_timeout_ms=settings.api_infer_timeout_ms,
                infer_wait_ms_max=settings.api_infer_wait_ms_max,
                infer_in_flight_per_key_max=settings.api_infer_in_flight_per_key_max,
                fleet=fleet,
                feedback=feedback,
                recorded=recorded_history(settings),
                answers=answers,
                windows=window_reader(settings),
                request_bytes_max=settings.api_request_bytes_max,
                event_stream_clients_max=settings.api_event_stream_clients_max,
                broker=broker_condition(settings),
            )
        )
        await serve(
            app,
            host=settings.api_host,
            port=settings.api_port,
            infer_bytes_max=settings.api_infer_bytes_max,
            on_started=on_started,
            stop_on_signals=stop_on_signals,
        )
