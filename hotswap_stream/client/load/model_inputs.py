"""What a model takes: from its artifact's manifest, or from a server's metadata in the Open Inference Protocol."""

from collections.abc import Sequence

import httpx
import msgspec
from msgspec import Struct

from hotswap_events.inference.messages import Datatype
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.client.errors import LoadError
from hotswap_stream.client.http_calls import client_options, infer_path
from hotswap_stream.client.load.payloads import InputSpec
from hotswap_stream.errors import HotswapError

FREE_SIZE = 1
"""Stands for a free size where nothing says a usual one."""


class _WireInput(Struct, frozen=True):
    name: str
    datatype: Datatype
    shape: list[int]


class _Metadata(Struct, frozen=True):
    inputs: list[_WireInput]


def inputs_of_manifest(manifest: ArtifactManifest) -> tuple[InputSpec, ...]:
    """Free sizes are those of the warm-up."""
    first = 1 if manifest.has_rows else 0
    return tuple(
        InputSpec(
            name=spec.name,
            datatype=spec.datatype,
            row_shape=tuple(manifest.warm_up[spec.name][first:]),
            has_rows=manifest.has_rows,
        )
        for spec in manifest.inputs
    )


async def inputs_by_http(
    url: str, model_name: str, *, model_version: str | None, api_key: str | None, timeout_s: float
) -> tuple[InputSpec, ...]:
    """What the server says of the model. HotswapError with its answer if it says no."""
    path = infer_path(model_name, model_version).removesuffix("/infer")
    try:
        async with httpx.AsyncClient(**client_options(url, api_key, timeout_s)) as client:
            answer = await client.get(path)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise HotswapError(f"{url} cannot be reached: {error!r}") from error
    if answer.status_code != 200:
        raise HotswapError(f"{url}{path}: {answer.status_code}: {answer.text[:500]}")
    try:
        metadata = msgspec.json.decode(answer.content, type=_Metadata)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HotswapError(f"{url}{path} is not the metadata of a model that can be asked here: {error}") from error
    return tuple(
        InputSpec(name=tensor.name, datatype=tensor.datatype, row_shape=_row_shape(tensor.shape))
        for tensor in metadata.inputs
    )


def _row_shape(shape: Sequence[int]) -> tuple[int, ...]:
    if not shape:
        raise LoadError("an input without a batch dimension cannot be made up; give --data")
    return tuple(FREE_SIZE if size < 0 else size for size in shape[1:])


def input_names(inputs: Sequence[InputSpec]) -> tuple[str, ...]:
    """In the model's order."""
    return tuple(spec.name for spec in inputs)
