"""The artifact store, and who needs what in it."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hotswap_stream.adapters.kafka.topic_identity import topic_identity
from hotswap_stream.application.artifacts.references import ArtifactNotMarkedError, environment_name
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.bootstrap.environment import connection, running_broker, topics
from hotswap_stream.bootstrap.topic_care import ensure_control_topics, existing_among
from hotswap_stream.errors import ConfigurationError, HotswapError
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig

ARTIFACT_GRACE_SECONDS_MIN = 60.0


def artifact_store(settings: Settings, environment: str | None = None) -> ArtifactStore:
    """Return the configured artifact store as this environment uses it; by default a folder in the home.

    Its marks bear the topic prefix and the id that Kafka gave the registry's topic: two environments of one name, on
    two clusters, are two, and all processes of one agree, wherever they run.

    Args:
        settings: Name the store and the environment.
        environment: Another name for the marks.

    Raises:
        ConfigurationError: A setting of the store does not fit.
    """
    from hotswap_stream.adapters.artifacts.config import open_artifact_store

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

    return open_artifact_store(artifact_store_config(settings), name)


def artifact_store_config(settings: Settings) -> "ArtifactStoreConfig":
    """Return where artifacts are kept, and how S3 is reached."""
    from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, S3Credentials

    credentials = None
    if settings.artifacts_s3_access_key_id and settings.artifacts_s3_secret_access_key:
        credentials = S3Credentials(
            access_key_id=settings.artifacts_s3_access_key_id,
            secret_access_key=settings.artifacts_s3_secret_access_key,
        )
    endpoint = settings.artifacts_s3_endpoint
    return ArtifactStoreConfig(
        url=settings.artifacts or str(settings.home / "artifacts"),
        artifact_bytes_max=settings.artifact_bytes_max,
        s3_endpoint=endpoint,
        s3_region=settings.artifacts_s3_region,
        s3_credentials=credentials,
        s3_allow_http=endpoint is not None and endpoint.startswith("http://"),
        grace_seconds=settings.artifact_grace_seconds,
    )


async def environments_here(settings: Settings) -> tuple[str, ...]:
    """Return the names that this environment has in the artifact store; none where it has no registry.

    Nothing is made by asking. Where the environment's embedded broker does not run, these are all environments whose
    data is in the home, as they go together.
    """
    names = topics(settings)
    if settings.kafka_bootstrap_servers is None and running_broker(settings) is None:
        return tuple(
            environment_name(folder.name.removesuffix(".registry-0"), topic_id)
            for folder in sorted((settings.home / "kafka").glob("node-*/data/*.registry-0"))
            if (topic_id := _topic_id_of(folder)) is not None
        )
    if not await existing_among(settings, names.registry):
        return ()
    return (environment_name(names.prefix, await topic_identity(connection(settings), names.registry)),)


def _topic_id_of(partition_folder: Path) -> str | None:
    """Read the topic's id that Kafka has written beside a partition's data; None where there is none."""
    with suppress(OSError, UnicodeDecodeError):
        for line in (partition_folder / "partition.metadata").read_text(encoding="utf-8").splitlines():
            if line.startswith("topic_id:"):
                return line.removeprefix("topic_id:").strip()
    return None


def artifact_marker(settings: Settings) -> Callable[[str], Awaitable[None]]:
    """Return a function that marks an artifact as needed here before an event names it.

    It opens the store when it is first called. Where it cannot mark, it raises a HotswapError that is not retriable:
    whoever reads commands from a topic must go on with the next one, and whoever sent this one is told.
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
