"""What every part stands on: the cluster, the topics, the artifact store, the registry."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from hotswap_events.answers import AnswerTags
from hotswap_events.topics import Topics, TopicSpec
from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.kafka import topic_admin
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.adapters.kafka.seen_log import read_seen_log, write_seen_log
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics, topics_of
from hotswap_stream.adapters.kafka.topic_identity import topic_identity
from hotswap_stream.agents.topics import stream_heads_topic
from hotswap_stream.application.artifacts.cleanup import adopt
from hotswap_stream.application.artifacts.references import ArtifactNotMarkedError, environment_name
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.log.identity import SeenLog, look_at, replaced
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.topics.check import Difference, TopicFacts
from hotswap_stream.errors import ConfigurationError, HotswapError
from hotswap_stream.home import broker_announcement as announcement
from hotswap_stream.home.broker_condition import ConditionWatch
from hotswap_stream.home.log_memory import HomeLogMemory
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.settings import Settings, parse_answer_keys

_log = structlog.get_logger(__name__)

ARTIFACT_GRACE_SECONDS_MIN = 60.0


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


def artifact_store(settings: Settings, environment: str | None = None) -> ArtifactStore:
    """The configured artifact store as this environment uses it; by default a folder in the home.

    Its marks bear the topic prefix and the id that Kafka gave the registry's topic: two environments of one name, on
    two clusters, are two, and all processes of one agree, wherever they run. `environment`: another name for them.
    """
    from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, S3Credentials, open_artifact_store

    credentials = None
    if settings.artifacts_s3_access_key_id and settings.artifacts_s3_secret_access_key:
        credentials = S3Credentials(
            access_key_id=settings.artifacts_s3_access_key_id,
            secret_access_key=settings.artifacts_s3_secret_access_key,
        )
    endpoint = settings.artifacts_s3_endpoint
    grace_seconds = settings.artifact_grace_seconds
    if grace_seconds < ARTIFACT_GRACE_SECONDS_MIN:
        raise ConfigurationError(
            f"HOTSWAP_ARTIFACT_GRACE_SECONDS is {grace_seconds:g}; at least {ARTIFACT_GRACE_SECONDS_MIN:g} are needed, "
            "or a clean-up could delete what is being registered"
        )

    async def name() -> str:
        if environment is not None:
            return environment
        names = topics(settings)
        await ensure_control_topics(settings)
        return environment_name(names.prefix, await topic_identity(connection(settings), names.registry))

    return open_artifact_store(
        ArtifactStoreConfig(
            url=settings.artifacts or str(settings.home / "artifacts"),
            artifact_bytes_max=settings.artifact_bytes_max,
            s3_endpoint=endpoint,
            s3_region=settings.artifacts_s3_region,
            s3_credentials=credentials,
            s3_allow_http=endpoint is not None and endpoint.startswith("http://"),
            grace_seconds=grace_seconds,
        ),
        name,
    )


async def environments_here(settings: Settings) -> tuple[str, ...]:
    """Names that this environment has in the artifact store, without making anything; none where it has no registry.

    Of an embedded broker that does not run: all environments whose data are in the home, as they go together.
    """
    names = topics(settings)
    if settings.kafka_bootstrap_servers is None and running_broker(settings) is None:
        return tuple(
            environment_name(folder.name.removesuffix(".registry-0"), topic_id)
            for folder in sorted((settings.home / "kafka").glob("node-*/data/*.registry-0"))
            if (topic_id := _topic_id_of(folder)) is not None
        )
    if names.registry not in await existing_topics(settings):
        return ()
    return (environment_name(names.prefix, await topic_identity(connection(settings), names.registry)),)


@asynccontextmanager
async def adopting(settings: Settings, registry: Registry) -> AsyncIterator["asyncio.Task[None]"]:
    """Meanwhile, in a task beside everything else, mark the artifacts of versions from before there were marks.

    Where the store cannot be written to, as by agents that only follow the log, others have to.
    """

    async def adopt_all() -> None:
        try:
            adopted = await adopt(registry, artifact_store(settings))
        except (HotswapError, ModuleNotFoundError) as error:
            _log.warning("artifacts_not_marked", error=str(error))
        else:
            if adopted:
                _log.info("artifacts_marked", count=len(adopted))

    task = asyncio.create_task(adopt_all(), name="adopt-artifacts")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _topic_id_of(partition_folder: Path) -> str | None:
    """What Kafka has written beside a partition's data."""
    with suppress(OSError, UnicodeDecodeError):
        for line in (partition_folder / "partition.metadata").read_text(encoding="utf-8").splitlines():
            if line.startswith("topic_id:"):
                return line.removeprefix("topic_id:").strip()
    return None


def artifact_marker(settings: Settings) -> Callable[[str], Awaitable[None]]:
    """A function that marks an artifact as needed here before an event names it; it opens the store when first called.

    HotswapError that is not retriable when it cannot be marked: whoever reads commands from a topic must go on with the
    next one, and whoever sent this one is told.
    """
    store: ArtifactStore | None = None

    async def mark(digest: str) -> None:
        nonlocal store
        try:
            if store is None:
                store = artifact_store(settings)
            await store.references.refer(digest)
        except ModuleNotFoundError as error:
            raise ArtifactNotMarkedError(
                f"{error.name} is not installed here, so artifact {digest} cannot be marked as needed; "
                "register it where the artifact store can be reached"
            ) from error
        except HotswapError as error:
            raise ArtifactNotMarkedError(f"artifact {digest} cannot be marked as needed: {error}") from error

    return mark


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
        on_artifact_named=artifact_marker(settings),
    )


async def ensure_control_topics(settings: Settings, *, check: bool = True) -> None:
    """Create the topics that exist whatever models there are. LogReplacedError where the log's is gone; with `check`,
    TopicSettingsError where their settings break a promise."""
    await create_topics(settings, topics(settings).control_specs(), check=check)


async def create_topics(settings: Settings, specs: Sequence[TopicSpec], *, check: bool = True) -> None:
    """Create those that are missing. LogReplacedError when the log's topic is, and this machine or the agents know it:
    made anew it would be empty, and nobody would notice."""
    memory, names = log_memory(settings), topics(settings)
    if memory is not None:
        seen, existing = memory.recall(), await existing_topics(settings)
        if seen is None and stream_heads_topic(names) in existing:
            seen = await read_seen_log(connection(settings), stream_heads_topic(names))
            if seen is not None:
                memory.remember(seen)
        if seen is not None and names.registry not in existing:
            raise replaced(seen, f"there is no topic {names.registry!r}")
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
    before = None if memory is None else memory.recall()
    kafka, names = connection(settings), topics(settings)
    await ensure_topics(kafka, names.control_specs())
    try:
        if memory is not None:
            memory.forget()
        registry = build_registry(settings, "cli")
        try:
            await registry.start()
            now = await look_at(registry.log)
        finally:
            await registry.stop()
        if now is not None and stream_heads_topic(names) in await existing_topics(settings):
            await write_seen_log(kafka, stream_heads_topic(names), now)
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
