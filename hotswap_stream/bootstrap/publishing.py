"""Publishing straight to the store and the log of an environment, without its API."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from hotswap_events.commands import Refusal, RegisterVersion
from hotswap_events.registry.events import Provenance
from hotswap_events.registry.version_options import PLAIN
from hotswap_stream.application.artifacts.facts import Registrable, registrable_artifact
from hotswap_stream.application.artifacts.publishing import (
    Progress,
    PublishTarget,
    Registration,
    RegistrationRefusedError,
    StoredModel,
    VersionStanding,
)
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.bootstrap.artifacts import artifact_store
from hotswap_stream.bootstrap.registry import open_registry
from hotswap_stream.bootstrap.trials import graph_exporter, imported_model, stored_model, stored_trials
from hotswap_stream.domain.versions.options import options_told
from hotswap_stream.settings import Settings


class StoreTarget:
    """See PublishTarget. The model is tried on this machine, so it needs what a worker needs."""

    def __init__(self, settings: Settings, store: ArtifactStore, registry: Registry, actor: str) -> None:
        self._settings, self._store, self._registry, self._actor = settings, store, registry, actor
        self._stored: dict[str, Registrable] = {}

    async def store_model(
        self, file: Path, beside: Mapping[str, Path], options: ModelOptions, progress: Progress | None
    ) -> StoredModel:
        """See PublishTarget."""
        content, passed = await imported_model(self._settings, file, beside, options)
        stored = await stored_model(self._settings, self._store, content, passed)
        self._stored[stored.artifact.digest] = stored
        if progress is not None:
            progress(len(content), len(content))
        return StoredModel(artifact_digest=stored.artifact.digest, warnings=() if passed is None else passed.warnings)

    async def register(self, registration: Registration) -> str:
        """See PublishTarget."""
        stored = await self._registrable(registration)
        command = RegisterVersion(
            command_id=registration.command_id or str(uuid4()),
            actor=self._actor,
            reason=registration.reason,
            model_name=registration.model_name,
            model_version=registration.model_version,
            artifact=stored.artifact,
            trial=stored.trial,
            graph=stored.graph,
            options=options_told(registration.options),
            provenance=Provenance(
                origin="imported",
                created_by=self._actor,
                code_revision=registration.code_revision,
                data_snapshot=registration.data_snapshot,
                environment=registration.environment,
            ),
            run_id=registration.run_id,
            metrics=registration.metrics,
            tags=registration.tags,
        )
        result = await self._registry.handle(command)
        if result.refusal is not None:
            raise RegistrationRefusedError(f"{result.refusal.code}: {result.refusal.reason}")
        if result.model_version is None:
            raise RegistrationRefusedError(f"the registry did not take the version: {result.detail}")
        return result.model_version

    async def _registrable(self, registration: Registration) -> Registrable:
        """Return what was stored; tried once more where it is to be computed in a way of its own."""
        if registration.options == PLAIN:
            return self._stored[registration.artifact_digest]
        trials, exporter = stored_trials(self._settings, self._store), graph_exporter(self._settings, self._store)
        found = await registrable_artifact(
            self._store, trials, registration.artifact_digest, registration.options, exporter
        )
        if isinstance(found, Refusal):
            raise RegistrationRefusedError(f"{found.code}: {found.reason}")
        return found

    async def standing(self, model_name: str, model_version: str) -> VersionStanding:
        """See PublishTarget."""
        version = self._registry.state(model_name).versions[model_version]
        validation = version.validation
        return VersionStanding(stage=version.stage, verdict=None if validation is None else validation.verdict)


@asynccontextmanager
async def store_target(settings: Settings, actor: str) -> AsyncIterator[PublishTarget]:
    """Open the store and the log of an environment for `publish`.

    Args:
        settings: The environment.
        actor: Who publishes.
    """
    store = artifact_store(settings)
    async with open_registry(settings, "publish") as registry:
        yield StoreTarget(settings, store, registry, actor)
