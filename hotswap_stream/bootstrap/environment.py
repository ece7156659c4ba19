"""What every part stands on: the cluster, the topics, the artifact store, the registry."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from hotswap_events.answers import AnswerTags
from hotswap_events.topics import Topics, TopicSpec
from hotswap_stream import broker_announcement as announcement
from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.kafka import topic_admin
from hotswap_stream.adapters.kafka.connection import KafkaConnection
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics, topics_of
from hotswap_stream.application.artifact_store import ArtifactStore
from hotswap_stream.application.log_identity import SeenLog, look_at, replaced
from hotswap_stream.application.registry import Registry
from hotswap_stream.application.topic_check import Difference, TopicFacts
from hotswap_stream.broker_condition import ConditionWatch
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.log_memory import HomeLogMemory
from hotswap_stream.settings import Settings, parse_answer_keys


def topics(settings: Settings) -> Topics:
    """The topics of this environment. ConfigurationError if the prefix is not valid."""
    try:
        return Topics(settings.topic_prefix)
    except ValueError as error:
        raise ConfigurationError(f"HOTSWAP_TOPIC_PREFIX: {error}") from error


def answer_tags(settings: Settings) -> AnswerTags:
    """What tells the answers of this environment's workers from other records. ConfigurationError."""
    return AnswerTags(settings.topic_prefix, parse_answer_keys(settings.answers_key))


def announce_broker(settings: Settings, bootstrap_servers: str, data_dir: Path | None = None) -> None:
    """Let other commands with the same home find the embedded broker of this process. `data_dir`: where its data
    stays."""
    announcement.announce(settings.home, bootstrap_servers, data_dir)


def withdraw_broker(settings: Settings) -> None:
    """Take back what `announce_broker` said."""
    announcement.withdraw(settings.home)


def running_broker(settings: Settings) -> announcement.RunningBroker | None:
    """The embedded broker of this home, if the process that announced it still runs."""
    return announcement.find(settings.home)


def broker_condition(settings: Settings) -> ConditionWatch:
    """Says how the embedded broker of this home is, if that is the one in use."""
    return ConditionWatch(settings.home, connection(settings).bootstrap_servers)


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


def model_topics_creator(
    settings: Settings, *, windows: bool = False, check: bool = True
) -> Callable[[str], Awaitable[None]]:
    """A function that creates the pair of topics of a model, or that of its `windows`, once per process.

    With `check` it raises TopicSettingsError where their settings break a promise.
    """
    created: set[str] = set()
    kafka, names = connection(settings), topics(settings)

    async def ensure(model_name: str) -> None:
        if model_name not in created:
            specs = names.windows_specs if windows else names.model_specs
            await ensure_topics(kafka, specs(model_name, partitions=settings.request_partitions), check=check)
            created.add(model_name)

    return ensure


async def existing_topics(settings: Settings) -> frozenset[str]:
    """Names of this environment's topics that are there. LogUnavailableError."""
    return await topics_of(connection(settings), topics(settings).prefix)


def build_registry(settings: Settings, source: str) -> Registry:
    """A registry over Kafka, not started. The control topics must exist."""
    names = topics(settings)
    return Registry(
        KafkaRegistryLog(connection(settings), names.registry),
        clock=SystemClock(),
        ids=RandomIds(),
        source=f"/{names.prefix}/{source}",
        memory=log_memory(settings),
        begins_log=True,
        on_model_created=model_topics_creator(settings),
    )


async def ensure_control_topics(settings: Settings, *, check: bool = True) -> None:
    """Create the topics that exist whatever models there are. LogReplacedError where the log's is gone; with `check`,
    TopicSettingsError where their settings break a promise."""
    await create_topics(settings, topics(settings).control_specs(), check=check)


async def create_topics(settings: Settings, specs: Sequence[TopicSpec], *, check: bool = True) -> None:
    """Create those that are missing. LogReplacedError when the log's topic is, and this machine knows it: made anew it
    would be empty, and nobody would notice."""
    memory, registry = log_memory(settings), topics(settings).registry
    seen = None if memory is None else memory.recall()
    if seen is not None and registry not in await existing_topics(settings):
        raise replaced(seen, f"there is no topic {registry!r}")
    await ensure_topics(connection(settings), specs, check=check)


def log_memory(settings: Settings) -> HomeLogMemory[SeenLog] | None:
    """What this machine remembers of the log of this environment; None where the log goes with its broker."""
    servers, broker = settings.kafka_bootstrap_servers, running_broker(settings)
    if broker is not None and servers in (None, broker.bootstrap_servers):
        if broker.data_dir is None:
            return None
        cluster = f"embedded {broker.data_dir}"
    elif servers is None:
        cluster = f"embedded {(settings.home / 'kafka').absolute()}"
    else:
        cluster = ",".join(sorted(server.strip() for server in servers.split(",")))
    return HomeLogMemory(settings.home, SeenLog, prefix=topics(settings).prefix, cluster=cluster)


async def accept_log(settings: Settings) -> tuple[SeenLog | None, SeenLog | None]:
    """Take the log that is there for the right one, and make it where it is missing; what was known before, and what is
    known now."""
    memory = log_memory(settings)
    before = None
    if memory is not None:
        before = memory.recall()
        memory.forget()
    try:
        async with open_registry(settings) as registry:
            now = await look_at(registry.log)
    except BaseException:
        if memory is not None and before is not None:
            memory.remember(before)
        raise
    return before, now


async def check_topics(
    settings: Settings, specs: Sequence[TopicSpec]
) -> list[tuple[TopicSpec, TopicFacts, list[Difference]]]:
    """Those of the topics that exist, as the cluster has them, and what differs. LogUnavailableError."""
    return await topic_admin.check_topics(connection(settings), specs)


async def repair_topics(settings: Settings, specs: Sequence[TopicSpec]) -> dict[str, dict[str, str]]:
    """Give topics the settings they need and leave others alone. ConfigurationError, LogUnavailableError."""
    return await topic_admin.repair_topics(connection(settings), specs)


@asynccontextmanager
async def open_registry(settings: Settings, source: str = "cli", *, check: bool = True) -> AsyncIterator[Registry]:
    """A started registry: topics created and, with `check`, looked at; log folded to its end."""
    await ensure_control_topics(settings, check=check)
    registry = build_registry(settings, source)
    try:
        await registry.start()
        yield registry
    finally:
        await registry.stop()
