"""Where artifacts are kept, from a URL and its options."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore.store
from msgspec import Struct

from hotswap_stream.adapters.artifacts.backend import Backend
from hotswap_stream.adapters.artifacts.shared_store import SharedArtifactStore
from hotswap_stream.adapters.artifacts.store import ObstoreArtifactStore
from hotswap_stream.application.artifacts.references import ArtifactReferences, EnvironmentName
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.errors import ConfigurationError


class S3Credentials(Struct, frozen=True, kw_only=True):
    """Keys for S3, never shown by repr. Without them obstore asks the platform (instance or pod identity)."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return "S3Credentials(…)"


class ArtifactStoreConfig(Struct, frozen=True, kw_only=True):
    """`url` is a folder (a path or `file:///…`), `s3://bucket/prefix`, or `memory://` for tests."""

    url: str
    artifact_bytes_max: int = 2 * 1024**3
    """Limit on one artifact, checked before it is read or written."""
    grace_seconds: float = 0.0
    """This environment deletes no artifact that was put, or asked for, less than this long ago."""
    s3_endpoint: str | None = None
    """Address of an S3 not by Amazon, such as `https://s3.example.org`; the bucket comes after it in the path."""
    s3_region: str = "us-east-1"
    s3_credentials: S3Credentials | None = None
    s3_allow_http: bool = False
    """Whether an endpoint without TLS is allowed."""
    s3_retries_max: int = 5
    s3_retry_seconds_max: float = 30.0
    s3_request_seconds_max: float = 120.0
    """Limit on one request, its body included."""


async def alone() -> str:
    """Return the name of an environment that shares its store with no other."""
    return "alone.0"


def open_artifact_store(config: ArtifactStoreConfig, environment: EnvironmentName = alone) -> ArtifactStore:
    """Open the store that the URL names, as one environment uses it. A local folder is created.

    Args:
        config: Where the store is, and its limits.
        environment: Returns the name that the environment's marks bear.

    Raises:
        ConfigurationError: The URL is none of the three kinds.
    """
    return shared_artifact_store(_open(config), environment, grace_seconds=config.grace_seconds)


def shared_artifact_store(
    contents: ObstoreArtifactStore, environment: EnvironmentName = alone, *, grace_seconds: float = 0.0
) -> ArtifactStore:
    """Return the contents as one environment uses them."""
    references = ArtifactReferences(contents.marks, environment, grace_seconds=grace_seconds)
    return SharedArtifactStore(contents, references)


def _open(config: ArtifactStoreConfig) -> ObstoreArtifactStore:
    if config.artifact_bytes_max < 1:
        raise ConfigurationError(f"artifact_bytes_max is {config.artifact_bytes_max}; at least 1 byte is needed")
    parts = urlsplit(config.url)
    if parts.scheme == "s3":
        return ObstoreArtifactStore(
            s3_store(config, bucket=parts.netloc, prefix=parts.path.strip("/")), config.url, config.artifact_bytes_max
        )
    if parts.scheme == "memory":
        return ObstoreArtifactStore(obstore.store.MemoryStore(), config.url, config.artifact_bytes_max)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return _folder(Path(unquote(parts.path)), config.artifact_bytes_max)
    if "://" not in config.url and config.url:
        return _folder(Path(config.url), config.artifact_bytes_max)
    raise ConfigurationError(
        f"artifact store URL {config.url!r} is not valid: a folder, 'file:///folder', 's3://bucket/prefix' or 'memory://'"
    )


def _folder(folder: Path, artifact_bytes_max: int) -> ObstoreArtifactStore:
    folder = folder.expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"artifact folder {folder} cannot be created: {error.strerror}") from error
    return ObstoreArtifactStore(obstore.store.LocalStore(folder), str(folder), artifact_bytes_max, folder=folder)


def s3_store(config: ArtifactStoreConfig, *, bucket: str, prefix: str) -> Backend:
    """Return a place in a bucket, by the endpoint, the credentials and the limits of the artifact store.

    Raises:
        ConfigurationError: The bucket has no name.
    """
    if not bucket:
        raise ConfigurationError(f"artifact store URL {config.url!r} names no bucket: 's3://bucket/prefix' is needed")
    options: dict[str, Any] = {
        "region": config.s3_region,
        "client_options": {
            "allow_http": config.s3_allow_http,
            "timeout": timedelta(seconds=config.s3_request_seconds_max),
        },
        "retry_config": {
            "max_retries": config.s3_retries_max,
            "retry_timeout": timedelta(seconds=config.s3_retry_seconds_max),
        },
        # The digest is ours to check; this makes the store check the upload too.
        "checksum_algorithm": "SHA256",
    }
    if config.s3_endpoint is not None:
        options["endpoint"] = config.s3_endpoint
    credentials = config.s3_credentials
    if credentials is not None:
        options["access_key_id"] = credentials.access_key_id
        options["secret_access_key"] = credentials.secret_access_key
        if credentials.session_token is not None:
            options["session_token"] = credentials.session_token
    return obstore.store.S3Store(bucket, prefix=prefix or None, **options)
