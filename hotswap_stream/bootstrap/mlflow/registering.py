"""Versions made of what MLflow keeps, by a person at a terminal: one, or all of a registered model."""

import uuid

from msgspec import Struct
from msgspec.structs import replace

from hotswap_stream.application.artifacts.publishing import PublishTarget, Registration
from hotswap_stream.bootstrap.mlflow.fetching import fetched_model, mlflow_sources
from hotswap_stream.errors import HotswapError
from hotswap_stream.settings import Settings

TAG_CHARACTERS_MAX = 512
TAG_KEY_CHARACTERS_MAX = 128
TAGS_TAKEN_MAX = 32
"""Tags of a version in MLflow's registry."""
_IMPORTS = uuid.UUID("5b0a3c1e-4a0f-4f3e-9d5c-0d6f1b7a2c11")


class ImportOrder(Struct, frozen=True, kw_only=True):
    """What to import, and what to call it."""

    model_name: str
    source: str
    model_version: str | None = None
    """None: the next one."""
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    reason: str | None = None
    command_id: str | None = None
    trust_programs: bool = False


class ImportOutcome(Struct, frozen=True, kw_only=True):
    """What was made of one model of MLflow."""

    source: str
    mlflow_version: str | None = None
    model_version: str | None = None
    flavor: str | None = None
    artifact_digest: str | None = None
    warnings: tuple[str, ...] = ()
    refused: str | None = None
    """Why nothing was made of it."""


def with_tracking_server(settings: Settings, uri: str | None) -> Settings:
    """Return the settings with another tracking server, where one is named. Its token goes to no other server."""
    if uri is None or uri == settings.mlflow_tracking_uri:
        return settings
    token = settings.mlflow_tracking_token if settings.mlflow_tracking_uri is None else None
    return replace(settings, mlflow_tracking_uri=uri, mlflow_tracking_token=token)


async def import_one(
    settings: Settings, target: PublishTarget, order: ImportOrder, *, owner_named: bool = True
) -> ImportOutcome:
    """Fetch a model, make a graph of it, and register it.

    Args:
        settings: The environment, and where models may come from.
        target: Where it goes.
        order: What to import.
        owner_named: Whether whoever runs this process named the source.

    Raises:
        HotswapError: Nothing was made of it; the message says why.
    """
    async with fetched_model(
        settings, order.source, owner_named=owner_named, trust_programs=order.trust_programs or None
    ) as found:
        stored = await target.store_model(found.file, found.beside, found.options, None)
    origin = {"mlflow.source": order.source[:TAG_CHARACTERS_MAX], "mlflow.flavor": found.flavor}
    facts = {f"mlflow.{name}": value for name, value in found.facts.items() if name in ("model_id", "run_id")}
    model_version = await target.register(
        Registration(
            model_name=order.model_name,
            model_version=order.model_version,
            artifact_digest=stored.artifact_digest,
            metrics={**found.metrics, **order.metrics},
            tags={
                **{name: value for name, value in found.facts.items() if name not in ("model_id", "run_id")},
                **order.tags,
            },
            environment={**found.environment, **origin, **facts},
            reason=order.reason,
            command_id=order.command_id,
        )
    )
    return ImportOutcome(
        source=order.source,
        model_version=model_version,
        flavor=found.flavor,
        artifact_digest=stored.artifact_digest,
        warnings=(*found.warnings, *stored.warnings),
    )


async def import_registered(
    settings: Settings,
    target: PublishTarget,
    registered: str,
    model_name: str,
    *,
    reason: str | None = None,
    trust_programs: bool = False,
) -> tuple[ImportOutcome, ...]:
    """Import all versions of a registered model, as `v<n>`. One that cannot be imported does not hold up the others.

    Raises:
        HotswapError: The tracking server does not know the model, or is not there.
    """
    async with mlflow_sources(settings).server(registered) as server:
        versions, host = await server.versions(registered), server.host
    outcomes = []
    for version in versions:
        order = ImportOrder(
            model_name=model_name,
            source=f"models:/{registered}/{version.version}",
            model_version=f"v{version.version}",
            tags=_tags(version.labels()),
            reason=reason,
            # Imported again, it is the same command, so nothing happens twice.
            command_id=str(uuid.uuid5(_IMPORTS, f"{host}/{registered}/{version.version}/{model_name}")),
            trust_programs=trust_programs,
        )
        try:
            outcome = await import_one(settings, target, order)
        except HotswapError as error:
            outcome = ImportOutcome(source=order.source, refused=str(error))
        outcomes.append(replace(outcome, mlflow_version=version.version))
    return tuple(outcomes)


def _tags(labels: dict[str, str]) -> dict[str, str]:
    return {
        name: value[:TAG_CHARACTERS_MAX]
        for name, value in sorted(labels.items())[:TAGS_TAKEN_MAX]
        if 0 < len(name) <= 128
    }
