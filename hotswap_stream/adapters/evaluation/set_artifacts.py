"""Labelled sets as artifacts: the same arrays give the same bytes, and so the same digest."""

import msgspec
import numpy as np

from hotswap_events.inference.messages import Datatype
from hotswap_stream.adapters.evaluation.labelled_set import Array, LabelledSet, labelled_set
from hotswap_stream.adapters.evaluation.set_arrays import DTYPES, SAFETENSORS_OF, array_at, texts_at
from hotswap_stream.application.artifacts.file import (
    ArtifactFormatError,
    pack_artifact,
    read_manifest,
    tensor_places,
)
from hotswap_stream.application.artifacts.manifest import TensorSpec
from hotswap_stream.application.inference.byte_strings import pack_strings
from hotswap_stream.application.training.validation_sets import ValidationSetError, set_facts, set_manifest


def pack_set(labelled: LabelledSet) -> bytes:
    """Return a set as the bytes of an artifact.

    Raises:
        ValidationSetError: An array has a name or a shape that cannot be.
    """
    arrays = {**labelled.inputs, **labelled.truths}
    header: dict[str, object] = {}
    parts: list[bytes] = []
    position = 0
    for name in sorted(arrays):
        dtype, shape, content = _packed(name, arrays[name])
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, position + len(content)]}
        parts.append(content)
        position += len(content)
    encoded = msgspec.json.encode(header)
    manifest = set_manifest(
        labelled.facts,
        [_spec(name, labelled.inputs[name]) for name in sorted(labelled.inputs)],
        [_spec(name, labelled.truths[name]) for name in sorted(labelled.truths)],
    )
    try:
        return pack_artifact(manifest, b"".join((len(encoded).to_bytes(8, "little"), encoded, *parts)))
    except ArtifactFormatError as error:
        raise ValidationSetError(f"the set is too large to be named: {error}") from error


def unpack_set(content: bytes) -> LabelledSet:
    """Return the set that an artifact is, checked as if nobody had looked at it before.

    Raises:
        ValidationSetError: It is none, or its bytes are not what its manifest says.
        ArtifactFormatError: It is no artifact.
    """
    manifest = read_manifest(content)
    facts = set_facts(manifest)
    places = tensor_places(content)
    specs = {spec.name: spec for spec in (*manifest.inputs, *manifest.outputs)}
    if set(places) != set(specs):
        raise ValidationSetError(f"the set holds arrays {sorted(places)[:20]}; its manifest names {sorted(specs)[:20]}")
    arrays: dict[str, Array] = {}
    for name, spec in specs.items():
        if spec.datatype == "BYTES":
            arrays[name] = texts_at(content, spec, places[name], facts.rows)
            continue
        array = array_at(content, name, places[name])
        if DTYPES[places[name].dtype][1] != spec.datatype or array.shape != (facts.rows, *spec.shape[1:]):
            raise ValidationSetError(
                f"array {name!r} is {places[name].dtype} {list(array.shape)}; its manifest says {spec.datatype} "
                f"{[facts.rows, *spec.shape[1:]]}"
            )
        arrays[name] = array
    return labelled_set(arrays, kind=facts.kind, output=facts.output)


def _packed(name: str, array: Array) -> tuple[str, list[int], bytes]:
    if array.dtype.kind == "O":
        try:
            content = pack_strings(array.ravel().tolist())
        except (ValueError, AttributeError, TypeError) as error:
            raise ValidationSetError(f"array {name!r} holds something that is no text: {error}") from error
        return "U8", [len(content)], content
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return _named_dtype(name, array), list(array.shape), np.ascontiguousarray(little).tobytes()


def _named_dtype(name: str, array: Array) -> str:
    dtype = SAFETENSORS_OF.get(array.dtype.newbyteorder("="))
    if dtype is None:
        raise ValidationSetError(f"array {name!r} is of type {array.dtype}, which cannot be kept: use float64 or less")
    return dtype


def _spec(name: str, array: Array) -> TensorSpec:
    datatype: Datatype = "BYTES" if array.dtype.kind == "O" else DTYPES[_named_dtype(name, array)][1]
    try:
        return TensorSpec(name=name, datatype=datatype, shape=(-1, *array.shape[1:]))
    except ValueError as error:
        raise ValidationSetError(str(error)) from error
