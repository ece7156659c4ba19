"""Wiring: settings in, running parts out. The only module that knows every adapter.

What belongs to an extra (torch, Faust, Litestar, obstore) is imported where it is wired, so that a process that does
not need it does not have to have it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec

from hotswap_events.topics import Topics
from hotswap_stream import broker_announcement as announcement
from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.kafka.answer_lookup import KafkaAnswerLookup
from hotswap_stream.adapters.kafka.connection import KafkaConnection
from hotswap_stream.adapters.kafka.feedback_log import KafkaFeedbackLog
from hotswap_stream.adapters.kafka.fleet_follower import FleetFollower, read_fleet
from hotswap_stream.adapters.kafka.inference_gateway import KafkaInferenceGateway
from hotswap_stream.adapters.kafka.recorded_history import KafkaRecordedHistory
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.adapters.kafka.window_reader import KafkaWindowReader
from hotswap_stream.application.artifact_store import ArtifactStore
from hotswap_stream.application.fleet_view import FleetFold
from hotswap_stream.application.inference_gateway import InferenceGateway
from hotswap_stream.application.registry import Registry
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings, child_environment, parse_api_keys

if TYPE_CHECKING:
    from hotswap_stream.adapters.torch.executor_config import ExecutorConfig
    from hotswap_stream.application.train_model import ModelTrainer
    from hotswap_stream.application.training_children import TrainingChildren
    from hotswap_stream.workers.inference.worker import InferenceWorker


def topics(settings: Settings) -> Topics:
    """The topics of this environment. ConfigurationError if the prefix is not valid."""
    try:
        return Topics(settings.topic_prefix)
    except ValueError as error:
        raise ConfigurationError(f"HOTSWAP_TOPIC_PREFIX: {error}") from error


def announce_broker(settings: Settings, bootstrap_servers: str) -> None:
    """Let other commands with the same home find the embedded broker of this process."""
    announcement.announce(settings.home, bootstrap_servers)


def withdraw_broker(settings: Settings) -> None:
    """Take back what `announce_broker` said."""
    announcement.withdraw(settings.home)


def running_broker(settings: Settings) -> announcement.RunningBroker | None:
    """The embedded broker of this home, if the process that announced it still runs."""
    return announcement.find(settings.home)


def connection(settings: Settings) -> KafkaConnection:
    """The configured cluster, or the embedded broker that runs in this home. ConfigurationError if there is neither."""
    servers = settings.kafka_bootstrap_servers
    if servers is None:
        broker = running_broker(settings)
        if broker is None:
            raise ConfigurationError(
                "no Kafka to connect to: run `hotswap-stream up` (or `hotswap-stream broker`) in this folder first, "
                "or set HOTSWAP_KAFKA_BOOTSTRAP_SERVERS to your cluster"
            )
        return KafkaConnection(bootstrap_servers=broker.bootstrap_servers)
    return KafkaConnection(
        bootstrap_servers=servers,
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_username=settings.kafka_sasl_username,
        sasl_password=settings.kafka_sasl_password,
        ssl_ca_file=settings.kafka_ssl_ca_file,
    )


def artifact_store(settings: Settings) -> ArtifactStore:
    """The configured artifact store; by default a folder in the home."""
    from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, S3Credentials, open_artifact_store

    credentials = None
    if settings.artifacts_s3_access_key_id and settings.artifacts_s3_secret_access_key:
        credentials = S3Credentials(
            access_key_id=settings.artifacts_s3_access_key_id,
            secret_access_key=settings.artifacts_s3_secret_access_key,
        )
    endpoint = settings.artifacts_s3_endpoint
    return open_artifact_store(
        ArtifactStoreConfig(
            url=settings.artifacts or str(settings.home / "artifacts"),
            artifact_bytes_max=settings.artifact_bytes_max,
            s3_endpoint=endpoint,
            s3_region=settings.artifacts_s3_region,
            s3_credentials=credentials,
            s3_allow_http=endpoint is not None and endpoint.startswith("http://"),
        )
    )


def model_topics_creator(settings: Settings, *, windows: bool = False) -> Callable[[str], Awaitable[None]]:
    """A function that creates the pair of topics of a model, or that of its `windows`, once per process."""
    created: set[str] = set()
    kafka, names = connection(settings), topics(settings)

    async def ensure(model_name: str) -> None:
        if model_name not in created:
            specs = names.windows_specs if windows else names.model_specs
            await ensure_topics(kafka, specs(model_name, partitions=settings.request_partitions))
            created.add(model_name)

    return ensure


def build_registry(settings: Settings, source: str) -> Registry:
    """A registry over Kafka, not started. The control topics must exist."""
    names = topics(settings)
    return Registry(
        KafkaRegistryLog(connection(settings), names.registry),
        clock=SystemClock(),
        ids=RandomIds(),
        source=f"/{names.prefix}/{source}",
        on_model_created=model_topics_creator(settings),
    )


async def ensure_control_topics(settings: Settings) -> None:
    """Create the topics that exist whatever models there are."""
    await ensure_topics(connection(settings), topics(settings).control_specs())


@asynccontextmanager
async def open_registry(settings: Settings, source: str = "cli") -> AsyncIterator[Registry]:
    """A started registry: topics created, log folded to its end."""
    await ensure_control_topics(settings)
    registry = build_registry(settings, source)
    try:
        await registry.start()
        yield registry
    finally:
        await registry.stop()


@asynccontextmanager
async def open_training(settings: Settings, source: str = "trainer") -> AsyncIterator["ModelTrainer"]:
    """Training runs in processes of their own, validation, and the registry that records both."""
    from hotswap_stream.adapters.torch.evaluator import DigitsEvaluator
    from hotswap_stream.adapters.torch.threads import limit_threads
    from hotswap_stream.adapters.torch.trainer_process import trainer_command
    from hotswap_stream.application.train_model import ModelTrainer
    from hotswap_stream.workers.training.subprocess_trainer import SubprocessTrainer

    limit_threads(settings.torch_threads)
    store = artifact_store(settings)
    trainer = SubprocessTrainer(
        trainer_command(),
        store,
        run_folder=settings.home / "runs",
        run_seconds_max=settings.training_seconds_max,
        artifact_bytes_max=settings.artifact_bytes_max,
    )
    async with open_registry(settings, source) as registry:
        yield ModelTrainer(registry, trainer, DigitsEvaluator(store))


def executor_config(settings: Settings) -> "ExecutorConfig":
    """How this environment's versions are executed."""
    from hotswap_stream.adapters.torch.executor_config import ExecutorConfig

    return ExecutorConfig(
        executor=settings.executor,
        compile_allowed=settings.executor_compile,
        choice_ms_max=settings.executor_choice_ms_max,
        graph_ms_max=settings.executor_graph_ms_max,
        graph_folder=settings.cache / "executors",
        batch_rows_max=settings.batch_size_max,
        torch_threads=settings.torch_threads,
        device=settings.torch_device,
    )


async def build_worker(settings: Settings, worker: str, model_names: frozenset[str] | None = None) -> "InferenceWorker":
    """An inference worker, not started. Creates the control topics if they are missing."""
    from hotswap_stream.adapters.torch.model_loader import TorchModelLoader
    from hotswap_stream.workers.inference.kafka_clients import LoopLimits
    from hotswap_stream.workers.inference.worker import InferenceWorker, WorkerConfig

    await ensure_control_topics(settings)
    config = WorkerConfig(
        worker=worker,
        topics=topics(settings),
        client_options=connection(settings).client_options(),
        librdkafka_options=connection(settings).librdkafka_options(),
        limits=LoopLimits(
            batch_size_max=settings.batch_size_max,
            batch_wait_ms_max=settings.batch_wait_ms_max,
            request_bytes_max=settings.request_bytes_max,
            request_id_window=settings.request_id_window,
            window_keys_max=settings.window_keys_max,
        ),
        memory_bytes_max=settings.worker_memory_bytes_max,
        model_names=model_names,
    )
    return InferenceWorker(
        config,
        build_registry(settings, f"worker/{worker}"),
        TorchModelLoader(artifact_store(settings), config=executor_config(settings)),
        ensure_model_topics=model_topics_creator(settings),
        ensure_windows_topic=model_topics_creator(settings, windows=True),
    )


@asynccontextmanager
async def _training_children(settings: Settings, registry: Registry) -> AsyncIterator["TrainingChildren | None"]:
    """Training runs on request, where the packages for training are installed."""
    if find_spec("torch") is None:
        yield None
        return
    from hotswap_stream.application.training_children import TrainingChildren

    found = msgspec.structs.replace(settings, kafka_bootstrap_servers=connection(settings).bootstrap_servers)
    children = TrainingChildren(
        (sys.executable, "-m", "hotswap_stream.cli", "run-training"), child_environment(found), registry
    )
    try:
        yield children
    finally:
        await children.stop()


def inference_gateway(settings: Settings, *, in_flight_max: int) -> KafkaInferenceGateway:
    """The way to the models by their topics, for the running event loop; connects when a model is asked."""
    return KafkaInferenceGateway(connection(settings).client_options(), topics(settings), in_flight_max=in_flight_max)


@asynccontextmanager
async def _inference_gateway(settings: Settings) -> AsyncIterator[InferenceGateway]:
    gateway = inference_gateway(settings, in_flight_max=settings.api_infer_in_flight_max)
    try:
        yield gateway
    finally:
        await gateway.close()


def window_reader(settings: Settings) -> KafkaWindowReader:
    """What the windows topics hold, now."""
    return KafkaWindowReader(connection(settings).client_options(), topics(settings))


def feedback_log(settings: Settings) -> KafkaFeedbackLog:
    """Where feedback goes. Its topic must exist."""
    return KafkaFeedbackLog(connection(settings).client_options(), topics(settings).feedback)


def recorded_history(settings: Settings) -> KafkaRecordedHistory:
    """What was recorded of answers, to be read again."""
    return KafkaRecordedHistory(connection(settings).client_options(), topics(settings))


def answer_lookup(settings: Settings) -> KafkaAnswerLookup:
    """Finds answers again, for the join with feedback."""
    return KafkaAnswerLookup(connection(settings).client_options(), topics(settings))


async def fleet(settings: Settings) -> FleetFold:
    """What the workers say of themselves, now."""
    return await read_fleet(connection(settings).client_options(), topics(settings).fleet)


async def serve_api(
    settings: Settings, *, on_started: Callable[[str], None] | None = None, stop_on_signals: bool = True
) -> None:
    """Serve the HTTP API until SIGINT or SIGTERM."""
    from hotswap_stream.api.app import create_app
    from hotswap_stream.api.server import serve
    from hotswap_stream.api.services import ApiServices

    async with (
        open_registry(settings, "api") as registry,
        _training_children(settings, registry) as children,
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


async def run_control_agents(
    settings: Settings, stop: asyncio.Event, *, instance: str = "1", on_ready: Callable[[], None] | None = None
) -> None:
    """Run the Faust control agents until `stop` is set."""
    from hotswap_stream.agents.run import run_agents

    kafka = connection(settings)
    async with answer_lookup(settings) as answers:
        await run_agents(
            kafka,
            topics(settings),
            build_registry(settings, "agents"),
            ensure_topics=partial(ensure_topics, kafka),
            stop=stop,
            instance=instance,
            on_model_seen=model_topics_creator(settings),
            on_ready=on_ready,
            clock=SystemClock(),
            answers=answers,
        )
