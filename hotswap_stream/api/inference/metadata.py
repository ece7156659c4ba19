"""The rest of the Open Inference Protocol v2: health, what this server is, what models take and give."""

from typing import Annotated

from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from hotswap_stream import __version__
from hotswap_stream.api.access.scopes import PUBLIC, needs
from hotswap_stream.api.inference.asking import manifest_of, require_progress, require_worker, servable
from hotswap_stream.api.monitoring.readiness import require_ready, troubles
from hotswap_stream.api.protocol.openapi import OptionalBodyOperation
from hotswap_stream.api.protocol.parameters import ModelNameInPath, VersionInPath
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.artifacts.manifest import Kind, TensorSpec

MODELS_LISTED_MAX = 10_000


class ServerMetadata(Struct, frozen=True, kw_only=True):
    """What this server is."""

    name: str = "hotswap-stream"
    version: str = __version__
    extensions: tuple[str, ...] = ("binary_tensor_data",)


class ServerLive(Struct, frozen=True):
    """The process runs."""

    live: bool = True


class ServerReady(Struct, frozen=True):
    """The registry is followed and caught up."""

    ready: bool = True


class ModelReady(Struct, frozen=True, kw_only=True):
    """The model, or the version, can be asked without delay."""

    name: str
    ready: bool = True


class TensorMetadata(Struct, frozen=True, kw_only=True):
    """An input or output. -1 in the shape: any size; the first dimension is the batch."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelMetadata(Struct, frozen=True, kw_only=True):
    """What the version in production takes and gives."""

    name: str
    versions: tuple[str, ...]
    """Those that can be asked."""
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


PLATFORMS: dict[Kind, str] = {"architecture": "pytorch", "onnx": "onnx_onnxv1"}
"""Names of the Open Inference Protocol; a runtime has its own."""


class IndexFilter(Struct, frozen=True):
    """Which models to list."""

    ready: bool = False
    """Only those that can be asked."""


class IndexEntry(Struct, frozen=True, kw_only=True):
    """A model."""

    name: str
    version: str
    """The one in production; empty if there is none."""
    state: Annotated[str, Meta(description="READY or UNAVAILABLE.")]
    reason: str = ""


@get("/", operation_id="server_metadata", tags=["inference"], opt=needs("infer", "read", any_model=True))
async def server_metadata() -> ServerMetadata:
    """What this server is."""
    return ServerMetadata()


@get("/health/live", operation_id="server_live", tags=["inference"], opt=PUBLIC, security=[{}])
async def server_live() -> ServerLive:
    """Whether the process runs."""
    return ServerLive()


@get("/health/ready", operation_id="server_ready", tags=["inference"], opt=PUBLIC, security=[{}])
async def server_ready(runtime: Runtime) -> ServerReady:
    """Whether the registry is followed and caught up."""
    await require_ready(runtime)
    return ServerReady()


@get(["/models/{model_name:str}"], operation_id="model_metadata", tags=["inference"])
async def model_metadata(runtime: Runtime, model_name: ModelNameInPath) -> ModelMetadata:
    """What the version in production takes and gives."""
    return await _metadata(runtime, model_name, None)


@get("/models/{model_name:str}/versions/{model_version:str}", operation_id="version_metadata", tags=["inference"])
async def version_metadata(
    runtime: Runtime, model_name: ModelNameInPath, model_version: VersionInPath
) -> ModelMetadata:
    """The same of a named version, in production or not."""
    return await _metadata(runtime, model_name, model_version)


@get("/models/{model_name:str}/ready", operation_id="model_ready", tags=["inference"])
async def model_ready(runtime: Runtime, model_name: ModelNameInPath) -> ModelReady:
    """Whether the model has a version in production, and live workers that get on with its requests."""
    servable(runtime, model_name)
    require_worker(runtime, model_name)
    require_progress(runtime, model_name)
    return ModelReady(name=model_name)


@get("/models/{model_name:str}/versions/{model_version:str}/ready", operation_id="version_ready", tags=["inference"])
async def version_ready(runtime: Runtime, model_name: ModelNameInPath, model_version: VersionInPath) -> ModelReady:
    """Whether a named version is in production or held by a live worker. Others can be asked, but must be loaded."""
    version = servable(runtime, model_name, model_version)
    require_worker(runtime, model_name)
    require_progress(runtime, model_name)
    if version.stage != "production" and not _is_loaded(runtime, model_name, model_version):
        raise ProblemError(503, "version-not-loaded", f"no worker holds version {model_version!r} of {model_name!r}")
    return ModelReady(name=model_name)


@post(
    "/repository/index",
    status_code=200,
    operation_id="repository_index",
    operation_class=OptionalBodyOperation,
    tags=["inference"],
)
async def repository_index(runtime: Runtime, data: JSONBody[IndexFilter | None] = None) -> list[IndexEntry]:
    """Models by name, with the version that can be asked."""
    entries = []
    for model_name, stream in sorted(runtime.registry.fold.streams.items()):
        active_version = stream.state.active_version
        stalled = troubles(runtime, model_name) if active_version is not None else ()
        if active_version is not None and not stalled:
            entries.append(IndexEntry(name=model_name, version=active_version, state="READY"))
        elif data is None or not data.ready:
            reason = "; ".join(stalled) or "no active version"
            entries.append(
                IndexEntry(name=model_name, version=active_version or "", state="UNAVAILABLE", reason=reason)
            )
    return entries[:MODELS_LISTED_MAX]


def _is_loaded(runtime: ApiRuntime, model_name: str, model_version: str) -> bool:
    fleet = runtime.services.fleet
    if fleet is None or not fleet.known:
        return False
    held = [worker.versions.get(model_version) for worker in fleet.workers(model_name) if worker.live]
    return any(version is not None and version.state in ("loaded", "serving") for version in held)


async def _metadata(runtime: ApiRuntime, model_name: str, model_version: str | None) -> ModelMetadata:
    active = servable(runtime, model_name, model_version)
    manifest = await manifest_of(runtime, active)
    return ModelMetadata(
        name=model_name,
        versions=(active.model_version,),
        platform=PLATFORMS.get(manifest.kind, manifest.runtime),
        inputs=tuple(map(_tensor, manifest.inputs)),
        outputs=tuple(map(_tensor, manifest.outputs)),
    )


def _tensor(spec: TensorSpec) -> TensorMetadata:
    return TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)
