"""Publishing over HTTP, with a key: upload, register, ask how far it came."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from hotswap_stream.application.artifacts.publishing import (
    Progress,
    PublishTarget,
    Registration,
    StoredModel,
    VersionStanding,
)
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.client.errors import ApiUnreachableError
from hotswap_stream.client.http_client import AsyncRegistryClient


class HttpTarget:
    """See PublishTarget."""

    def __init__(self, client: AsyncRegistryClient) -> None:
        self._client = client

    async def store_model(
        self, file: Path, beside: Mapping[str, Path], options: ModelOptions, progress: Progress | None
    ) -> StoredModel:
        """See PublishTarget."""
        answer = await self._client.upload(
            file,
            beside=beside,
            labels=options.labels,
            warm_up=options.warm_up,
            batching=options.batching,
            allow_non_finite=options.allow_non_finite,
            progress=progress,
        )
        return StoredModel(artifact_digest=answer["artifact_digest"], warnings=tuple(answer.get("warnings", ())))

    async def register(self, registration: Registration) -> str:
        """See PublishTarget."""
        answer = await self._client.register(
            registration.model_name,
            registration.artifact_digest,
            command_id=registration.command_id,
            model_version=registration.model_version,
            metrics=registration.metrics,
            tags=registration.tags,
            environment=registration.environment,
            code_revision=registration.code_revision,
            data_snapshot=registration.data_snapshot,
            run_id=registration.run_id,
            executor=registration.options.executor,
            precision=registration.options.precision,
            reason=registration.reason,
        )
        return str(answer["model_version"])

    async def standing(self, model_name: str, model_version: str) -> VersionStanding:
        """See PublishTarget."""
        answer = await self._client.version(model_name, model_version)
        return VersionStanding(stage=answer["stage"], verdict=answer.get("verdict"))


@asynccontextmanager
async def http_target(url: str, api_key: str | None) -> AsyncIterator[PublishTarget]:
    """Open the API at a URL for `publish`. ApiUnreachableError where nobody answers."""
    try:
        async with AsyncRegistryClient(url, api_key) as client:
            yield HttpTarget(client)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        cause = str(error) or type(error).__name__
        raise ApiUnreachableError(f"the API at {url} cannot be reached: {cause}") from error
