"""MLflow's models: fetched from where they lie, made a graph of, and put into this environment's store."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.application.mlflow.source import ImportedModel, ModelSource, SourceRefusedError
from hotswap_stream.bootstrap.artifacts import artifact_store_config
from hotswap_stream.bootstrap.mlflow.roots import parse_mlflow_roots
from hotswap_stream.bootstrap.trials import imported_model
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.adapters.mlflow.resolving import Resolver
    from hotswap_stream.application.mlflow.importing.conversion import Converted
    from hotswap_stream.application.mlflow.importing.gathering import Gathered

_WITH_THE_EXTRA = {"yaml": "mlflow", "obstore": "mlflow"}


class FetchedModel(Struct, frozen=True, kw_only=True):
    """A graph on this machine, made of what lies elsewhere."""

    file: Path
    beside: Mapping[str, Path]
    options: ModelOptions
    flavor: str
    run_id: str | None = None
    environment: dict[str, str] = {}
    facts: dict[str, str] = {}
    metrics: dict[str, float] = {}
    warnings: tuple[str, ...] = ()


@asynccontextmanager
async def fetched_model(
    settings: Settings, source: str, *, owner_named: bool = False, trust_programs: bool | None = None
) -> AsyncIterator[FetchedModel]:
    """Fetch a model directory of MLflow and make a graph of it; all of it is deleted afterwards.

    Args:
        settings: The environment: from where, and how much.
        source: See ModelSource.
        owner_named: Whether whoever runs this process named the source, so that their own folders are theirs to read.
        trust_programs: Whether exported torch programs are opened; None: as the settings say.

    Raises:
        HotswapError: See ModelSource.
    """
    from hotswap_stream.application.mlflow.importing.gathering import FetchLimits, gathered

    with tempfile.TemporaryDirectory(prefix="hotswap-mlflow-") as name:
        into, out = Path(name) / "in", Path(name) / "out"
        into.mkdir()
        out.mkdir()
        try:
            async with mlflow_sources(settings, owner_named=owner_named).opened(source) as folder:
                found = await gathered(folder, into, FetchLimits(bytes_max=settings.artifact_bytes_max))
        except ModuleNotFoundError as error:
            if error.name not in _WITH_THE_EXTRA:
                raise
            raise SourceRefusedError(
                f"{error.name} is not installed here; it comes with: pip install 'hotswap-stream[mlflow]'"
            ) from error
        trusted = settings.mlflow_trust_programs if trust_programs is None else trust_programs
        converted, file, beside = await _converted(settings, found, out, trusted=trusted)
        yield FetchedModel(
            file=file,
            beside=beside,
            options=replace(converted.options, labels=converted.options.labels or found.model.labels),
            flavor=found.chosen.flavor,
            run_id=found.model.run_id,
            environment=converted.environment | _said("mlflow", found.model.mlflow_version),
            facts=converted.facts | _said("model_id", found.model.model_id) | _said("run_id", found.model.run_id),
            metrics=converted.metrics,
            warnings=converted.warnings,
        )


def mlflow_sources(settings: Settings, *, owner_named: bool = False) -> "Resolver":
    """Return what opens folders of models, as the settings allow. ConfigurationError if one does not fit."""
    from hotswap_stream.adapters.mlflow.resolving import Resolver, SourcesAllowed

    folders, places = parse_mlflow_roots(settings)

    def s3(bucket: str, prefix: str) -> Any:
        from hotswap_stream.adapters.artifacts.config import s3_store

        return s3_store(artifact_store_config(settings), bucket=bucket, prefix=prefix)

    return Resolver(
        SourcesAllowed(
            file_roots=folders,
            s3_roots=places,
            tracking_uri=settings.mlflow_tracking_uri,
            tracking_token=settings.mlflow_tracking_token,
            owner_named=owner_named,
        ),
        s3,
    )


def model_source(settings: Settings, store: ArtifactStore) -> ModelSource:
    """Return what imports models of MLflow into the store; a few at a time, as uploads are tried."""
    return _Source(settings, store)


class _Source:
    def __init__(self, settings: Settings, store: ArtifactStore) -> None:
        self._settings = settings
        self._store = store
        self._turns = asyncio.Semaphore(max(1, settings.upload_trials_max))

    async def imported(self, source: str) -> ImportedModel:
        """See ModelSource."""
        async with self._turns, fetched_model(self._settings, source) as found:
            content, passed = await imported_model(self._settings, found.file, found.beside, found.options)
            artifact = await self._store.put_artifact(content)
        return ImportedModel(
            artifact_digest=artifact.digest,
            flavor=found.flavor,
            environment=found.environment,
            facts=found.facts,
            metrics=found.metrics,
            warnings=(*found.warnings, *(() if passed is None else passed.warnings)),
        )


async def _converted(
    settings: Settings, found: "Gathered", into: Path, *, trusted: bool
) -> "tuple[Converted, Path, Mapping[str, Path]]":
    from hotswap_stream.adapters.mlflow.converting import convert
    from hotswap_stream.application.mlflow.importing.conversion import ConversionLimits, ConversionOrder, ExampleFile

    model, chosen = found.model, found.chosen
    info = model.saved_input_example_info
    example = None
    if found.example is not None and info is not None:
        example = ExampleFile(path=str(found.example), table=info.type == "dataframe")
    limits = ConversionLimits()
    return await convert(
        ConversionOrder(
            how=chosen.how,
            file=str(found.file),
            into=str(into),
            model_class=chosen.model_class,
            example=example,
            input_schema=None if model.signature is None else model.signature.inputs,
            trusted=trusted,
            limits=replace(limits, file_bytes_max=settings.artifact_bytes_max),
        )
    )


def _said(name: str, value: str | None) -> dict[str, str]:
    return {} if not value else {name: value}
