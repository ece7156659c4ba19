"""The application: routes, dependencies, limits, and the OpenAPI document."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Any

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, License, SecurityScheme, Tag
from litestar.serialization import decode_json, encode_json
from litestar.types import ControllerRouterHandler

from hotswap_stream import __version__
from hotswap_stream.api.access.scopes import guard_access, needs
from hotswap_stream.api.access.signing_in import SessionController
from hotswap_stream.api.alerts.alerts import AlertController, AlertPolicyController, get_alerts
from hotswap_stream.api.alerts.webhooks import WebhookController
from hotswap_stream.api.answers import explain_at, explain_by_id
from hotswap_stream.api.artifacts.clean_up import clean_up_model
from hotswap_stream.api.artifacts.uploading import UploadController, artifact_from_uploads, upload_artifact
from hotswap_stream.api.artifacts.validation_policy import ValidationPolicyController
from hotswap_stream.api.commands.context import provide_command_headers
from hotswap_stream.api.commands.dispatch import provide_dispatch
from hotswap_stream.api.drift import ProfileController, get_drift
from hotswap_stream.api.feedback import give_feedback
from hotswap_stream.api.fleet import get_fleet
from hotswap_stream.api.inference.handlers import infer, infer_version
from hotswap_stream.api.inference.metadata import (
    model_metadata,
    model_ready,
    repository_index,
    server_live,
    server_metadata,
    server_ready,
    version_metadata,
    version_ready,
)
from hotswap_stream.api.inference.predict import predict
from hotswap_stream.api.keys import KeyController
from hotswap_stream.api.live.hub import LiveHub
from hotswap_stream.api.live.stream import live_stream
from hotswap_stream.api.mlflow.aliases import AliasesOfMlflow
from hotswap_stream.api.mlflow.artifacts import ARTIFACT_ROUTES
from hotswap_stream.api.mlflow.models import ModelCommandsOfMlflow, ModelsOfMlflow
from hotswap_stream.api.mlflow.versions import VersionCommandsOfMlflow, VersionsOfMlflow
from hotswap_stream.api.mlflow.webhooks import receive_webhook
from hotswap_stream.api.monitoring.health import live, livez, ready, readyz, status
from hotswap_stream.api.monitoring.members import among_members
from hotswap_stream.api.monitoring.metrics import metrics
from hotswap_stream.api.monitoring.model_health import get_model_health, get_models_health
from hotswap_stream.api.monitoring.overview import get_overview
from hotswap_stream.api.page.serving import PAGE_ROUTES
from hotswap_stream.api.protocol.docs_page import DocumentPlugin, PlainDocsPlugin
from hotswap_stream.api.protocol.document import finished
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.problems import EXCEPTION_HANDLERS, OIP_PATH
from hotswap_stream.api.protocol.strict_bodies import require_strict
from hotswap_stream.api.registry.as_of import provide_streams
from hotswap_stream.api.registry.audit import acknowledge_finding, get_export
from hotswap_stream.api.registry.commands import ModelCommands, VersionCommands
from hotswap_stream.api.registry.datasets import DatasetController, RetentionController
from hotswap_stream.api.registry.event_stream import stream_events
from hotswap_stream.api.registry.events import list_events
from hotswap_stream.api.registry.models import ModelQueries
from hotswap_stream.api.registry.tags import TagCommands
from hotswap_stream.api.registry.validation_sets import ValidationSetController
from hotswap_stream.api.registry.versions import VersionController
from hotswap_stream.api.rollouts.backtest import backtest_rollout, backtest_training_policy
from hotswap_stream.api.rollouts.evidence import get_rollout_evidence
from hotswap_stream.api.rollouts.report import get_rollout_report
from hotswap_stream.api.rollouts.rollouts import RolloutCommands, RolloutController, get_rollouts
from hotswap_stream.api.runtime import ApiRuntime, provide_runtime
from hotswap_stream.api.services import INFER_BYTES_MAX, REQUEST_BYTES_MAX, ApiServices
from hotswap_stream.api.serving import ServingCommands, ServingPolicyController, get_serving
from hotswap_stream.api.training.comparing import TrainingComparisons
from hotswap_stream.api.training.evaluating import evaluate_version
from hotswap_stream.api.training.requests import TrainingRequests
from hotswap_stream.api.training.runs import TrainingRunController, get_training_runs
from hotswap_stream.api.triggers.triggers import TrainingPolicyController, TriggerController, get_triggers
from hotswap_stream.api.windows import list_windows

ROUTES: tuple[ControllerRouterHandler, ...] = (
    live,
    ready,
    livez,
    readyz,
    status,
    metrics,
    KeyController,
    SessionController,
    get_models_health,
    get_overview,
    VersionController,
    VersionCommands,
    evaluate_version,
    ModelCommands,
    ModelQueries,
    TagCommands,
    get_fleet,
    get_model_health,
    list_windows,
    get_rollout_report,
    get_rollout_evidence,
    backtest_rollout,
    get_drift,
    ProfileController,
    get_serving,
    ServingPolicyController,
    ServingCommands,
    RolloutController,
    get_rollouts,
    RolloutCommands,
    ValidationPolicyController,
    ValidationSetController,
    DatasetController,
    RetentionController,
    clean_up_model,
    upload_artifact,
    artifact_from_uploads,
    UploadController,
    get_alerts,
    AlertController,
    AlertPolicyController,
    WebhookController,
    give_feedback,
    TrainingRunController,
    TrainingComparisons,
    get_training_runs,
    TrainingRequests,
    get_triggers,
    TriggerController,
    TrainingPolicyController,
    backtest_training_policy,
    list_events,
    get_export,
    acknowledge_finding,
    stream_events,
    live_stream,
    explain_by_id,
    explain_at,
    ModelsOfMlflow,
    ModelCommandsOfMlflow,
    AliasesOfMlflow,
    VersionsOfMlflow,
    VersionCommandsOfMlflow,
    receive_webhook,
    *ARTIFACT_ROUTES,
    *PAGE_ROUTES,
)

OIP_ROUTES: tuple[ControllerRouterHandler, ...] = (
    server_metadata,
    server_live,
    server_ready,
    model_metadata,
    version_metadata,
    model_ready,
    version_ready,
    infer,
    infer_version,
    repository_index,
)
"""Under `/v2`: the Open Inference Protocol."""

_OPENAPI = OpenAPIConfig(
    title="hotswap-stream",
    version=__version__,
    description="Models served from Kafka topics: commands append events to the registry log, queries read its fold. "
    "Whatever is not a success is a problem detail (RFC 9457), under /v2 the Open Inference Protocol's error, and "
    "under /api/2.0/mlflow MLflow's.",
    path="/schema",
    render_plugins=[PlainDocsPlugin(), DocumentPlugin()],
    license=License(name="Apache-2.0", identifier="Apache-2.0"),
    use_handler_docstrings=True,
    security=KEY_OR_NONE,
    tags=[
        Tag(name="keys", description="API keys: made, rotated and revoked by whoever has the scope `admin`"),
        Tag(name="health", description="For orchestrators, for Prometheus, for people"),
        Tag(name="inference", description="Asking models; under /v2 by the Open Inference Protocol"),
        Tag(name="models", description="What is registered and what is in production, now or in the past"),
        Tag(name="artifacts", description="Uploading models, which are then registered by their digests"),
        Tag(name="commands", description="What appends events to the log"),
        Tag(name="serving", description="Circuits, their policy, and the switch that turns a model off"),
        Tag(name="rollouts", description="How a new version earns its traffic"),
        Tag(name="alerts", description="What is watched, and what was above its threshold"),
        Tag(name="webhooks", description="Who is told of events"),
        Tag(name="training", description="Training runs: asked for, done by any runner, cancelled"),
        Tag(name="events", description="The registry log"),
        Tag(name="mlflow", description="The registry REST of MLflow, for its clients; errors are in its form"),
    ],
    components=Components(
        security_schemes={
            "ApiKey": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
            "Bearer": SecurityScheme(type="http", scheme="bearer"),
        }
    ),
)


def create_app(services: ApiServices) -> Litestar:
    """Return the ASGI application on a started registry. Run it on the registry's event loop."""
    return app_on(lambda: services, services.request_bytes_max, services.infer_bytes_max)


def app_on(services: Callable[[], ApiServices], request_bytes_max: int, infer_bytes_max: int) -> Litestar:
    """Return the application; `services` is called at each start, so that it can be started again on others."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        current = services()
        runtime = ApiRuntime(current)
        app.state.runtime = runtime
        app.state.live = hub = LiveHub(runtime)
        try:
            async with among_members(runtime):
                yield
        finally:
            runtime.close()
            await hub.close()
            await runtime.mlflow_followed.close()
            await runtime.mlflow_creations.close()
            await current.side.close()

    return _application(request_bytes_max, infer_bytes_max, [lifespan])


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document, without a broker or anything else running."""
    document: dict[str, Any] = decode_json(_document_bytes())
    return document


@cache
def _document_bytes() -> bytes:
    """Return it encoded: generators and tests ask often, and an application takes half a second to build."""
    app = _application(REQUEST_BYTES_MAX, INFER_BYTES_MAX, [])
    return encode_json(finished(app, app.openapi_schema.to_schema()))


def _application(
    request_bytes_max: int,
    infer_bytes_max: int,
    lifespan: list[Callable[[Litestar], AbstractAsyncContextManager[None]]],
) -> Litestar:
    inference = (
        Router(
            OIP_PATH,
            route_handlers=OIP_ROUTES,
            request_max_body_size=infer_bytes_max,
            opt=needs("infer", "read"),  # clients of the protocol look before they ask
        ),
        Router("/", route_handlers=[predict], request_max_body_size=infer_bytes_max),
    )
    return Litestar(
        route_handlers=[*ROUTES, *inference],
        lifespan=lifespan,
        dependencies={
            "runtime": Provide(provide_runtime),
            "command_headers": Provide(provide_command_headers),
            "dispatch": Provide(provide_dispatch),
            "streams": Provide(provide_streams),
        },
        guards=[guard_access],
        before_request=require_strict,
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=request_bytes_max,
        openapi_config=_OPENAPI,
        logging_config=None,
        debug=False,
    )
