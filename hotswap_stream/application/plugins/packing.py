"""Artifacts of kind `runtime`: files for code that is registered under a name."""

from collections.abc import Mapping, Sequence

from hotswap_stream.application.artifacts.bundle import pack_files
from hotswap_stream.application.artifacts.manifest import (
    Argument,
    ArtifactManifest,
    Batching,
    Package,
    Shape,
    TensorSpec,
)
from hotswap_stream.application.plugins.finding import package_of
from hotswap_stream.application.plugins.names import PluginKey


def pack_runtime(
    name: str,
    files: Mapping[str, bytes],
    *,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    warm_up: Mapping[str, Shape],
    arguments: Mapping[str, Argument] | None = None,
    batching: Batching = "rows",
    labels: Sequence[str] = (),
    allow_non_finite: bool = False,
    package: Package | None = None,
) -> bytes:
    """Make an artifact file that `hotswap-stream register` takes. The same arguments give the same bytes.

    Args:
        name: Name under which the runtime is registered.
        files: What it loads, by name: letters, digits and '_.+-', with '/' between parts. At least one.
        inputs: What it takes.
        outputs: What it returns.
        warm_up: Input → a concrete shape. It is run once on made-up inputs of these shapes (numbers from 0 to 1, empty
            texts) before it may serve, and must return something.
        arguments: Handed to its `load`.
        batching: `rows`: the first dimension is the batch. `request`: each request is computed alone.
        labels: Names of the classes that the columns of the first output stand for.
        allow_non_finite: Whether NaN or infinity is an answer.
        package: What brings the runtime, for those who lack it; None: the package that declares it here, if one does.

    Raises:
        ArtifactFormatError: A file's name is not valid.
        ValueError: A name, a shape or an argument is not valid.
    """
    manifest = ArtifactManifest(
        kind="runtime",
        runtime=name,
        arguments=dict(arguments or {}),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        warm_up=dict(warm_up),
        batching=batching,
        labels=tuple(labels),
        allow_non_finite=allow_non_finite,
        package=package or package_of(PluginKey("runtime", name)),
    )
    return pack_files(manifest, files)
