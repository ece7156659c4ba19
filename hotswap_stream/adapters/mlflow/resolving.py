"""From what somebody names to the folder where the model lies."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from hotswap_stream.adapters.mlflow.local_folder import LocalFolder
from hotswap_stream.adapters.mlflow.s3_folder import S3Folder
from hotswap_stream.adapters.mlflow.served_folder import ServedFolder
from hotswap_stream.adapters.mlflow.tracking_server import TrackingServer
from hotswap_stream.application.mlflow.importing.addresses import (
    Address,
    FolderAddress,
    LoggedAddress,
    RegisteredAddress,
    RunAddress,
    S3Address,
    ServedAddress,
    read_address,
)
from hotswap_stream.application.mlflow.importing.folder import ModelFolder
from hotswap_stream.application.mlflow.source import SourceRefusedError

ADDRESSES_MAX = 4
"""A name that stands for a name that stands for a name …"""


class SourcesAllowed(Struct, frozen=True, kw_only=True):
    """From where models may be read."""

    file_roots: tuple[Path, ...] = ()
    """Folders, with all below them."""
    s3_roots: tuple[str, ...] = ()
    """`s3://bucket/prefix`, with all below them."""
    tracking_uri: str | None = None
    tracking_token: str | None = None
    owner_named: bool = False
    """Whether whoever runs this process named the source: then their own folders and buckets are theirs to read. What
    a server names in its turn stays below the roots."""

    def __repr__(self) -> str:
        return "SourcesAllowed(…)"


class Resolver:
    """Opens folders of models."""

    def __init__(self, allowed: SourcesAllowed, s3_store: Callable[[str, str], Any]) -> None:
        """Take what is allowed.

        Args:
            allowed: From where.
            s3_store: Opens obstore's store of a bucket and a prefix.
        """
        self._allowed = allowed
        self._s3_store = s3_store

    @asynccontextmanager
    async def opened(self, source: str) -> AsyncIterator[ModelFolder]:
        """Give the folder of a source.

        Raises:
            SourceRefusedError: Nothing may be read there.
            SourceUnavailableError: The tracking server did not answer.
            ConfigurationError: The tracking server's URI is none.
        """
        address: Address = read_address(source)
        owner_named = self._allowed.owner_named
        async with AsyncExitStack() as stack:
            server: TrackingServer | None = None
            for _ in range(ADDRESSES_MAX):
                if isinstance(address, FolderAddress):
                    yield LocalFolder(address.path, None if owner_named else self._allowed.file_roots)
                    return
                if isinstance(address, S3Address):
                    yield self._s3(address, owner_named=owner_named)
                    return
                if server is None:
                    server = await stack.enter_async_context(self.server(source))
                if isinstance(address, ServedAddress):
                    if address.host not in ("", server.host):
                        raise SourceRefusedError(f"{source[:200]!r} is not on {server.words}, and only that is asked")
                    yield ServedFolder(server, address.path)
                    return
                address, owner_named = await self._asked(server, address), False
            raise SourceRefusedError(f"{source[:200]!r} leads from one name to the next")

    def server(self, what: str) -> TrackingServer:
        """Return the tracking server. SourceRefusedError where none was named."""
        if self._allowed.tracking_uri is None:
            raise SourceRefusedError(
                f"{what[:200]!r} is known to an MLflow tracking server alone, and none is named: "
                "HOTSWAP_MLFLOW_TRACKING_URI, or --tracking-uri"
            )
        return TrackingServer(self._allowed.tracking_uri, self._allowed.tracking_token)

    def _s3(self, address: S3Address, *, owner_named: bool) -> S3Folder:
        if not owner_named and not _below(address.url, self._allowed.s3_roots):
            raise SourceRefusedError(f"{address.url[:300]!r} is not below HOTSWAP_MLFLOW_S3_ROOTS")
        return S3Folder(self._s3_store(address.bucket, address.prefix), address.url)

    async def _asked(self, server: TrackingServer, address: RunAddress | LoggedAddress | RegisteredAddress) -> Address:
        if isinstance(address, LoggedAddress):
            return read_address((await server.logged_model(address.model_id))[1])
        if isinstance(address, RunAddress):
            return await self._of_run(server, address)
        number = address.model_version
        if number is None:
            number = (await server.version_by_alias(address.name, address.alias or "")).version
        return read_address(await server.download_uri(address.name, number))

    async def _of_run(self, server: TrackingServer, address: RunAddress) -> Address:
        """Return where a run's model lies: among its artifacts as older servers have it, or as a model it logged."""
        uri, model_ids = await server.artifact_uri_of_run(address.run_id)
        for model_id in model_ids:
            name, place = await server.logged_model(model_id)
            if name == address.path:
                return read_address(place)
        return read_address(f"{uri.rstrip('/')}/{address.path}")


def _below(url: str, roots: Sequence[str]) -> bool:
    return any(f"{url}/".startswith(f"{root.rstrip('/')}/") for root in roots)
