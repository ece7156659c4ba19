"""A validation set as an artifact: what its manifest says, and what a model's event says of it."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from hotswap_events.bounds import INT64_MAX
from hotswap_events.commands import Refusal
from hotswap_events.validation.sets import ROWS_MAX, ValidationSet
from hotswap_stream.application.artifacts.file import HEADER_BYTES_MAX, InvalidDigestError, read_manifest
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.artifacts.store import ArtifactNotFoundError, ArtifactStore
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.errors import HotswapError


class ValidationSetError(HotswapError):
    """This is no validation set, or none for this model; the message says what it lacks."""


class SetFacts(Struct, frozen=True, kw_only=True):
    """What the manifest of a set says beside its arrays."""

    kind: str
    rows: int
    output: str | None = None
    """Which output of the model is measured; None: the only one that fits."""


class ValidationSetReport(Struct, frozen=True, kw_only=True):
    """What versions of a model are measured on."""

    model_name: str
    validation_set: ValidationSet | None
    """None: none was chosen."""


def set_manifest(facts: SetFacts, inputs: Sequence[TensorSpec], truths: Sequence[TensorSpec]) -> ArtifactManifest:
    """Return the manifest of a set whose arrays these are; the first dimension of each is the rows.

    Raises:
        ValidationSetError: An array has a name or a shape that cannot be; the message says which.
    """
    arguments = {name: value for name, value in msgspec.to_builtins(facts).items() if value is not None}
    try:
        return ArtifactManifest(
            kind="dataset",
            arguments=arguments,
            inputs=tuple(inputs),
            outputs=tuple(truths),
            warm_up={spec.name: (1, *spec.shape[1:]) for spec in inputs},
        )
    except ValueError as error:
        raise ValidationSetError(f"the arrays are no validation set: {error}") from error


def set_facts(manifest: ArtifactManifest) -> SetFacts:
    """Return what a manifest says of its set.

    Raises:
        ValidationSetError: It is no set's.
    """
    if manifest.kind != "dataset":
        raise ValidationSetError(f"the artifact is of kind {manifest.kind!r}; a validation set is needed")
    try:
        facts = msgspec.convert(manifest.arguments, SetFacts)
    except msgspec.ValidationError as error:
        raise ValidationSetError(f"the manifest of the validation set cannot be read: {error}") from error
    if not 1 <= facts.rows <= min(ROWS_MAX, INT64_MAX):
        raise ValidationSetError(f"the validation set says it has {facts.rows} rows; at least one is needed")
    return facts


async def stored_set(store: ArtifactStore, digest: str, *, source: str | None = None) -> ValidationSet | Refusal:
    """Return what a model's event says of a stored set, checked against its bytes; a refusal if there is none.

    Raises:
        ArtifactFormatError: What is stored under this digest is no artifact.
        HotswapError: The store's: a damaged artifact, one that is too large, a store that does not answer.
    """
    try:
        path = await store.local_path(digest)
        if path is not None:
            size_bytes, manifest = await asyncio.to_thread(_checked, path)
        else:
            fetched = await store.fetch(digest)
            size_bytes, manifest = fetched.size_bytes, fetched.manifest
        facts = set_facts(manifest)
    except (InvalidDigestError, ValidationSetError) as error:
        return Refusal(code="invalid-value", reason=str(error))
    except (ArtifactNotFoundError, FileNotFoundError) as error:
        return Refusal(
            code="invalid-value",
            reason=f"{error}; put it there first",
            legal=("hotswap-stream validation-set choose MODEL FILE",),
        )
    return ValidationSet(artifact_digest=digest, size_bytes=size_bytes, kind=facts.kind, rows=facts.rows, source=source)


def _checked(path: Path) -> tuple[int, ArtifactManifest]:
    """Return how many bytes a file has, and its manifest. The errors of reading both."""
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        return size_bytes, read_manifest(file.read(HEADER_BYTES_MAX + 8), size_bytes)


def find_validation_set(streams: Streams, model_name: str) -> ValidationSetReport | Refusal:
    """Return the validation set of a model."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    return ValidationSetReport(model_name=model_name, validation_set=stream.state.validation_set)
